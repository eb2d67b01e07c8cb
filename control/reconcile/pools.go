package reconcile

import (
	"net/netip"
	"slices"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
	"steelyard/dataplane/maglev"
)

// poolKey is a pool in one address family: what has a ring.
type poolKey struct {
	name string
	v6   bool
}

// memberKey is one backend of a pool through its life.
type memberKey struct {
	pool string
	addr netip.AddrPort
}

// member is a backend with its number.
type member struct {
	id     dataplane.BackendID
	addr   netip.AddrPort
	name   string
	weight int
}

// poolRing is the ring of a pool in one family.
type poolRing struct {
	id      dataplane.RingID
	members []member
	mover   *maglev.Mover
	// What the mover was last told, to tell it only of changes.
	entries []maglev.Entry
	idle    time.Duration
	// published is the ring that the packet path got last, and when.
	published   *dataplane.Ring
	publishedAt time.Time
}

// noteRing tells the pool that the packet path has its latest ring.
func (p *poolRing) noteRing(now time.Time) {
	p.mover.Published(now)
	if !p.inForce() {
		p.published, p.publishedAt = p.mover.Ring(), now
	}
}

// inForce tells whether the packet path has the latest ring.
func (p *poolRing) inForce() bool { return p.published == p.mover.Ring() }

// quiet tells whether every entry of the flow table is from the latest ring or
// was remembered under it.
func (p *poolRing) quiet(now time.Time) bool {
	return p.inForce() && now.Sub(p.publishedAt) >= settleTime
}

// updatePools brings the rings and the numbers in line with a snapshot.
func (r *Reconciler) updatePools(now time.Time, snap *model.Snapshot) {
	idle := poolIdles(snap)
	pools := make(map[string]*model.Pool, len(snap.Pools))
	for i := range snap.Pools {
		pools[snap.Pools[i].Name] = &snap.Pools[i]
	}
	for key := range idle {
		if r.pools[key] == nil {
			id, _ := r.rings.get(key)
			r.pools[key] = &poolRing{id: id, mover: maglev.NewMover(maglev.Seed(key.name))}
		}
		r.pools[key].members = r.membersOf(key, pools[key.name])
	}
	for key := range r.pools {
		if _, used := idle[key]; !used {
			delete(r.pools, key)
		}
	}
	r.servings = r.listServings(snap)
	r.dropIDs()
	for key, p := range r.pools {
		p.update(now, idle[key])
	}
}

// poolIdles lists the pools and families in use, each with the longest idle
// time of a flow on it: how long a window has to be.
func poolIdles(snap *model.Snapshot) map[poolKey]time.Duration {
	idle := make(map[poolKey]time.Duration)
	for i := range snap.Services {
		s := &snap.Services[i]
		for _, vip := range s.VIPs {
			key := poolKey{s.Pool, vip.Is6()}
			for _, port := range s.Ports {
				idle[key] = max(idle[key], idleOf(snap.Flows, s, port.Proto))
			}
		}
	}
	return idle
}

// membersOf numbers the backends of one family of a pool.
func (r *Reconciler) membersOf(key poolKey, pool *model.Pool) []member {
	if pool == nil {
		return nil
	}
	var members []member
	for _, b := range pool.Backends {
		if b.Addr.Addr().Is6() != key.v6 {
			continue
		}
		id, fresh := r.backends.get(memberKey{key.name, b.Addr})
		if fresh {
			r.fresh = append(r.fresh, id)
		}
		members = append(members, member{id: id, addr: b.Addr, name: b.Name, weight: b.Weight})
	}
	return members
}

// dropIDs retires the numbers of what is not in use any more.
func (r *Reconciler) dropIDs() {
	backends := make(map[memberKey]bool)
	for key, p := range r.pools {
		for _, m := range p.members {
			backends[memberKey{key.name, m.addr}] = true
		}
	}
	services := make(map[serviceKey]bool, len(r.servings))
	origins := make(map[dataplane.OriginKey]bool)
	for _, s := range r.servings {
		services[serviceKey{s.key, s.service.Pool}] = true
		for _, m := range s.pool.members {
			origins[originKey(m, s.key.Proto)] = true
		}
	}
	r.backends.keep(func(k memberKey) bool { return backends[k] })
	r.rings.keep(func(k poolKey) bool { return r.pools[k] != nil })
	r.services.keep(func(k serviceKey) bool { return services[k] })
	r.origins.keep(func(k dataplane.OriginKey) bool { return origins[k] })
	for id := range r.lingering {
		if _, retired := r.services.retired[id]; retired {
			delete(r.lingering, id)
		}
	}
}

// update moves the ring if its members changed.
func (p *poolRing) update(now time.Time, idle time.Duration) {
	entries := make([]maglev.Entry, len(p.members))
	alive := make(map[dataplane.BackendID]bool, len(p.members))
	for i, m := range p.members {
		entries[i] = maglev.Entry{Name: m.addr.String(), ID: m.id, Weight: m.weight}
		alive[m.id] = true
	}
	if p.mover.Ring() != nil && p.idle == idle && slices.Equal(entries, p.entries) {
		return
	}
	p.mover.Change(now, idle, maglev.Size(len(entries)), entries,
		func(id dataplane.BackendID) bool { return alive[id] })
	p.entries, p.idle = entries, idle
}
