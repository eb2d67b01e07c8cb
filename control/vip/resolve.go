package vip

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// usableStates are the neighbour states in which the kernel itself would send
// to the MAC it has.
const usableStates = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY |
	netlink.NUD_PROBE | netlink.NUD_PERMANENT | netlink.NUD_NOARP

// hop is one neighbour of one link: what has a MAC, or should have.
type hop struct {
	ifindex uint32 // of the link that has the address, not of the carrier
	addr    netip.Addr
}

// view is a state with every question about it answered.
type view struct {
	topology model.Topology // Revision unset
	ways     *ways          // the kernel's routes, without host entries of neighbours
	egress   map[uint32]egress
	neighs   map[hop]neighbour
}

// resolve turns what the kernel listed into a Topology. carriers are the names
// of the devices that carry the packet path's program. It is pure.
func resolve(s *state, carriers map[string]bool) *view {
	d := newDevices(s.links, carriers)
	v := &view{
		egress: make(map[uint32]egress, len(s.links)),
		neighs: make(map[hop]neighbour, len(s.neighs)),
	}
	for _, l := range s.links {
		v.egress[l.index] = d.egress(l.index)
	}
	for _, n := range s.neighs {
		v.neighs[hop{n.ifindex, n.addr}] = n
	}
	v.topology.Links = modelLinks(s, d)
	v.topology.Limits = d.limits(s.links)
	limited := familyLimits(s)
	for _, text := range limited {
		if text != "" {
			v.topology.Limits = append(v.topology.Limits, text)
		}
	}
	v.ways = newWays(s.routes, func(p netip.Prefix) bool { return limited[famIndex(p.Addr())] == "" })
	v.addRoutes()
	slices.Sort(v.topology.Limits)
	return v
}

// familyLimits says for each family why its routes cannot be mirrored; "" where
// they can.
func familyLimits(s *state) (texts [2]string) {
	names := [2]string{"IPv4", "IPv6"}
	for i, name := range names {
		if s.tooMany[i] {
			texts[i] = tooManyText(name)
		}
	}
	for _, r := range s.rules {
		i := 0
		if r.v6 {
			i = 1
		}
		if texts[i] == "" && !isDefaultRule(r) {
			texts[i] = fmt.Sprintf("%s: policy rule %d is not one of the kernel's own: all %s packets are left to the kernel",
				names[i], r.priority, names[i])
		}
	}
	return texts
}

func tooManyText(family string) string {
	return fmt.Sprintf("%s: more than %d routes: all %s packets are left to the kernel", family, maxRoutes, family)
}

// isDefaultRule recognises what the kernel starts with: local, main, default.
func isDefaultRule(r rule) bool {
	switch r.priority {
	case 0:
		return r.plain && r.table == tableLocal
	case 32766:
		return r.plain && r.table == tableMain
	case 32767:
		return r.plain && r.table == unix.RT_TABLE_DEFAULT
	}
	return false
}

func modelLinks(s *state, d *devices) []model.Link {
	addrs := make(map[uint32][]netip.Prefix)
	for _, a := range s.addrs {
		addrs[a.ifindex] = append(addrs[a.ifindex], a.prefix)
	}
	links := make([]model.Link, 0, len(s.links))
	for i := range s.links {
		l := &s.links[i]
		m := model.Link{Index: l.index, Name: l.name, MAC: l.mac, Up: l.up, MTU: l.mtu, Addrs: addrs[l.index]}
		slices.SortFunc(m.Addrs, netip.Prefix.Compare)
		m.Physical, m.VLAN = d.physical(l)
		links = append(links, m)
	}
	slices.SortFunc(links, func(a, b model.Link) int { return int(a.Index) - int(b.Index) })
	return links
}

// addRoutes fills in Topology.Routes: the kernel's routes, and a host entry for
// each neighbour that the kernel would reach directly.
func (v *view) addRoutes() {
	routes := make([]model.Route, len(v.ways.list), len(v.ways.list)+len(v.neighs))
	for i := range v.ways.list {
		routes[i] = v.modelRoute(&v.ways.list[i])
	}
	for h := range v.neighs {
		w := v.ways.lookup(h.addr)
		host := netip.PrefixFrom(h.addr, h.addr.BitLen())
		if w == nil || w.kind != wayDirect || w.oif != h.ifindex || isPerLink(host) {
			continue
		}
		next := v.nextHop(h, w.mtu)
		if next.Kind != dataplane.NextHopNeighbor {
			continue
		}
		entry := model.Route{Prefix: host, Next: next}
		if at, ok := v.ways.index[host]; ok {
			routes[at] = entry // the kernel has a route to this host alone
		} else {
			routes = append(routes, entry)
		}
	}
	slices.SortFunc(routes, func(a, b model.Route) int { return a.Prefix.Compare(b.Prefix) })
	v.topology.Routes = v.bounded(routes)
}

// bounded leaves out the families that have become too many entries. IPv4
// sorts first.
func (v *view) bounded(routes []model.Route) []model.Route {
	first6 := slices.IndexFunc(routes, func(r model.Route) bool { return r.Prefix.Addr().Is6() })
	if first6 < 0 {
		first6 = len(routes)
	}
	v4, v6 := routes[:first6], routes[first6:]
	if len(v6) > maxRoutes {
		v.topology.Limits = append(v.topology.Limits, tooManyText("IPv6"))
		routes = v4
	}
	if len(v4) > maxRoutes {
		v.topology.Limits = append(v.topology.Limits, tooManyText("IPv4"))
		routes = routes[first6:]
	}
	return routes
}

func (v *view) modelRoute(w *way) model.Route {
	r := model.Route{Prefix: w.prefix}
	switch w.kind {
	case wayLocal:
		r.Next.Kind = dataplane.NextHopLocal
	case wayGateway:
		r.Next = v.nextHop(hop{w.oif, w.gw}, w.mtu)
		if r.Next.Kind == dataplane.NextHopNeighbor {
			r.Gateway = w.gw
		}
	}
	return r
}

// nextHop is the way to one neighbour, or NextHopUnknown. routeMTU is the
// route's own limit in bytes, 0 = none.
func (v *view) nextHop(h hop, routeMTU int) dataplane.NextHop {
	out, n := v.egress[h.ifindex], v.neighs[h]
	if !out.ok || n.state&usableStates == 0 || n.mac == (dataplane.MAC{}) {
		return dataplane.NextHop{}
	}
	mtu := out.mtu
	if routeMTU > 0 {
		mtu = min(mtu, routeMTU)
	}
	return dataplane.NextHop{
		Kind:    dataplane.NextHopNeighbor,
		Ifindex: out.ifindex,
		VLAN:    out.vlan,
		MTU:     uint16(min(mtu, math.MaxUint16)),
		Dst:     n.mac,
		Src:     out.src,
	}
}

// isPerLink says that a destination means something else on every link, or a
// group: such packets are the kernel's.
func isPerLink(p netip.Prefix) bool {
	a := p.Addr()
	return a.IsLinkLocalUnicast() && a.Is6() || a.IsMulticast()
}
