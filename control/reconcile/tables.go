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
func buildInterfaces(t Tables, topo *model.Topology, attached map[string]attachedDevice) {
	for _, a := range attached {
		link := linkByIndex(topo, a.ifindex)
		if link == nil {
			continue
		}
		i := dataplane.Interface{Ifindex: a.ifindex, MAC: link.MAC}
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
		t.Interfaces[a.ifindex] = i
	}
}

// buildRoutes mirrors the ways back to clients.
func buildRoutes(t Tables, topo *model.Topology, canSend func(uint32) bool) {
	for _, r := range topo.Routes {
		t.Routes[r.Prefix] = usable(r.Next, canSend)
	}
}

// usable degrades a next hop that the program cannot send to: the kernel will.
func usable(n dataplane.NextHop, canSend func(uint32) bool) dataplane.NextHop {
	if n.Kind == dataplane.NextHopNeighbor && !canSend(n.Ifindex) {
		return dataplane.NextHop{}
	}
	return n
}

// buildBackends gives every backend its next hop.
func buildBackends(t Tables, pools map[poolKey]*poolRing, ways *ways, canSend func(uint32) bool) {
	for _, p := range pools {
		for _, m := range p.members {
			t.Backends[m.id] = dataplane.Backend{
				ID:    m.id,
				Addr:  m.addr,
				Alive: true,
				Next:  usable(ways.to(m.addr.Addr()), canSend),
			}
		}
		if p.mover.Ring() != nil {
			t.Rings[p.id] = p.mover.Ring()
		}
	}
}

// serving is one service key and what stands behind it.
type serving struct {
	key     dataplane.ServiceKey
	service *model.Service
	pool    *poolRing
}

// servings lists the service keys of a snapshot whose pool has a ring.
func servings(snap *model.Snapshot, pools map[poolKey]*poolRing) []serving {
	var list []serving
	for i := range snap.Services {
		s := &snap.Services[i]
		for _, vip := range s.VIPs {
			p := pools[poolKey{s.Pool, vip.Is6()}]
			if p == nil {
				continue
			}
			for _, port := range s.Ports {
				key := dataplane.ServiceKey{Addr: vip, Port: port.Port, Proto: port.Proto}
				list = append(list, serving{key, s, p})
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
func (r *Reconciler) buildServices(t Tables, snap *model.Snapshot, list []serving) {
	users := make(map[dataplane.OriginKey]int)
	for _, s := range list {
		for _, m := range s.pool.members {
			users[originKey(m, s.key.Proto)]++
		}
	}
	for _, s := range list {
		id, _ := r.services.get(s.key)
		svc := dataplane.Service{
			ID:    id,
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
		t.Services[s.key] = svc
	}
	for _, v := range snap.VIPs {
		t.VIPs[v.Addr] = true
	}
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

func linkByIndex(topo *model.Topology, index uint32) *model.Link {
	for i := range topo.Links {
		if topo.Links[i].Index == index {
			return &topo.Links[i]
		}
	}
	return nil
}
