package config

import (
	"cmp"
	"net/netip"
	"slices"

	"steelyard/control/model"
)

// snapshot builds the desired state from a file that validate accepted. It
// sorts everything, so that the order of the file leaves no trace.
func (f *file) snapshot() *model.Snapshot {
	s := &model.Snapshot{Node: f.node, Flows: f.flows, Announce: f.announce}
	for _, i := range f.interfaces {
		s.Interfaces = append(s.Interfaces, model.Interface{Name: i.name, Device: i.device, XDP: i.xdp})
	}
	for _, x := range f.vips {
		for _, p := range x.addrs {
			s.VIPs = append(s.VIPs, model.VIP{Name: x.name, Addr: p.addr, Interface: x.iface.text})
		}
	}
	for _, p := range f.pools {
		s.Pools = append(s.Pools, p.model())
	}
	for _, x := range f.services {
		s.Services = append(s.Services, x.model(f.flows))
	}
	slices.SortFunc(s.Interfaces, func(a, b model.Interface) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.VIPs, func(a, b model.VIP) int { return a.Addr.Compare(b.Addr) })
	slices.SortFunc(s.Pools, func(a, b model.Pool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Services, func(a, b model.Service) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func (p *pool) model() model.Pool {
	m := model.Pool{Name: p.name}
	for _, b := range p.backends {
		name := cmp.Or(b.name, b.addr.String())
		m.Backends = append(m.Backends, model.Backend{Name: name, Addr: b.addr, Weight: b.weight})
	}
	slices.SortFunc(m.Backends, func(a, b model.Backend) int { return a.Addr.Compare(b.Addr) })
	return m
}

func (s *service) model(flows model.Flows) model.Service {
	m := model.Service{
		Name: s.name, VIPs: slices.SortedFunc(slices.Values(s.vips), netip.Addr.Compare),
		Mode: s.mode, Pool: s.members.name, Track: s.track, UDPIdle: cmp.Or(s.udpIdle, flows.UDPIdle),
	}
	for _, p := range s.ports {
		m.Ports = append(m.Ports, p.Port)
	}
	slices.SortFunc(m.Ports, func(a, b model.Port) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
	})
	return m
}
