package main

import (
	"fmt"
	"net"
	"net/netip"

	"steelyard/control/api"
	"steelyard/control/reconcile"
	"steelyard/dataplane"
)

// statusProvider puts together what the parts of the daemon know.
type statusProvider struct{ d *daemon }

// Status implements api.Provider.
func (p *statusProvider) Status() (api.Status, error) {
	s := p.d.rec.Status()
	counters, err := p.d.path.Counters()
	if err != nil {
		return api.Status{}, err
	}
	answer := api.Status{
		Version:    version,
		Node:       s.Node,
		Revision:   s.Revision,
		Interfaces: []api.Interface{},
		VIPs:       p.vips(s.VIPs),
		Services:   []api.Service{},
		Pools:      []api.Pool{},
		Verdicts:   verdicts(counters),
		Flows:      api.Flows{Capacity: p.d.path.FlowCapacity(), Asking: s.Asking, FlowTableCount: counters.Flows},
		Problems:   s.Problems,
		Limits:     s.Limits,
	}
	for _, i := range s.Interfaces {
		answer.Interfaces = append(answer.Interfaces, api.Interface{Name: i.Name, Device: i.Device, Ifindex: i.Ifindex, XDP: i.Mode, Up: i.Up})
	}
	names := newNames()
	listed := make(map[dataplane.RingID]bool)
	for _, sv := range s.Services {
		answer.Services = append(answer.Services, service(sv))
		if listed[sv.Service.Ring] {
			continue // thousands of services may share a pool
		}
		listed[sv.Service.Ring] = true
		pool, err := p.pool(sv, names)
		if err != nil {
			return api.Status{}, err
		}
		answer.Pools = append(answer.Pools, pool)
	}
	if refused := p.d.refused.Load(); refused != nil {
		answer.Reload = *refused
	}
	return answer, nil
}

func (p *statusProvider) vips(list []reconcile.VIPStatus) []api.VIP {
	foreign := make(map[netip.Addr]bool)
	for _, a := range p.d.addresses.Foreign() {
		foreign[a] = true
	}
	said := make(map[netip.Addr]api.VIP)
	for _, a := range p.d.announcer.Stats() {
		v := api.VIP{Sent: a.Sent}
		if a.LastError != nil {
			v.Error = a.LastError.Error()
		}
		said[a.Address.Addr] = v
	}
	vips := []api.VIP{}
	for _, v := range list {
		vip := said[v.Addr]
		vip.Name, vip.Addr, vip.Device, vip.Foreign = v.Name, v.Addr, v.Device, foreign[v.Addr]
		vips = append(vips, vip)
	}
	return vips
}

func service(s reconcile.ServiceStatus) api.Service {
	return api.Service{
		Name:      s.Name,
		Addr:      s.Key.Addr,
		Port:      s.Key.Port,
		Protocol:  s.Key.Proto.String(),
		Mode:      s.Service.Mode.String(),
		Track:     s.Service.Track.String(),
		Scheduler: "maglev",
		Pool:      s.Pool,
		PoolID:    uint32(s.Service.Ring),
	}
}

// pool describes the pool of a service, with its counters.
func (p *statusProvider) pool(s reconcile.ServiceStatus, names *names) (api.Pool, error) {
	pool := api.Pool{
		ID:       uint32(s.Service.Ring),
		Name:     s.Pool,
		Backends: make([]api.Backend, 0, len(s.Backends)),
	}
	for _, b := range s.Backends {
		count, err := p.d.path.BackendCount(b.ID)
		if err != nil {
			return pool, err
		}
		pool.Backends = append(pool.Backends, api.Backend{
			Name: b.Name, Addr: b.Addr, Weight: b.Weight,
			NextHop:      names.nextHop(b.Next),
			BackendCount: count,
		})
	}
	return pool, nil
}

// names asks the kernel once for the name of each device.
type names struct{ devices map[uint32]string }

func newNames() *names { return &names{devices: make(map[uint32]string)} }

func (l *names) nextHop(n dataplane.NextHop) string {
	if n.Kind != dataplane.NextHopNeighbor {
		return "unresolved"
	}
	text := net.HardwareAddr(n.Dst[:]).String() + l.device(n.Ifindex)
	if n.VLAN != 0 {
		text += fmt.Sprintf(".%d", n.VLAN)
	}
	return text
}

// device returns a space and the name of a device, or nothing where it is gone.
func (l *names) device(ifindex uint32) string {
	name, ok := l.devices[ifindex]
	if !ok {
		if dev, err := net.InterfaceByIndex(int(ifindex)); err == nil {
			name = " " + dev.Name
		}
		l.devices[ifindex] = name
	}
	return name
}

// verdicts lists what happened, in the order of the packet path.
func verdicts(c dataplane.Counters) []api.Verdict {
	list := []api.Verdict{}
	for v, n := range c.Verdicts {
		verdict := dataplane.Verdict(v)
		if n.Packets == 0 {
			continue
		}
		list = append(list, api.Verdict{Name: verdict.String(), Action: verdict.Action(), Doc: verdict.Doc(), Count: n})
	}
	return list
}
