package reconcile

import (
	"net/netip"
	"slices"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// ways finds the route of many addresses in one topology.
type ways struct {
	routes map[netip.Prefix]*model.Route
	bits   [2][]int // prefix lengths in use, longest first; IPv4, IPv6
}

func newWays(topo *model.Topology) *ways {
	w := &ways{routes: make(map[netip.Prefix]*model.Route, len(topo.Routes))}
	for i := range topo.Routes {
		r := &topo.Routes[i]
		w.routes[r.Prefix] = r
		family := &w.bits[familyIndex(r.Prefix.Addr())]
		if !slices.Contains(*family, r.Prefix.Bits()) {
			*family = append(*family, r.Prefix.Bits())
		}
	}
	for i := range w.bits {
		slices.Sort(w.bits[i])
		slices.Reverse(w.bits[i])
	}
	return w
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// route returns the longest route that holds addr, or nil.
func (w *ways) route(addr netip.Addr) *model.Route {
	for _, bits := range w.bits[familyIndex(addr)] {
		p, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		if r, ok := w.routes[p]; ok {
			return r
		}
	}
	return nil
}

// to returns the next hop towards addr; unknown where there is none.
func (w *ways) to(addr netip.Addr) dataplane.NextHop {
	if r := w.route(addr); r != nil {
		return r.Next
	}
	return dataplane.NextHop{}
}
