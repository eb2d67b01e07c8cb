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
		Verdicts:   verdicts(counters),
		Flows:      api.Flows{Capacity: p.d.path.FlowCapacity(), Asking: s.Asking, FlowTableCount: counters.Flows},
		Problems:   s.Problems,
		Limits:     s.Limits,
	}
	for _, i := range s.Interfaces {
		answer.Interfaces = append(answer.Interfaces, api.Interface{Name: i.Name, Device: i.Device, Ifindex: i.Ifindex, XDP: i.Mode, Up: i.Up})
	}
	look := newLookup(p.d.path)
	for _, sv := range s.Services {
		service, err := look.service(sv)
		if err != nil {
			return api.Status{}, err
		}
		answer.Services = append(answer.Services, service)
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

// lookup asks the kernel once for what many services share: thousands of them
// may have the same pool.
type lookup struct {
	path     *packetPath
	counts   map[dataplane.BackendID]dataplane.BackendCount
	devices  map[uint32]string // names by ifindex
	nextHops map[dataplane.NextHop]string
}

func newLookup(path *packetPath) *lookup {
	return &lookup{
		path:     path,
		counts:   make(map[dataplane.BackendID]dataplane.BackendCount),
		devices:  make(map[uint32]string),
		nextHops: make(map[dataplane.NextHop]string),
	}
}

func (l *lookup) service(s reconcile.ServiceStatus) (api.Service, error) {
	service := api.Service{
		Name:      s.Name,
		Addr:      s.Key.Addr,
		Port:      s.Key.Port,
		Protocol:  s.Key.Proto.String(),
		Mode:      s.Service.Mode.String(),
		Track:     s.Service.Track.String(),
		Scheduler: "maglev",
		Pool:      s.Pool,
		Backends:  make([]api.Backend, 0, len(s.Backends)),
	}
	for _, b := range s.Backends {
		count, err := l.count(b.ID)
		if err != nil {
			return service, err
		}
		service.Backends = append(service.Backends, api.Backend{
			Name: b.Name, Addr: b.Addr, Weight: b.Weight,
			NextHop:      l.nextHop(b.Next),
			BackendCount: count,
		})
	}
	return service, nil
}

func (l *lookup) count(id dataplane.BackendID) (dataplane.BackendCount, error) {
	if count, ok := l.counts[id]; ok {
		return count, nil
	}
	count, err := l.path.BackendCount(id)
	if err == nil {
		l.counts[id] = count
	}
	return count, err
}

func (l *lookup) nextHop(n dataplane.NextHop) string {
	if n.Kind != dataplane.NextHopNeighbor {
		return "unresolved"
	}
	text, ok := l.nextHops[n]
	if !ok {
		text = net.HardwareAddr(n.Dst[:]).String() + l.device(n.Ifindex)
		if n.VLAN != 0 {
			text += fmt.Sprintf(".%d", n.VLAN)
		}
		l.nextHops[n] = text
	}
	return text
}

// device returns a space and the name of a device, or nothing where it is gone.
func (l *lookup) device(ifindex uint32) string {
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
