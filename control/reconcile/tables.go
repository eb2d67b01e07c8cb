package reconcile

import (
	"net/netip"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// Tables is everything the packet path shall hold. Values are comparable, so
// that a difference is found by ==; a ring is immutable and equal to itself.
type Tables struct {
	Interfaces map[uint32]dataplane.Interface
	Routes     map[netip.Prefix]dataplane.NextHop
	Backends   map[dataplane.BackendID]dataplane.Backend
	Rings      map[dataplane.RingID]*dataplane.Ring
	Origins    map[dataplane.OriginKey]dataplane.Origin
	Services   map[dataplane.ServiceKey]dataplane.Service
	VIPs       map[netip.Addr]bool
}

func newTables() Tables {
	return Tables{
		Interfaces: make(map[uint32]dataplane.Interface),
		Routes:     make(map[netip.Prefix]dataplane.NextHop),
		Backends:   make(map[dataplane.BackendID]dataplane.Backend),
		Rings:      make(map[dataplane.RingID]*dataplane.Ring),
		Origins:    make(map[dataplane.OriginKey]dataplane.Origin),
		Services:   make(map[dataplane.ServiceKey]dataplane.Service),
		VIPs:       make(map[netip.Addr]bool),
	}
}

// buildInterfaces describes the devices that carry the program.
func buildInterfaces(t Tables, at *mirror, c *carriers) {
	for ifindex := range c.devices {
		link := at.byIndex[ifindex]
		if link == nil {
			continue
		}
		i := dataplane.Interface{Ifindex: ifindex, MAC: link.MAC}
		for _, p := range link.Addrs {
			addr := p.Addr()
			switch {
			case p.IsSingleIP() || addr.IsLinkLocalUnicast():
			case addr.Is4() && !i.Addr4.IsValid():
				i.Addr4 = addr
			case addr.Is6() && !i.Addr6.IsValid():
				i.Addr6 = addr
			}
		}
		t.Interfaces[ifindex] = i
	}
}

// hops degrades next hops that the program cannot send to: the kernel will. It
// asks once for each device.
type hops struct {
	ask   func(ifindex uint32) bool
	known map[uint32]bool
}

func newHops(canSend func(uint32) bool) hops {
	return hops{ask: canSend, known: make(map[uint32]bool)}
}

func (h hops) usable(n dataplane.NextHop) dataplane.NextHop {
	if n.Kind != dataplane.NextHopNeighbor {
		return n
	}
	can, ok := h.known[n.Ifindex]
	if !ok {
		can = h.ask(n.Ifindex)
		h.known[n.Ifindex] = can
	}
	if !can {
		return dataplane.NextHop{}
	}
	return n
}

// buildRoutes mirrors the ways back to clients.
func buildRoutes(t Tables, at *mirror, h hops) {
	for i := range at.topo.Routes {
		r := &at.topo.Routes[i]
		t.Routes[r.Prefix] = h.usable(r.Next)
	}
}

// buildBackends gives every backend its next hop.
func buildBackends(t Tables, pools map[poolKey]*poolRing, at *mirror, h hops) {
	for _, p := range pools {
		for _, m := range p.members {
			t.Backends[m.id] = dataplane.Backend{
				ID:    m.id,
				Addr:  m.addr,
				Alive: true,
				Next:  h.usable(at.to(m.addr.Addr())),
			}
		}
		t.Rings[p.id] = p.mover.Ring()
	}
}

// serving is one service key and what stands behind it.
type serving struct {
	key     dataplane.ServiceKey
	id      dataplane.ServiceID
	service *model.Service
	pool    *poolRing
}

// serviceKey is a service key through its life on one pool. On another pool it
// gets another number: what is remembered of its flows names backends that are
// not its own any more.
type serviceKey struct {
	dataplane.ServiceKey
	pool string
}

// listServings lists the service keys of a snapshot and numbers them.
func (r *Reconciler) listServings(snap *model.Snapshot) []serving {
	var list []serving
	for i := range snap.Services {
		s := &snap.Services[i]
		for _, vip := range s.VIPs {
			p := r.pools[poolKey{s.Pool, vip.Is6()}]
			for _, port := range s.Ports {
				key := dataplane.ServiceKey{Addr: vip, Port: port.Port, Proto: port.Proto}
				id, _ := r.services.get(serviceKey{key, s.Pool})
				list = append(list, serving{key, id, s, p})
			}
		}
	}
	return list
}

// idleOf is how long a flow of a protocol on a service may be silent.
func idleOf(flows model.Flows, s *model.Service, proto dataplane.Protocol) time.Duration {
	if proto == dataplane.TCP {
		return flows.TCPEstablished
	}
	return s.UDPIdle
}

// buildServices fills services and origins. A backend address:port that more
// than one service key leads to makes an origin shared: its replies are
// ambiguous, so its services remember every flow.
func (r *Reconciler) buildServices(t Tables, snap *model.Snapshot) {
	users := make(map[dataplane.OriginKey]int)
	for _, s := range r.servings {
		for _, m := range s.pool.members {
			users[originKey(m, s.key.Proto)]++
		}
	}
	for _, s := range r.servings {
		svc := dataplane.Service{
			ID:    s.id,
			Ring:  s.pool.id,
			Mode:  s.service.Mode,
			Track: s.service.Track,
			Idle:  idleOf(snap.Flows, s.service, s.key.Proto),
		}
		for _, m := range s.pool.members {
			key := originKey(m, s.key.Proto)
			shared := users[key] > 1
			if shared {
				svc.SharedReplies, svc.Track = true, dataplane.TrackAlways
			}
			r.buildOrigin(t, key, s, svc, m, shared)
		}
		svc.Track = r.linger(s.key, svc)
		t.Services[s.key] = svc
	}
	for _, v := range snap.VIPs {
		t.VIPs[v.Addr] = true
	}
}

// linger keeps a service that remembered every flow at it until a scan of the
// flow table says that it need not any more: until then it may hold flows that
// live elsewhere than on a quiet slot's backend, and nothing else knows them.
func (r *Reconciler) linger(key dataplane.ServiceKey, svc dataplane.Service) dataplane.Track {
	was := r.have.services.have[key] // also in doubt: it may be so still
	if svc.Track != dataplane.TrackMoved || was.ID != svc.ID || was.Track != dataplane.TrackAlways {
		delete(r.lingering, svc.ID)
		return svc.Track
	}
	if calm, known := r.lingering[svc.ID]; !known || !calm {
		r.lingering[svc.ID] = false
		return dataplane.TrackAlways
	}
	return dataplane.TrackMoved
}

func (r *Reconciler) buildOrigin(t Tables, key dataplane.OriginKey, s serving, svc dataplane.Service, m member, shared bool) {
	id, _ := r.origins.get(key)
	o := dataplane.Origin{
		ID:     uint32(id),
		Shared: shared,
		Idle:   max(t.Origins[key].Idle, svc.Idle),
	}
	if !shared {
		o.Service, o.ServiceID, o.Backend = s.key, svc.ID, m.id
	}
	t.Origins[key] = o
}

func originKey(m member, proto dataplane.Protocol) dataplane.OriginKey {
	return dataplane.OriginKey{Addr: m.addr.Addr(), Port: m.addr.Port(), Proto: proto}
}
