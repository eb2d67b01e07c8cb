package reconcile

import (
	"net/netip"
	"slices"
	"strconv"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// mirror answers many questions about one topology quickly.
type mirror struct {
	topo    *model.Topology
	byIndex map[uint32]*model.Link
	byName  map[string]*model.Link
	subnets []subnet // longest prefix first
	routes  map[netip.Prefix]*model.Route
	bits    [2][]int // prefix lengths in use, longest first; IPv4, IPv6
}

// subnet is an address range that a link of the box is in.
type subnet struct {
	prefix netip.Prefix
	link   *model.Link
}

func newMirror(topo *model.Topology) *mirror {
	m := &mirror{
		topo:    topo,
		byIndex: make(map[uint32]*model.Link, len(topo.Links)),
		byName:  make(map[string]*model.Link, len(topo.Links)),
		routes:  make(map[netip.Prefix]*model.Route, len(topo.Routes)),
	}
	for i := range topo.Links {
		l := &topo.Links[i]
		m.byIndex[l.Index], m.byName[l.Name] = l, l
		for _, p := range l.Addrs {
			if !p.IsSingleIP() { // those are VIPs, or alone
				m.subnets = append(m.subnets, subnet{p.Masked(), l})
			}
		}
	}
	slices.SortStableFunc(m.subnets, func(a, b subnet) int { return b.prefix.Bits() - a.prefix.Bits() })
	m.indexRoutes()
	return m
}

func (m *mirror) indexRoutes() {
	var seen [2][129]bool
	for i := range m.topo.Routes {
		r := &m.topo.Routes[i]
		m.routes[r.Prefix] = r
		seen[familyIndex(r.Prefix.Addr())][r.Prefix.Bits()] = true
	}
	for family := range seen {
		for bits := 128; bits >= 0; bits-- {
			if seen[family][bits] {
				m.bits[family] = append(m.bits[family], bits)
			}
		}
	}
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// route returns the longest route that holds addr and that accept takes, or
// nil.
func (m *mirror) route(addr netip.Addr, accept func(*model.Route) bool) *model.Route {
	for _, bits := range m.bits[familyIndex(addr)] {
		p, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if r, ok := m.routes[p]; ok && accept(r) {
			return r
		}
	}
	return nil
}

// to returns the next hop towards addr; unknown where there is none.
func (m *mirror) to(addr netip.Addr) dataplane.NextHop {
	if r := m.route(addr, func(*model.Route) bool { return true }); r != nil {
		return r.Next
	}
	return dataplane.NextHop{}
}

// leavingBy returns the link that frames to a next hop leave by, or nil. It
// may be a VLAN of the device that they leave by in the end.
func (m *mirror) leavingBy(n dataplane.NextHop) *model.Link {
	if n.Kind != dataplane.NextHopNeighbor {
		return nil
	}
	if n.VLAN == 0 {
		return m.byIndex[n.Ifindex]
	}
	for i := range m.topo.Links {
		if l := &m.topo.Links[i]; l.VLAN == n.VLAN && physical(l) == n.Ifindex {
			return l
		}
	}
	return nil
}

func (m *mirror) nameOf(ifindex uint32) string {
	if l := m.byIndex[ifindex]; l != nil {
		return l.Name
	}
	return strconv.FormatUint(uint64(ifindex), 10)
}

// physical returns the device that frames of a link leave by.
func physical(l *model.Link) uint32 {
	if l.Physical == 0 {
		return l.Index
	}
	return l.Physical
}
