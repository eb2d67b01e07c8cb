package reconcile

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"steelyard/dataplane"
)

var errInjected = errors.New("injected failure")

// fakePath is a packet path in memory: tables, attachments and flows as the
// real one has them. After every single change it holds the tables against the
// rules that a packet relies on. Calls fail where fails says so, with part of
// the write done.
type fakePath struct {
	mu    sync.Mutex
	fails func(call string) bool
	rnd   *rand.Rand
	fault func(format string, args ...any) // reports a broken rule
	// wanted tells whether a service is in the desired state.
	wanted func(dataplane.ServiceKey) bool

	native     map[uint32]bool // devices whose driver can
	attached   map[uint32]dataplane.AttachMode
	interfaces map[uint32]dataplane.Interface
	routes     map[netip.Prefix]dataplane.NextHop
	backends   map[dataplane.BackendID]dataplane.Backend
	rings      map[dataplane.RingID]*dataplane.Ring
	origins    map[dataplane.OriginKey]dataplane.Origin
	services   map[dataplane.ServiceKey]dataplane.Service
	vips       map[netip.Addr]bool
	claimed    map[netip.Addr]bool // by the last call of the claimer

	flows  map[flowKey]*flowEntry
	direct map[dataplane.OriginKey]bool
	resets map[dataplane.BackendID]int
	calls  map[string]int // entries written or deleted, by call
	named  map[*dataplane.Ring]map[dataplane.BackendID]bool
	now    time.Time
}

func newFakePath(fault func(string, ...any)) *fakePath {
	return &fakePath{
		fault:      fault,
		rnd:        rand.New(rand.NewPCG(1, 2)),
		native:     map[uint32]bool{},
		attached:   map[uint32]dataplane.AttachMode{},
		interfaces: map[uint32]dataplane.Interface{},
		routes:     map[netip.Prefix]dataplane.NextHop{},
		backends:   map[dataplane.BackendID]dataplane.Backend{},
		rings:      map[dataplane.RingID]*dataplane.Ring{},
		origins:    map[dataplane.OriginKey]dataplane.Origin{},
		services:   map[dataplane.ServiceKey]dataplane.Service{},
		vips:       map[netip.Addr]bool{},
		flows:      map[flowKey]*flowEntry{},
		direct:     map[dataplane.OriginKey]bool{},
		resets:     map[dataplane.BackendID]int{},
		calls:      map[string]int{},
		named:      map[*dataplane.Ring]map[dataplane.BackendID]bool{},
	}
}

// write makes n single changes, or some of them and an error.
func (p *fakePath) write(call string, n int, change func(i int)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[call] += n
	failing := p.fails != nil && p.fails(call)
	for i := range n {
		if failing && p.rnd.IntN(2) == 0 {
			continue
		}
		change(i)
		p.check(call)
	}
	if failing {
		return fmt.Errorf("%s: %w", call, errInjected)
	}
	return nil
}

// writeMap writes entries in a random order.
func writeMap[K comparable, V any](p *fakePath, call string, to, put map[K]V) error {
	keys := make([]K, 0, len(put))
	for k := range put {
		keys = append(keys, k)
	}
	return p.write(call, len(keys), func(i int) { to[keys[i]] = put[keys[i]] })
}

func deleteKeys[K comparable, V any](p *fakePath, call string, from map[K]V, keys []K) error {
	return p.write(call, len(keys), func(i int) { delete(from, keys[i]) })
}

// check holds the tables against the rules.
func (p *fakePath) check(call string) {
	if p.fault == nil {
		return
	}
	for key, s := range p.services {
		ring := p.rings[s.Ring]
		if ring == nil {
			p.fault("after %s: service %s names ring %d, which is not there", call, key, s.Ring)
			continue
		}
		for id := range p.namedBy(ring) {
			b := p.backends[id]
			if !b.Alive {
				p.fault("after %s: service %s can choose backend %d, which is not alive", call, key, id)
			}
			// A service that is about to be removed has no replies to wait for.
			if _, ok := p.origins[dataplane.OriginKey{Addr: b.Addr.Addr(), Port: b.Addr.Port(), Proto: key.Proto}]; !ok && p.wanted(key) {
				p.fault("after %s: service %s can choose %s, whose replies would not be known", call, key, b.Addr)
			}
		}
	}
	for addr := range p.claimed {
		if !p.vips[addr] {
			p.fault("after %s: VIP %s is claimed, but not in the table", call, addr)
		}
	}
}

// namedBy lists the backends that a ring can choose.
func (p *fakePath) namedBy(ring *dataplane.Ring) map[dataplane.BackendID]bool {
	if ids, ok := p.named[ring]; ok {
		return ids
	}
	ids := map[dataplane.BackendID]bool{}
	for _, s := range ring.Slots {
		ids[s.Current] = true
		if s.Settled != dataplane.SettledInOld {
			ids[s.Settled] = true
		}
	}
	for _, s := range ring.Old {
		ids[s.Current] = true
	}
	delete(ids, 0)
	p.named[ring] = ids
	return ids
}

func (p *fakePath) Attach(ifindex uint32, mode dataplane.AttachMode) (dataplane.AttachMode, error) {
	if mode == dataplane.AttachNative && !p.native[ifindex] {
		return "", fmt.Errorf("device %d: no native XDP", ifindex)
	}
	if mode == dataplane.AttachAuto {
		mode = dataplane.AttachGeneric
		if p.native[ifindex] {
			mode = dataplane.AttachNative
		}
	}
	err := p.write("Attach", 1, func(int) {
		if _, ok := p.attached[ifindex]; !ok {
			p.attached[ifindex] = mode
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.attached[ifindex], err
}

func (p *fakePath) Detach(ifindex uint32) error {
	return deleteKeys(p, "Detach", p.attached, []uint32{ifindex})
}

func (p *fakePath) CanSend(ifindex uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	anyNative := false
	for _, mode := range p.attached {
		anyNative = anyNative || mode == dataplane.AttachNative
	}
	mode, ok := p.attached[ifindex]
	return ok && (mode == dataplane.AttachNative || !anyNative)
}

func (p *fakePath) PutInterface(i dataplane.Interface) error {
	return writeMap(p, "PutInterface", p.interfaces, map[uint32]dataplane.Interface{i.Ifindex: i})
}

func (p *fakePath) DeleteInterface(ifindex uint32) error {
	return deleteKeys(p, "DeleteInterface", p.interfaces, []uint32{ifindex})
}

func (p *fakePath) PutRoutes(routes map[netip.Prefix]dataplane.NextHop) error {
	return writeMap(p, "PutRoutes", p.routes, routes)
}

func (p *fakePath) DeleteRoutes(prefixes []netip.Prefix) error {
	return deleteKeys(p, "DeleteRoutes", p.routes, prefixes)
}

func (p *fakePath) PutBackends(list []dataplane.Backend) error {
	return p.write("PutBackends", len(list), func(i int) { p.backends[list[i].ID] = list[i] })
}

func (p *fakePath) ResetBackendCount(id dataplane.BackendID) error {
	return p.write("ResetBackendCount", 1, func(int) { p.resets[id]++ })
}

func (p *fakePath) ReplaceRing(id dataplane.RingID, ring *dataplane.Ring) error {
	if ring == nil {
		return deleteKeys(p, "ReplaceRing", p.rings, []dataplane.RingID{id})
	}
	return writeMap(p, "ReplaceRing", p.rings, map[dataplane.RingID]*dataplane.Ring{id: ring})
}

func (p *fakePath) PutOrigins(origins map[dataplane.OriginKey]dataplane.Origin) error {
	return writeMap(p, "PutOrigins", p.origins, origins)
}

func (p *fakePath) DeleteOrigins(keys []dataplane.OriginKey) error {
	return deleteKeys(p, "DeleteOrigins", p.origins, keys)
}

func (p *fakePath) PutServices(services map[dataplane.ServiceKey]dataplane.Service) error {
	return writeMap(p, "PutServices", p.services, services)
}

func (p *fakePath) DeleteServices(keys []dataplane.ServiceKey) error {
	return deleteKeys(p, "DeleteServices", p.services, keys)
}

func (p *fakePath) PutVIPs(addrs []netip.Addr) error {
	return p.write("PutVIPs", len(addrs), func(i int) { p.vips[addrs[i]] = true })
}

func (p *fakePath) DeleteVIPs(addrs []netip.Addr) error {
	return deleteKeys(p, "DeleteVIPs", p.vips, addrs)
}

func (p *fakePath) Flows() iter.Seq[dataplane.Flow] {
	return func(yield func(dataplane.Flow) bool) {
		p.mu.Lock()
		flows := maps.Clone(p.flows)
		p.mu.Unlock()
		for _, f := range flows {
			if left := f.until.Sub(p.now); left >= 0 && !yield(f.listed(left)) {
				return
			}
		}
	}
}

func (p *fakePath) DirectOrigins() (map[uint32]dataplane.OriginKey, error) {
	direct := map[uint32]dataplane.OriginKey{}
	err := p.write("DirectOrigins", 1, func(int) {
		for key := range p.direct {
			if o, ok := p.origins[key]; ok {
				direct[o.ID] = key
			}
		}
	})
	return direct, err
}

func (p *fakePath) ClearDirect(key dataplane.OriginKey) error {
	return deleteKeys(p, "ClearDirect", p.direct, []dataplane.OriginKey{key})
}

// changes sums up what was written to tables since the last call.
func (p *fakePath) changes() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.calls
	delete(got, "DirectOrigins")
	p.calls = map[string]int{}
	return got
}
