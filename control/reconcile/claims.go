package reconcile

import (
	"context"
	"fmt"
	"net/netip"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// claimVIPs has the VIPs claimed. Where the tables could not be written, those
// that are claimed stay so and follow their links, new ones wait, and those
// that are not wanted are given up all the same. missing names those for which
// there is no link.
func (r *Reconciler) claimVIPs(ctx context.Context, snap *model.Snapshot, ready bool) (missing []string, err error) {
	if !ready && r.claims == nil {
		return nil, nil // what an earlier process claimed stays meanwhile
	}
	f := r.linkFinder(snap)
	next := make(map[netip.Addr]Claim, len(snap.VIPs))
	claims := make([]Claim, 0, len(snap.VIPs))
	for _, v := range snap.VIPs {
		was, claimed := r.claims[v.Addr]
		if !ready && !claimed {
			continue
		}
		link := f.linkOf(v, was.Ifindex)
		if link == nil {
			missing = append(missing, f.reason(v))
			continue
		}
		c := Claim{Addr: v.Addr, Ifindex: link.Index, MAC: link.MAC}
		next[v.Addr] = c
		claims = append(claims, c)
	}
	r.claims = next
	if err := r.claim.Claim(ctx, claims); err != nil {
		return missing, fmt.Errorf("claim VIPs: %w", err)
	}
	return missing, nil
}

// linkFinder finds the links of VIPs.
type linkFinder struct {
	at       *mirror
	carriers *carriers
	all      map[uint32]bool // every carrier
	sole     bool            // no other interface is configured, there or not
}

func (r *Reconciler) linkFinder(snap *model.Snapshot) *linkFinder {
	f := &linkFinder{at: r.at, carriers: r.carriers, all: make(map[uint32]bool), sole: len(snap.Interfaces) == 1}
	for ifindex := range r.carriers.devices {
		f.all[ifindex] = true
	}
	return f
}

// linkOf finds the link of a VIP among the links of the carrier that its config
// names, else of all carriers: the one whose subnet holds it, else the one its
// route leaves by, else the one where it is, else the carrier itself if there
// is but one to choose. It returns nil where there is none.
func (f *linkFinder) linkOf(v model.VIP, claimedOn uint32) *model.Link {
	on := f.all
	if v.Interface != "" {
		ifindex, _, ok := f.carriers.named(v.Interface)
		if !ok {
			return nil
		}
		on = map[uint32]bool{ifindex: true}
	}
	for _, s := range f.at.subnets {
		if on[physical(s.link)] && s.prefix.Contains(v.Addr) {
			return s.link
		}
	}
	// A VIP that is on the box is a local address: look past that.
	r := f.at.route(v.Addr, func(r *model.Route) bool { return r.Next.Kind != dataplane.NextHopLocal })
	if r != nil {
		if l := f.at.leavingBy(r.Next); l != nil && on[physical(l)] {
			return l
		}
	}
	// A router that is silent for a moment does not move a VIP.
	if l := f.at.byIndex[claimedOn]; l != nil && on[physical(l)] {
		return l
	}
	if v.Interface != "" || f.sole {
		for ifindex := range on {
			return f.at.byIndex[ifindex]
		}
	}
	return nil
}

// reason says why a VIP has no link.
func (f *linkFinder) reason(v model.VIP) string {
	if v.Interface != "" {
		return fmt.Sprintf("VIP %s: interface %s does not carry the program", v.Addr, v.Interface)
	}
	return fmt.Sprintf("VIP %s: no interface that is there has a subnet or route for it", v.Addr)
}
