package reconcile

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"steelyard/control/model"
	"steelyard/control/store"
	"steelyard/dataplane"
)

// fakeAround is a machine whose network the test sets.
type fakeAround struct {
	mu       sync.Mutex
	topo     *model.Topology
	changed  chan struct{}
	resolved []netip.Addr
}

func (a *fakeAround) Topology() *model.Topology {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.topo
}

func (a *fakeAround) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

func (a *fakeAround) Resolve(addrs []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resolved = addrs
}

// set puts another topology in the place of the last.
func (a *fakeAround) set(t model.Topology) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.Revision = a.topo.Revision + 1
	a.topo = &t
	close(a.changed)
	a.changed = make(chan struct{})
}

// fakeClaimer holds the VIPs and checks that they are claimed only when the
// packet path is ready for them.
type fakeClaimer struct {
	path  *fakePath
	fails func() bool
	// complete lists the services that a VIP needs before it is claimed.
	complete func(netip.Addr) []dataplane.ServiceKey

	held  map[netip.Addr]Claim
	calls int
}

func (c *fakeClaimer) Claim(_ context.Context, claims []Claim) error {
	c.path.mu.Lock()
	defer c.path.mu.Unlock()
	c.calls++
	failing := c.fails != nil && c.fails()
	wanted := map[netip.Addr]bool{}
	for _, claim := range claims {
		wanted[claim.Addr] = true
		if !c.path.claimed[claim.Addr] {
			c.checkReady(claim)
		}
		if !failing || c.path.rnd.IntN(2) == 0 {
			c.held[claim.Addr] = claim
		}
	}
	for addr := range c.held {
		if !wanted[addr] && (!failing || c.path.rnd.IntN(2) == 0) {
			delete(c.held, addr)
		}
	}
	c.path.claimed = wanted
	c.path.check("Claim")
	if failing {
		return errInjected
	}
	return nil
}

func (c *fakeClaimer) checkReady(claim Claim) {
	for _, key := range c.complete(claim.Addr) {
		if _, ok := c.path.services[key]; !ok {
			c.path.fault("VIP %s is claimed before its service %s is there", claim.Addr, key)
		}
	}
}

// world is a Reconciler with everything around it, and a clock.
type world struct {
	now    time.Time
	store  store.Store
	around *fakeAround
	path   *fakePath
	claim  *fakeClaimer
	rec    *Reconciler
}

func newWorld(fault func(string, ...any)) *world {
	w := &world{
		now:    time.Unix(1_800_000_000, 0),
		around: &fakeAround{topo: &model.Topology{}, changed: make(chan struct{})},
		path:   newFakePath(fault),
	}
	w.path.now = w.now
	w.path.wanted = func(key dataplane.ServiceKey) bool { return slices.Contains(w.servicesOf(key.Addr), key) }
	w.claim = &fakeClaimer{path: w.path, held: map[netip.Addr]Claim{}, complete: w.servicesOf}
	w.rec = New(&w.store, w.around, w.path, w.claim, slog.New(slog.DiscardHandler))
	return w
}

// servicesOf lists the wanted services of a VIP.
func (w *world) servicesOf(vip netip.Addr) (keys []dataplane.ServiceKey) {
	for _, s := range w.store.Current().Services {
		if !slices.Contains(s.VIPs, vip) {
			continue
		}
		for _, p := range s.Ports {
			keys = append(keys, dataplane.ServiceKey{Addr: vip, Port: p.Port, Proto: p.Proto})
		}
	}
	return keys
}

func (w *world) step() time.Duration { return w.rec.Step(context.Background(), w.now) }

// pass lets time go by, with a step whenever one is due.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); ; {
		wait := w.step()
		if w.now.Add(wait).After(end) {
			w.setTime(end)
			return
		}
		w.setTime(w.now.Add(wait))
	}
}

func (w *world) setTime(now time.Time) {
	w.path.mu.Lock()
	defer w.path.mu.Unlock()
	w.now, w.path.now = now, now
}

// dump writes down what the packet path does, without the numbers that it
// knows things by.
func (w *world) dump() string {
	p := w.path
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for ifindex, mode := range p.attached {
		say("attached %d %s", ifindex, mode)
	}
	for _, i := range p.interfaces {
		say("interface %d %x %s %s", i.Ifindex, i.MAC, i.Addr4, i.Addr6)
	}
	for prefix, n := range p.routes {
		say("route %s %+v", prefix, n)
	}
	for _, b := range p.backends {
		if b.Alive {
			say("backend %s %+v", b.Addr, b.Next)
		}
	}
	for key, o := range p.origins {
		say("origin %s service %s backend %s shared %v idle %v", key, o.Service, p.backends[o.Backend].Addr, o.Shared, o.Idle)
		if !o.Shared && p.services[o.Service].ID != o.ServiceID {
			say("origin %s names another service's number", key)
		}
	}
	for key, s := range p.services {
		say("service %s %s track %s idle %v shared %v ring %s", key, s.Mode, s.Track, s.Idle, s.SharedReplies, p.picks(s.Ring))
	}
	for addr := range p.vips {
		say("vip %s", addr)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// picks sums up which backend each slot gives to new flows, and whether any
// slot asks the flow table.
func (p *fakePath) picks(id dataplane.RingID) string {
	h, asking := fnv.New64(), 0
	for _, s := range p.rings[id].Slots {
		fmt.Fprintln(h, p.backends[s.Current].Addr)
		if s.Ask || s.Settled != s.Current {
			asking++
		}
	}
	return fmt.Sprintf("%d slots %x, %d asking", len(p.rings[id].Slots), h.Sum64(), asking)
}

// claims writes down who holds the VIPs.
func (w *world) claims() map[netip.Addr]Claim { return maps.Clone(w.claim.held) }
