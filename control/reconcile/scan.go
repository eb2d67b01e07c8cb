package reconcile

import (
	"time"

	"steelyard/dataplane"
)

// seen is what one scan of the flow table found.
type seen struct {
	backends map[dataplane.BackendID]bool // named by an entry
	services map[dataplane.ServiceID]bool
	origins  map[uint32]bool // named by an entry
	direct   map[uint32]bool // of those, by one of a direct client
	// disagree holds, per ring, the slots with an entry of a living backend
	// that is not the slot's current one.
	disagree map[dataplane.RingID]map[int]bool
}

// pending tells whether anything waits for a scan of the flow table.
func (r *Reconciler) pending() bool {
	if len(r.backends.retired)+len(r.services.retired)+len(r.origins.retired)+len(r.rings.retired) > 0 {
		return true
	}
	for _, p := range r.pools {
		if p.mover.Moving() > 0 {
			return true
		}
	}
	return false
}

// settle ends windows whose time has come, stops asking the flow table where a
// scan of it finds nothing more to say, and frees numbers that nothing names.
// It reports whether rings changed: the next step publishes them.
func (r *Reconciler) settle(now time.Time) (changed bool, err error) {
	found := r.scan()
	for _, p := range r.pools {
		if p.mover.Settle(now) {
			changed = true
			continue // what it settles has to be published before it is cleared
		}
		if !p.quiet(now) {
			continue
		}
		slots := found.disagree[p.id]
		changed = p.mover.Clear(func(slot int) bool { return slots[slot] }) || changed
	}
	r.backends.release(func(id dataplane.BackendID) bool { return found.backends[id] })
	r.services.release(func(id dataplane.ServiceID) bool { return found.services[id] })
	r.origins.release(func(id originID) bool { return found.origins[uint32(id)] })
	r.rings.release(func(dataplane.RingID) bool { return false })
	return changed, r.forgetDirect(found.direct)
}

// forgetDirect stops asking for direct clients of origins that have none left.
func (r *Reconciler) forgetDirect(direct map[uint32]bool) error {
	asking, err := r.path.DirectOrigins()
	if err != nil {
		return err
	}
	for id, key := range asking {
		if direct[id] {
			continue
		}
		if err := r.path.ClearDirect(key); err != nil {
			return err
		}
	}
	return nil
}

// scan reads the whole flow table once.
func (r *Reconciler) scan() seen {
	found := seen{
		backends: make(map[dataplane.BackendID]bool),
		services: make(map[dataplane.ServiceID]bool),
		origins:  make(map[uint32]bool),
		direct:   make(map[uint32]bool),
		disagree: make(map[dataplane.RingID]map[int]bool),
	}
	byID := make(map[dataplane.ServiceID]dataplane.ServiceKey, len(r.have.services))
	for key, s := range r.have.services {
		byID[s.ID] = key
	}
	for f := range r.path.Flows() {
		if f.Kind != dataplane.FlowService {
			found.origins[f.Origin] = true
			found.direct[f.Origin] = found.direct[f.Origin] || f.Kind == dataplane.FlowDirect
		}
		if f.Kind == dataplane.FlowDirect {
			continue
		}
		found.services[f.Service] = true
		if f.Kind == dataplane.FlowService {
			found.backends[f.Backend] = true
			r.note(found, f, byID)
		}
	}
	return found
}

// note records an entry that disagrees with its slot. Services that track
// every flow ask the table anyway, and those that track none never do.
func (r *Reconciler) note(found seen, f dataplane.Flow, byID map[dataplane.ServiceID]dataplane.ServiceKey) {
	key, ok := byID[f.Service]
	s := r.have.services[key]
	if !ok || s.Track != dataplane.TrackMoved || !r.have.backends[f.Backend].Alive {
		return
	}
	ring := r.have.rings[s.Ring]
	if ring == nil || key.Addr.Is4() != f.Client.Addr().Is4() {
		return
	}
	slot := dataplane.Index(dataplane.FlowHash(f.Client, key), len(ring.Slots))
	if ring.Slots[slot].Current == f.Backend {
		return
	}
	if found.disagree[s.Ring] == nil {
		found.disagree[s.Ring] = make(map[int]bool)
	}
	found.disagree[s.Ring][slot] = true
}
