package dataplane

import (
	"net/netip"
)

// MAC is an Ethernet address.
type MAC [6]byte

// Backend is the packet path's view of one backend.
type Backend struct {
	ID   BackendID
	Addr netip.AddrPort // 4-byte form for IPv4
	// Alive is false once the backend is known to be gone: flows that
	// remember it are picked anew.
	Alive bool
	// Next is the way to it; Next.Kind is NextHopUnknown until resolved.
	Next NextHop
}

// NextHopKind says what the packet path does with a packet for a destination.
type NextHopKind uint8

const (
	// NextHopUnknown leaves the packet, rewritten, to the kernel, which
	// resolves the way.
	NextHopUnknown NextHopKind = 0
	// NextHopNeighbor sends the frame from Ifindex to MAC Dst.
	NextHopNeighbor NextHopKind = 1
	// NextHopLocal marks an address of the box itself.
	NextHopLocal NextHopKind = 2
)

// NextHop is a resolved way out of the box: the physical interface and the
// whole Ethernet header.
type NextHop struct {
	Kind    NextHopKind
	Ifindex uint32 // physical device that carries the XDP program
	VLAN    uint16 // 802.1Q VLAN id, 0 = untagged
	MTU     uint16 // bytes of IP packet that fit; 0 = unlimited
	Dst     MAC
	Src     MAC
}

// Interface is a device that carries the XDP program.
type Interface struct {
	Ifindex uint32
	MAC     MAC
	// Addr4 and Addr6 are the box's own addresses here: the source of the
	// ICMP errors it sends. Either may be the zero Addr.
	Addr4 netip.Addr
	Addr6 netip.Addr
}
