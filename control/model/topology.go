package model

import (
	"net/netip"

	"steelyard/dataplane"
)

// Topology is what the kernel says about the machine: links, routes and
// neighbours, already resolved to physical devices and VLANs.
type Topology struct {
	// Revision grows with each change; 0 = nothing known yet.
	Revision uint64
	Links    []Link // sorted by Index
	// Routes says where packets for a prefix go, longest prefix first to
	// win: the box's own addresses (NextHopLocal, host prefixes), on-link
	// neighbours (NextHopNeighbor, host prefixes), gateways' prefixes, and
	// on-link subnets without a known neighbour (NextHopUnknown). Sorted
	// by prefix. Empty for a family whose routes cannot be mirrored (too
	// many, or policy rules): then the kernel forwards.
	Routes []Route
	// Limits names, for people, what could not be mirrored and why.
	Limits []string
}

// Link is a network device that is up or down.
type Link struct {
	Index uint32
	Name  string
	MAC   dataplane.MAC
	Up    bool
	MTU   int
	// Addrs are the addresses on it, with their subnets, including VIPs.
	Addrs []netip.Prefix
	// Physical is the index of the device that frames of this link leave
	// by (itself, a VLAN's parent, a bond's master); VLAN the tag they
	// carry, 0 = none.
	Physical uint32
	VLAN     uint16
}

// Route is a prefix and the way to it.
type Route struct {
	Prefix netip.Prefix // IPv4 in 4-byte form
	Next   dataplane.NextHop
	// Gateway is the router whose MAC Next has; the zero Addr on-link.
	Gateway netip.Addr
}

// LinkByName returns the link of that name, or nil.
func (t *Topology) LinkByName(name string) *Link {
	for i := range t.Links {
		if t.Links[i].Name == name {
			return &t.Links[i]
		}
	}
	return nil
}

// Lookup returns the next hop of the longest prefix that holds addr.
// NextHopUnknown where there is none.
func (t *Topology) Lookup(addr netip.Addr) dataplane.NextHop {
	best, next := -1, dataplane.NextHop{}
	for i := range t.Routes {
		r := &t.Routes[i]
		if r.Prefix.Bits() > best && r.Prefix.Contains(addr) {
			best, next = r.Prefix.Bits(), r.Next
		}
	}
	return next
}
