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
type ways struct {
	all   map[netip.Prefix]way
	local map[netip.Prefix]bool // those of the local table
	bits  [2][]int              // lengths that occur in a family, longest first
}

func newWays() ways {
	return ways{all: make(map[netip.Prefix]way), local: make(map[netip.Prefix]bool)}
}

// fill adds the routes whose prefix is wanted.
func (w *ways) fill(routes []route, wanted func(netip.Prefix) bool) {
	metric := make(map[netip.Prefix]uint32)
	var ranges []netip.Prefix // of the local table, other than hosts
	for _, r := range routes {
		if r.table != tableLocal || !wanted(r.prefix) {
			continue
		}
		w.local[r.prefix] = true
		if !r.prefix.IsSingleIP() {
			ranges = append(ranges, r.prefix)
		}
		// The same address on two devices is one address of the box.
		if old, ok := w.all[r.prefix]; !ok || old.kind != wayLocal {
			w.all[r.prefix] = toWay(r)
		}
	}
	for _, r := range routes {
		if r.table != tableMain || !wanted(r.prefix) || w.local[r.prefix] || inAny(ranges, r.prefix) {
			continue
		}
		old, seen := metric[r.prefix]
		switch {
		case !seen || r.metric < old:
			metric[r.prefix] = r.metric
			w.all[r.prefix] = toWay(r)
		case r.metric == old:
			// Several ways that the kernel chooses from by more than the
			// destination.
			w.all[r.prefix] = way{prefix: r.prefix}
		}
	}
	w.index()
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

func toWay(r route) way {
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

func (w *ways) index() {
	var seen [2][129]bool
	for p := range w.all {
		seen[famIndex(p.Addr())][p.Bits()] = true
	}
	for family := range seen {
		w.bits[family] = nil
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
			continue // a zone: such addresses have no route of their own
		}
		if found, ok := w.all[p]; ok {
			return &found
		}
	}
	return nil
}
