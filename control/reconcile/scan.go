package reconcile

import (
	"fmt"
	"time"

	"steelyard/dataplane"
)

const (
	// scanEvery is how often the flow table is read while something waits
	// for it: slots to settle, numbers to free.
	scanEvery = 5 * time.Second
	// scanIdle is how often it is read otherwise: for direct clients, which
	// come without a word to control.
	scanIdle = time.Minute
	// settleTime is how long after a table was written no packet can still
	// be on its way through the program with what was there before. Runs
	// take microseconds.
	settleTime = time.Second
)

// marks is a set of dense numbers.
type marks[ID ~uint32] []bool

func (m *marks[ID]) add(id ID) {
	for int(id) >= len(*m) {
		*m = append(*m, make([]bool, int(id)-len(*m)+1)...)
	}
	(*m)[id] = true
}

func (m marks[ID]) has(id ID) bool { return int(id) < len(m) && m[id] }

// seen is what one scan of the flow table found.
type seen struct {
	backends marks[dataplane.BackendID] // named by an entry
	services marks[dataplane.ServiceID]
	origins  marks[originID] // named by an entry
	direct   marks[originID] // of those, by one of a direct client
	// disagree holds, per ring, the slots with an entry of a living backend
	// that is not the slot's current one.
	disagree map[dataplane.RingID]map[int]bool
	// unsettled are the services with such an entry in a slot that does not
	// ask the flow table.
	unsettled marks[dataplane.ServiceID]
}

// pending tells whether anything waits for a scan of the flow table.
func (r *Reconciler) pending() bool {
	if len(r.backends.retired)+len(r.services.retired)+len(r.origins.retired)+len(r.rings.retired) > 0 {
		return true
	}
	if len(r.lingering) > 0 || r.direct {
		return true
	}
	for _, p := range r.pools {
		if p.mover.Moving() > 0 {
			return true
		}
	}
	return false
}

// scanAt is when the flow table is to be read next.
func (r *Reconciler) scanAt() time.Time {
	if r.pending() {
		return r.scanned.Add(scanEvery)
	}
	return r.scanned.Add(scanIdle)
}

// settle ends windows whose time has come, stops asking the flow table where a
// scan of it finds nothing more to say, and frees numbers that nothing names.
// It reports whether tables change by that: the next step writes them.
func (r *Reconciler) settle(now time.Time) (changed bool, err error) {
	found := r.scan()
	for _, p := range r.pools {
		if p.mover.Moving() == 0 || !p.inForce() {
			continue
		}
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
	changed = r.calm(now, found) || changed
	r.backends.release(now, found.backends.has)
	r.services.release(now, found.services.has)
	r.origins.release(now, found.origins.has)
	r.rings.release(now, func(dataplane.RingID) bool { return false })
	return changed, r.forgetDirect(found)
}

// calm ends the lingering of services whose flows all live where their ring or
// an asking slot says.
func (r *Reconciler) calm(now time.Time, found seen) (changed bool) {
	for _, s := range r.servings {
		if calm, ok := r.lingering[s.id]; !ok || calm || !s.pool.quiet(now) || found.unsettled.has(s.id) {
			continue
		}
		r.lingering[s.id] = true
		changed = true
	}
	return changed
}

// forgetDirect stops asking for direct clients of origins that have none left.
func (r *Reconciler) forgetDirect(found seen) error {
	asking, err := r.path.DirectOrigins()
	if err != nil {
		return err
	}
	r.direct = len(asking) > 0
	var errs []error
	for id, key := range asking {
		if found.direct.has(originID(id)) {
			continue
		}
		if err := r.path.ClearDirect(key); err != nil {
			errs = append(errs, fmt.Errorf("forget direct clients of %s: %w", key, err))
		}
	}
	return joinFew(errs)
}

// asker is a service whose entries in the flow table hold up its ring's flags:
// one that asks the table only where the ring moved. One that tracks every flow
// asks anyway, and one that tracks none never does.
type asker struct {
	key  dataplane.ServiceKey
	ring *dataplane.Ring // nil = no asker
	id   dataplane.RingID
}

// askers lists the services by number.
func (r *Reconciler) askers() []asker {
	list := make([]asker, r.services.last+1)
	for _, s := range r.servings {
		_, lingers := r.lingering[s.id]
		if have, known := r.have.services.known(s.key); known && have.ID == s.id && have.Track != dataplane.TrackMoved && !lingers {
			continue
		}
		list[s.id] = asker{s.key, s.pool.published, s.pool.id}
	}
	return list
}

// scan reads the whole flow table once.
func (r *Reconciler) scan() seen {
	found := seen{disagree: make(map[dataplane.RingID]map[int]bool)}
	askers := r.askers()
	var alive marks[dataplane.BackendID]
	for _, p := range r.pools {
		for _, m := range p.members {
			alive.add(m.id)
		}
	}
	for f := range r.path.Flows() {
		switch f.Kind {
		case dataplane.FlowDirect:
			found.origins.add(originID(f.Origin))
			found.direct.add(originID(f.Origin))
		case dataplane.FlowReply:
			found.origins.add(originID(f.Origin))
			found.services.add(f.Service)
		case dataplane.FlowService:
			found.services.add(f.Service)
			found.backends.add(f.Backend)
			if alive.has(f.Backend) && int(f.Service) < len(askers) {
				found.note(f, askers[f.Service])
			}
		}
	}
	return found
}

// note records an entry of a living backend if it disagrees with its slot.
func (found *seen) note(f dataplane.Flow, a asker) {
	if a.ring == nil || a.key.Addr.Is4() != f.Client.Addr().Is4() {
		return
	}
	slot := dataplane.Index(dataplane.FlowHash(f.Client, a.key), len(a.ring.Slots))
	switch {
	case a.ring.Slots[slot].Current == f.Backend:
		return
	case !a.ring.Slots[slot].Ask:
		found.unsettled.add(f.Service)
		return
	}
	if found.disagree[a.id] == nil {
		found.disagree[a.id] = make(map[int]bool)
	}
	found.disagree[a.id][slot] = true
}
