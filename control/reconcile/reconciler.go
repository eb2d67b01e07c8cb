package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// Failed steps are tried again after retryFirst, doubling to retryMost.
const (
	retryFirst = time.Second
	retryMost  = 30 * time.Second
)

type originID uint32

// Source is where the desired state comes from; store.Store is one. What
// Current returns never changes: another state is another pointer.
type Source interface {
	Current() *model.Snapshot
	Watch() (changed <-chan struct{}, stop func())
}

// Surroundings is the machine as the kernel shows it; vip.Watcher is one. What
// Topology returns never changes either.
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
	services *ids[serviceKey, dataplane.ServiceID]
	backends *ids[memberKey, dataplane.BackendID]
	rings    *ids[poolKey, dataplane.RingID]
	origins  *ids[dataplane.OriginKey, originID]
	fresh    []dataplane.BackendID // numbers whose counters start anew

	built    *model.Snapshot // what pools and servings are from
	pools    map[poolKey]*poolRing
	servings []serving
	at       *mirror
	carriers *carriers

	have   *applied
	claims map[netip.Addr]Claim // as last asked for; nil = never
	// lingering are the services that still remember every flow; true once
	// they need not any more.
	lingering map[dataplane.ServiceID]bool
	direct    bool // the last scan found origins with direct clients
	scanned   time.Time

	last  step
	retry retry
}

// step is what the last step came to.
type step struct {
	snapshot *model.Snapshot // that it worked towards; nil before the first
	problems []string
	writes   int
	inForce  uint64 // revision that the tables hold completely; 0 = none
}

// New returns a Reconciler that has done nothing yet. log may be nil for
// slog.Default.
func New(source Source, around Surroundings, path PacketPath, claim Claimer, log *slog.Logger) *Reconciler {
	if log == nil {
		log = slog.Default()
	}
	return &Reconciler{
		source: source, around: around, path: path, claim: claim, log: log,
		services:  newIDs[serviceKey, dataplane.ServiceID](),
		backends:  newIDs[memberKey, dataplane.BackendID](),
		rings:     newIDs[poolKey, dataplane.RingID](),
		origins:   newIDs[dataplane.OriginKey, originID](),
		pools:     make(map[poolKey]*poolRing),
		carriers:  newCarriers(),
		have:      newApplied(),
		lingering: make(map[dataplane.ServiceID]bool),
	}
}

// Run reconciles whenever the desired state or the machine changes, and when
// time asks for it, until ctx ends; then it returns nil and leaves the packet
// path as it is.
func (r *Reconciler) Run(ctx context.Context) error {
	desired, stop := r.source.Watch()
	defer stop()
	for ctx.Err() == nil {
		changed := r.around.Changed()
		timer := time.NewTimer(r.Step(ctx, time.Now()))
		select {
		case <-ctx.Done():
		case <-desired:
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// Step reconciles once and returns how long it may wait without a change. now
// is the time at which it begins.
func (r *Reconciler) Step(ctx context.Context, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	snap, topo := r.source.Current(), r.around.Topology()
	if snap == nil || topo == nil || topo.Revision == 0 {
		return retryMost
	}
	clock := stepClock(now)
	if r.at == nil || r.at.topo != topo {
		r.at = newMirror(topo)
	}
	s := step{snapshot: snap, inForce: r.last.inForce}
	attachErr := r.carriers.bring(r.path, snap, r.at, r.log)
	if r.built != snap {
		r.updatePools(now, snap)
		r.around.Resolve(backendAddrs(snap))
		r.built = snap
	}
	missing, err := r.apply(ctx, clock, r.build(snap), &s)
	again := false
	if !now.Before(r.scanAt()) {
		r.scanned = now
		var settleErr error
		again, settleErr = r.settle(now)
		err = errors.Join(err, settleErr)
	}
	err = errors.Join(attachErr, err)
	r.conclude(ctx, s, missing, err)
	wait := min(retryMost, r.scanAt().Sub(now))
	if err != nil {
		wait = min(wait, r.retry.failed(now, snap))
	} else {
		r.retry = retry{}
	}
	if again {
		return 0
	}
	return wait
}

// stepClock returns the time within a step that began at now: a step with many
// tables to write takes a while.
func stepClock(now time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return now.Add(time.Since(began)) }
}

// build makes the tables for a snapshot on this machine.
func (r *Reconciler) build(snap *model.Snapshot) Tables {
	t := newTables()
	h := newHops(r.path.CanSend)
	buildInterfaces(t, r.at, r.carriers)
	buildRoutes(t, r.at, h)
	buildBackends(t, r.pools, r.at, h)
	r.buildServices(t, snap)
	return t
}

// apply writes tables, then claims, then removals: a VIP is claimed only when
// its tables are in place, and given up before they go.
func (r *Reconciler) apply(ctx context.Context, clock func() time.Time, t Tables, s *step) (missing []string, err error) {
	var errs []error
	do := func(writes int, err error) bool {
		s.writes += writes
		errs = append(errs, err)
		return err == nil
	}
	do(0, r.resetCounts())
	looking := do(r.have.addInterfaces(r.path, t))
	do(r.have.addRoutes(r.path, t))
	added := do(r.have.addServices(r.path, t))
	r.noteRings(clock())
	missing, claimErr := r.claimVIPs(ctx, s.snapshot, looking && added)
	do(0, claimErr)
	if added && do(r.have.remove(r.path, t)) {
		s.inForce = s.snapshot.Revision
		r.noteLeft(clock())
	}
	do(r.have.removeWays(r.path, t))
	return missing, errors.Join(errs...)
}

// resetCounts starts the counters of new numbers anew. A number whose counter
// keeps the count of its former life is no reason to keep it from traffic.
func (r *Reconciler) resetCounts() error {
	var errs []error
	var left []dataplane.BackendID
	for _, id := range r.fresh {
		if err := r.path.ResetBackendCount(id); err != nil {
			errs, left = append(errs, err), append(left, id)
		}
	}
	r.fresh = left
	return joinFew(errs)
}

// noteRings tells the pools whose latest ring the packet path has.
func (r *Reconciler) noteRings(now time.Time) {
	for _, p := range r.pools {
		if ring, ok := r.have.rings.known(p.id); ok && ring == p.mover.Ring() {
			p.noteRing(now)
		}
	}
}

// noteLeft notes that no retired number is in the tables any more.
func (r *Reconciler) noteLeft(now time.Time) {
	r.backends.left(now)
	r.services.left(now)
	r.rings.left(now)
	r.origins.left(now)
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
