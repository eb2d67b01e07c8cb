package packet

import (
	"net/netip"

	"steelyard/dataplane"
)

// Layer is one part of a frame, in the order it lies on the wire: Ether, Tag,
// IP, Extension, TCP, UDP, ICMP, Bytes, Payload, and the afterthoughts Pad and
// Cut.
type Layer interface{ layer() }

// Ether is the Ethernet header. The EtherType is that of the layer after it.
type Ether struct {
	Src, Dst dataplane.MAC
	// Type is used where no Tag or IP follows.
	Type uint16
}

// Tag is a VLAN tag.
type Tag struct {
	ID       uint16
	Priority uint8
	// Service makes it an 802.1ad tag (0x88a8) instead of an 802.1Q one.
	Service bool
}

// Fragment says which part of a packet an IP header carries. IPv6 gets a
// fragment header (RFC 8200, Section 4.5).
type Fragment struct {
	ID     uint16
	Offset uint16 // in units of 8 bytes
	More   bool
}

// IP is the IPv4 or IPv6 header, by the family of Src. Everything is right
// unless a field says otherwise.
type IP struct {
	Src, Dst netip.Addr
	TTL      uint8 // or hop limit; 0 = 64
	TOS      uint8 // or traffic class
	ID       uint16
	// DontFragment is the DF bit; IPv4 only.
	DontFragment bool
	Fragment     *Fragment
	// Options are IPv4's; a multiple of 4 bytes, at most 40.
	Options []byte
	// Proto is used where no TCP, UDP or ICMP follows.
	Proto uint8

	ZeroTTL     bool
	BadChecksum bool   // IPv4 only
	Version     uint8  // 0 = right
	HeaderWords *uint8 // IPv4's IHL; nil = right
	// Length is IPv4's total length or IPv6's payload length; nil = right.
	Length *uint16
}

// Extension is an IPv6 extension header (RFC 8200, Section 4) of any kind, the
// fragment header and the authentication header included.
type Extension struct {
	Kind uint8
	// Data is what follows the first two bytes; zeros are added until the
	// length is one that the kind can have, at least 8 bytes in all.
	Data []byte
	// Next is used where no Extension, TCP, UDP or ICMP follows.
	Next uint8

	Length *uint8 // nil = right
}

// Kinds of Extension (the IANA registry of extension header types).
const (
	HopByHop       = 0
	Routing        = 43
	FragmentHeader = 44
	Authentication = 51
	Destination    = 60
)

// TCP is the TCP header. Flags are letters of "FSRPAU"; "" is none.
type TCP struct {
	Src, Dst uint16
	Flags    string
	Seq, Ack uint32
	// Options are options of 4 bytes each: kind (2 or more), 4, and two
	// bytes of data; at most ten.
	Options []byte

	DataWords   *uint8 // data offset; nil = right
	BadChecksum bool
}

// UDP is the UDP header.
type UDP struct {
	Src, Dst uint16

	NoChecksum  bool
	BadChecksum bool
	Length      *uint16 // nil = right
}

// ICMP is an ICMP header, of ICMPv6 in an IPv6 packet. Rest is its second
// 32-bit word: unused, or the MTU of a packet too big.
type ICMP struct {
	Type, Code uint8
	Rest       uint32
}

// Bytes are bytes as they are: payload, or a header of unknown kind.
type Bytes []byte

// Payload is so many bytes of a fixed pattern.
type Payload int

// Pad appends so many bytes that belong to no packet, as Ethernet does to
// reach its least length.
type Pad int

// Cut shortens the finished frame to so many bytes.
type Cut int

func (Ether) layer()     {}
func (Tag) layer()       {}
func (IP) layer()        {}
func (Extension) layer() {}
func (TCP) layer()       {}
func (UDP) layer()       {}
func (ICMP) layer()      {}
func (Bytes) layer()     {}
func (Payload) layer()   {}
func (Pad) layer()       {}
func (Cut) layer()       {}
