package vip

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// wayKind is where a route leads.
type wayKind uint8

const (
	wayUnknown wayKind = iota // the kernel knows
	wayLocal                  // to the box itself
	wayDirect                 // on-link: the destination is the neighbour
	wayGateway                // to a router
)

// way is the route that the kernel uses for a prefix.
type way struct {
	prefix netip.Prefix
	kind   wayKind
	oif    uint32     // valid iff kind is wayDirect or wayGateway
	gw     netip.Addr // valid iff kind == wayGateway
	mtu    int        // bytes, 0 = the link's
}

// ways is the routing table as the kernel reads it: the local table first, then
// the longest prefix of the main table, of equal prefixes the lowest metric.
// Prefixes that mean something else on every link are left out.
type ways struct {
	list  []way
	index map[netip.Prefix]int // places in list
	bits  [2][]int             // lengths that occur in a family, longest first
}

// newWays reads the routes of which wanted accepts the prefix.
func newWays(routes []route, wanted func(netip.Prefix) bool) *ways {
	w := &ways{
		list:  make([]way, 0, len(routes)),
		index: make(map[netip.Prefix]int, len(routes)),
	}
	var ranges []netip.Prefix // of the local table, other than hosts
	for i := range routes {
		r := &routes[i]
		if r.table != tableLocal || isPerLink(r.prefix) || !wanted(r.prefix) {
			continue
		}
		if !r.prefix.IsSingleIP() {
			ranges = append(ranges, r.prefix)
		}
		// The same address on two devices is one address of the box.
		if at, ok := w.index[r.prefix]; !ok {
			w.add(toWay(r))
		} else if w.list[at].kind != wayLocal {
			w.list[at] = toWay(r)
		}
	}
	local := len(w.list)
	metrics := make([]uint32, 0, len(routes)) // of w.list[local:]
	for i := range routes {
		r := &routes[i]
		if r.table != tableMain || isPerLink(r.prefix) || !wanted(r.prefix) || inAny(ranges, r.prefix) {
			continue
		}
		at, seen := w.index[r.prefix]
		switch {
		case !seen:
			w.add(toWay(r))
			metrics = append(metrics, r.metric)
		case at < local: // the local table has the same prefix
		case r.metric < metrics[at-local]:
			w.list[at], metrics[at-local] = toWay(r), r.metric
		case r.metric == metrics[at-local]:
			// Several ways that the kernel chooses from by more than the
			// destination.
			w.list[at] = way{prefix: r.prefix}
		}
	}
	w.noteBits()
	return w
}

func (w *ways) add(x way) {
	w.index[x.prefix] = len(w.list)
	w.list = append(w.list, x)
}

// inAny says whether p lies within one of the ranges, whose routes come first.
func inAny(ranges []netip.Prefix, p netip.Prefix) bool {
	for _, r := range ranges {
		if r.Bits() <= p.Bits() && r.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func toWay(r *route) way {
	w := way{prefix: r.prefix, oif: r.oif, gw: r.gw, mtu: r.mtu}
	switch {
	case r.table == tableLocal && (r.kind == unix.RTN_LOCAL || r.kind == unix.RTN_ANYCAST):
		return way{prefix: r.prefix, kind: wayLocal}
	case r.table == tableLocal || r.kind != unix.RTN_UNICAST || r.special || r.dead || r.oif == 0:
		return way{prefix: r.prefix}
	case r.gw.IsValid() && !r.gw.IsUnspecified():
		w.kind = wayGateway
	default:
		w.kind, w.gw = wayDirect, netip.Addr{}
	}
	return w
}

func (w *ways) noteBits() {
	var seen [2][129]bool
	for i := range w.list {
		p := w.list[i].prefix
		seen[famIndex(p.Addr())][p.Bits()] = true
	}
	for family := range seen {
		for bits := 128; bits >= 0; bits-- {
			if seen[family][bits] {
				w.bits[family] = append(w.bits[family], bits)
			}
		}
	}
}

// lookup returns the way to addr, nil where there is none.
func (w *ways) lookup(addr netip.Addr) *way {
	for _, bits := range w.bits[famIndex(addr)] {
		p, err := addr.Prefix(bits)
		if err != nil {
			return nil // the zero Addr
		}
		if at, ok := w.index[p]; ok {
			return &w.list[at]
		}
	}
	return nil
}
