package reconcile

import (
	"net/netip"
	"slices"
	"strings"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// Status is what the packet path does now, in words.
type Status struct {
	Revision   uint64 // of the snapshot in force; 0 = none yet
	Node       string
	Interfaces []InterfaceStatus
	VIPs       []VIPStatus
	Services   []ServiceStatus
	// Asking counts ring slots that ask the flow table at present.
	Asking int
	// Problems is what keeps the desired state from being reached; Limits
	// what works, but not as fast as it could.
	Problems []string
	Limits   []string
}

// InterfaceStatus is a configured interface.
type InterfaceStatus struct {
	Name, Device string
	Ifindex      uint32               // 0 = not attached
	Mode         dataplane.AttachMode // valid iff attached
	Up           bool
}

// VIPStatus is one virtual address.
type VIPStatus struct {
	Name    string
	Addr    netip.Addr
	Device  string // "" = not claimed
	Ifindex uint32
}

// ServiceStatus is one service key.
type ServiceStatus struct {
	Name     string
	Key      dataplane.ServiceKey
	Pool     string
	Service  dataplane.Service
	Backends []BackendStatus
}

// BackendStatus is a backend of a service.
type BackendStatus struct {
	ID     dataplane.BackendID
	Name   string
	Addr   netip.AddrPort
	Weight int
	Next   dataplane.NextHop
}

// Status describes what the last step came to.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	snap, topo := r.last.snapshot, r.last.topology
	if snap == nil {
		return Status{Problems: r.last.problems}
	}
	s := Status{
		Revision: snap.Revision,
		Node:     snap.Node,
		Problems: slices.Clone(r.last.problems),
		Limits:   slices.Clone(topo.Limits),
	}
	for _, i := range snap.Interfaces {
		s.Interfaces = append(s.Interfaces, r.interfaceStatus(i, topo))
	}
	for _, v := range snap.VIPs {
		s.VIPs = append(s.VIPs, r.vipStatus(v, topo))
	}
	for _, sv := range servings(snap, r.pools) {
		s.Services = append(s.Services, r.serviceStatus(sv))
	}
	slices.SortFunc(s.Services, func(a, b ServiceStatus) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Key.String(), b.Key.String())
	})
	for _, p := range r.pools {
		s.Asking += p.mover.Moving()
	}
	return s
}

func (r *Reconciler) interfaceStatus(i model.Interface, topo *model.Topology) InterfaceStatus {
	s := InterfaceStatus{Name: i.Name, Device: i.Device}
	if a, ok := r.attached[i.Name]; ok {
		s.Ifindex, s.Mode = a.ifindex, a.mode
	}
	if link := topo.LinkByName(i.Device); link != nil {
		s.Up = link.Up
	}
	return s
}

func (r *Reconciler) vipStatus(v model.VIP, topo *model.Topology) VIPStatus {
	s := VIPStatus{Name: v.Name, Addr: v.Addr}
	for _, c := range r.claims {
		if c.Addr != v.Addr {
			continue
		}
		s.Ifindex = c.Ifindex
		if link := linkByIndex(topo, c.Ifindex); link != nil {
			s.Device = link.Name
		}
	}
	return s
}

func (r *Reconciler) serviceStatus(sv serving) ServiceStatus {
	s := ServiceStatus{
		Name:    sv.service.Name,
		Key:     sv.key,
		Pool:    sv.service.Pool,
		Service: r.have.services[sv.key],
	}
	for _, m := range sv.pool.members {
		s.Backends = append(s.Backends, BackendStatus{
			ID: m.id, Name: m.name, Addr: m.addr, Weight: m.weight,
			Next: r.have.backends[m.id].Next,
		})
	}
	return s
}
