package reconcile

import (
	"fmt"
	"net/netip"

	"steelyard/control/model"
)

// claimsOf finds the link of each VIP: the one its config names, else the
// carrier (or a VLAN of one) whose subnet holds it, else the one its route
// leaves by, else the only carrier. VIPs without a link are in missing.
func claimsOf(snap *model.Snapshot, topo *model.Topology, attached map[string]attachedDevice, ways *ways) (claims []Claim, missing []string) {
	for _, v := range snap.VIPs {
		link := linkOf(v, topo, attached, ways)
		if link == nil {
			missing = append(missing, fmt.Sprintf("VIP %s: no interface that is there has a subnet or route for it", v.Addr))
			continue
		}
		claims = append(claims, Claim{Addr: v.Addr, Ifindex: link.Index, MAC: link.MAC})
	}
	return claims, missing
}

func linkOf(v model.VIP, topo *model.Topology, attached map[string]attachedDevice, ways *ways) *model.Link {
	if v.Interface != "" {
		a, ok := attached[v.Interface]
		if !ok {
			return nil
		}
		return linkByIndex(topo, a.ifindex)
	}
	carriers := make(map[uint32]bool, len(attached))
	for _, a := range attached {
		carriers[a.ifindex] = true
	}
	for i := range topo.Links {
		l := &topo.Links[i]
		if (carriers[l.Index] || carriers[l.Physical]) && holds(l, v.Addr) {
			return l
		}
	}
	if r := ways.route(v.Addr); r != nil && carriers[r.Next.Ifindex] {
		return linkByIndex(topo, r.Next.Ifindex)
	}
	if len(attached) == 1 {
		for _, a := range attached {
			return linkByIndex(topo, a.ifindex)
		}
	}
	return nil
}

// holds tells whether a subnet of the link, not a VIP on it, contains addr.
func holds(l *model.Link, addr netip.Addr) bool {
	for _, p := range l.Addrs {
		if !p.IsSingleIP() && p.Contains(addr) {
			return true
		}
	}
	return false
}
