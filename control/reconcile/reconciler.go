package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

const (
	// scanEvery is how often the flow table is read while something waits
	// for it: slots to settle, numbers to free.
	scanEvery = 5 * time.Second
	// Failed steps are tried again after retryFirst, doubling to retryMost.
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

type originID uint32

// attachedDevice is a configured interface that carries the program.
type attachedDevice struct {
	ifindex uint32
	mode    dataplane.AttachMode
}

// Source is where the desired state comes from; store.Store is one.
type Source interface {
	Current() *model.Snapshot
	Watch() (changed <-chan struct{}, stop func())
}

// Surroundings is the machine as the kernel shows it; vip.Watcher is one.
type Surroundings interface {
	Topology() *model.Topology
	// Changed returns a channel that is closed at the next change.
	Changed() <-chan struct{}
	// Resolve names the addresses whose next hops shall be kept known.
	Resolve([]netip.Addr)
}

// Reconciler brings the packet path to the desired state. Run does the work;
// the other methods may be called from any goroutine.
type Reconciler struct {
	source Source
	around Surroundings
	path   PacketPath
	claim  Claimer
	log    *slog.Logger

	mu       sync.Mutex // guards all below
	services *ids[dataplane.ServiceKey, dataplane.ServiceID]
	backends *ids[memberKey, dataplane.BackendID]
	rings    *ids[poolKey, dataplane.RingID]
	origins  *ids[dataplane.OriginKey, originID]
	fresh    []dataplane.BackendID // numbers whose counters start anew
	pools    map[poolKey]*poolRing
	attached map[string]attachedDevice // by the config's interface name
	have     *applied
	claims   []Claim
	last     step
	retry    time.Duration
	scanned  time.Time
}

// step is what the last step came to.
type step struct {
	snapshot *model.Snapshot // in force in the packet path; nil before
	topology *model.Topology
	problems []string
	writes   int
}

// New returns a Reconciler that has done nothing yet. log may be nil for
// slog.Default.
func New(source Source, around Surroundings, path PacketPath, claim Claimer, log *slog.Logger) *Reconciler {
	if log == nil {
		log = slog.Default()
	}
	return &Reconciler{
		source: source, around: around, path: path, claim: claim, log: log,
		services: newIDs[dataplane.ServiceKey, dataplane.ServiceID](),
		backends: newIDs[memberKey, dataplane.BackendID](),
		rings:    newIDs[poolKey, dataplane.RingID](),
		origins:  newIDs[dataplane.OriginKey, originID](),
		pools:    make(map[poolKey]*poolRing),
		attached: make(map[string]attachedDevice),
		have:     newApplied(),
	}
}

// Run reconciles whenever the desired state or the machine changes, and when
// time asks for it, until ctx ends; then it returns nil and leaves the packet
// path as it is.
func (r *Reconciler) Run(ctx context.Context) error {
	desired, stop := r.source.Watch()
	defer stop()
	for {
		changed := r.around.Changed()
		wait := r.Step(ctx, time.Now())
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-desired:
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Step reconciles once and returns how long it may wait without a change.
func (r *Reconciler) Step(ctx context.Context, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	snap, topo := r.source.Current(), r.around.Topology()
	if snap == nil || topo == nil || topo.Revision == 0 {
		return retryMost
	}
	err := r.attach(snap, topo)
	r.updatePools(now, snap)
	ways := newWays(topo)
	tables := r.build(snap, topo, ways)
	writes, missing, applyErr := r.apply(ctx, now, tables, snap, topo, ways)
	scan := r.pending()
	again := false
	if scan && applyErr == nil && now.Sub(r.scanned) >= scanEvery {
		r.scanned = now
		again, applyErr = r.settle(now)
	}
	r.around.Resolve(backendAddrs(snap))
	r.conclude(snap, topo, writes, missing, errors.Join(err, applyErr))
	if again {
		return 0
	}
	return r.wait(scan)
}

// build makes the tables for a snapshot on this machine.
func (r *Reconciler) build(snap *model.Snapshot, topo *model.Topology, ways *ways) Tables {
	t := newTables()
	buildInterfaces(t, topo, r.attached)
	buildRoutes(t, topo, r.path.CanSend)
	buildBackends(t, r.pools, ways, r.path.CanSend)
	r.buildServices(t, snap, servings(snap, r.pools))
	return t
}

// apply writes tables, then claims, then removals: a VIP is claimed only when
// its tables are in place, and given up before they go.
func (r *Reconciler) apply(ctx context.Context, now time.Time, t Tables, snap *model.Snapshot, topo *model.Topology, ways *ways) (writes int, missing []string, err error) {
	for _, id := range r.fresh {
		if err := r.path.ResetBackendCount(id); err != nil {
			return 0, nil, err
		}
	}
	r.fresh = nil
	writes, err = r.have.add(r.path, t)
	if err != nil {
		return writes, nil, err
	}
	for _, p := range r.pools {
		p.noteRing(now)
	}
	r.claims, missing = claimsOf(snap, topo, r.attached, ways)
	claimErr := r.claim.Claim(ctx, r.claims)
	removed, err := r.have.remove(r.path, t)
	return writes + removed, missing, errors.Join(claimErr, err)
}

// attach runs the program on every configured device that is there, also on
// one that came back with another number.
func (r *Reconciler) attach(snap *model.Snapshot, topo *model.Topology) error {
	var errs []error
	wanted := make(map[string]bool, len(snap.Interfaces))
	for _, i := range snap.Interfaces {
		wanted[i.Name] = true
		link := topo.LinkByName(i.Device)
		if a, ok := r.attached[i.Name]; ok && (link == nil || link.Index != a.ifindex) {
			errs = append(errs, r.detach(i.Name))
		}
		if link == nil {
			errs = append(errs, fmt.Errorf("interface %s: no device %s", i.Name, i.Device))
			continue
		}
		if _, ok := r.attached[i.Name]; ok {
			continue
		}
		mode, err := r.path.Attach(link.Index, attachMode(i.XDP))
		if err != nil {
			errs = append(errs, fmt.Errorf("interface %s (%s): %w", i.Name, i.Device, err))
			continue
		}
		r.attached[i.Name] = attachedDevice{link.Index, mode}
		r.log.Info("attached", "interface", i.Name, "device", i.Device, "xdp", mode)
	}
	for name := range r.attached {
		if !wanted[name] {
			errs = append(errs, r.detach(name))
		}
	}
	return errors.Join(errs...)
}

func (r *Reconciler) detach(name string) error {
	a := r.attached[name]
	delete(r.attached, name)
	r.log.Info("detached", "interface", name, "ifindex", a.ifindex)
	return r.path.Detach(a.ifindex)
}

func attachMode(m model.XDPMode) dataplane.AttachMode {
	switch m {
	case model.XDPNative:
		return dataplane.AttachNative
	case model.XDPGeneric:
		return dataplane.AttachGeneric
	}
	return dataplane.AttachAuto
}

// conclude keeps what a step came to, and logs what is new about it.
func (r *Reconciler) conclude(snap *model.Snapshot, topo *model.Topology, writes int, missing []string, err error) {
	problems := append(missing, flatten(err)...)
	before := make(map[string]bool, len(r.last.problems))
	for _, p := range r.last.problems {
		before[p] = true
	}
	for _, p := range problems {
		if !before[p] {
			r.log.Warn("cannot reach the desired state yet", "problem", p)
		}
	}
	if r.last.snapshot != nil && len(r.last.problems) > 0 && len(problems) == 0 {
		r.log.Info("desired state reached", "revision", snap.Revision)
	}
	r.last = step{snapshot: snap, topology: topo, problems: problems, writes: writes}
	switch {
	case err == nil:
		r.retry = 0
	case r.retry == 0:
		r.retry = retryFirst
	default:
		r.retry = min(2*r.retry, retryMost)
	}
}

// flatten lists the messages of joined errors.
func flatten(err error) []string {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []string
		for _, e := range joined.Unwrap() {
			list = append(list, flatten(e)...)
		}
		return list
	}
	return []string{err.Error()}
}

// wait is the time until something is due without a change.
func (r *Reconciler) wait(scan bool) time.Duration {
	wait := retryMost
	if r.retry > 0 {
		wait = min(wait, r.retry)
	}
	if scan {
		wait = min(wait, scanEvery)
	}
	return wait
}

func backendAddrs(snap *model.Snapshot) []netip.Addr {
	var addrs []netip.Addr
	for _, p := range snap.Pools {
		for _, b := range p.Backends {
			addrs = append(addrs, b.Addr.Addr())
		}
	}
	return addrs
}
