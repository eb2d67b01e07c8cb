package reconcile

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// Status is what the packet path does now, in words.
type Status struct {
	Revision   uint64 // of the snapshot that the tables hold; 0 = none yet
	Node       string
	Interfaces []InterfaceStatus
	VIPs       []VIPStatus
	Services   []ServiceStatus
	// Asking counts the ring slots that ask the flow table.
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

// Status describes what the last step came to. It waits for one that is going
// on.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	snap := r.last.snapshot
	if snap == nil {
		return Status{}
	}
	s := Status{
		Revision: r.last.inForce,
		Node:     snap.Node,
		Problems: slices.Clone(r.last.problems),
		Limits:   slices.Clone(r.at.topo.Limits),
	}
	for _, i := range snap.Interfaces {
		s.Interfaces = append(s.Interfaces, r.interfaceStatus(i))
	}
	for _, v := range snap.VIPs {
		s.VIPs = append(s.VIPs, r.vipStatus(v))
	}
	for _, sv := range r.servings {
		s.Services = append(s.Services, r.serviceStatus(sv))
	}
	slices.SortFunc(s.Services, func(a, b ServiceStatus) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), a.Key.Addr.Compare(b.Key.Addr),
			cmp.Compare(a.Key.Proto, b.Key.Proto), cmp.Compare(a.Key.Port, b.Key.Port))
	})
	for _, p := range r.pools {
		s.Asking += p.mover.Moving()
	}
	return s
}

func (r *Reconciler) interfaceStatus(i model.Interface) InterfaceStatus {
	s := InterfaceStatus{Name: i.Name, Device: i.Device}
	if ifindex, dev, ok := r.carriers.named(i.Name); ok {
		s.Ifindex, s.Mode = ifindex, dev.got
	}
	if link := r.at.byName[i.Device]; link != nil {
		s.Up = link.Up
	}
	return s
}

func (r *Reconciler) vipStatus(v model.VIP) VIPStatus {
	s := VIPStatus{Name: v.Name, Addr: v.Addr}
	if c, ok := r.claims[v.Addr]; ok {
		s.Ifindex, s.Device = c.Ifindex, r.at.nameOf(c.Ifindex)
	}
	return s
}

func (r *Reconciler) serviceStatus(sv serving) ServiceStatus {
	s := ServiceStatus{
		Name:     sv.service.Name,
		Key:      sv.key,
		Pool:     sv.service.Pool,
		Service:  r.have.services.have[sv.key],
		Backends: make([]BackendStatus, len(sv.pool.members)),
	}
	for i, m := range sv.pool.members {
		s.Backends[i] = BackendStatus{
			ID: m.id, Name: m.name, Addr: m.addr, Weight: m.weight,
			Next: r.have.backends.have[m.id].Next,
		}
	}
	return s
}
