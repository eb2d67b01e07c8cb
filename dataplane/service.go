package dataplane

import (
	"fmt"
	"net/netip"
	"time"
)

// Protocol is an IP protocol number that a service can carry.
type Protocol uint8

// The protocols Steelyard balances (IANA protocol numbers).
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String returns the name used in configs and output: "tcp" or "udp".
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return fmt.Sprintf("protocol-%d", uint8(p))
}

// Mode is how a packet reaches the backend.
type Mode uint8

// ModeNAT rewrites destination address and port; replies come back through
// the box.
const (
	ModeNAT Mode = 1
)

// String returns the name used in configs and output.
func (m Mode) String() string {
	if m == ModeNAT {
		return "nat"
	}
	return fmt.Sprintf("mode-%d", uint8(m))
}

// Track says which flows of a service get an entry in the flow table.
type Track uint8

const (
	// TrackMoved remembers a flow only while its ring slot is moving.
	TrackMoved Track = 0
	// TrackAlways remembers every flow.
	TrackAlways Track = 1
	// TrackNever lets the hash alone decide.
	TrackNever Track = 2
)

// String returns the name used in configs and output.
func (t Track) String() string {
	switch t {
	case TrackMoved:
		return "moved"
	case TrackAlways:
		return "always"
	case TrackNever:
		return "never"
	}
	return fmt.Sprintf("track-%d", uint8(t))
}

// Dense numbers that control gives to things the packet path must name.
// Zero always means "unset".
type (
	// ServiceID numbers one (VIP, port, protocol).
	ServiceID uint32
	// BackendID numbers one backend of one pool and family.
	BackendID uint32
	// RingID numbers one ring: a pool in one address family.
	RingID uint32
)

// ServiceKey is what a client addresses: one VIP, port and protocol.
type ServiceKey struct {
	Addr  netip.Addr // 4-byte form for IPv4, never 4-in-6
	Port  uint16
	Proto Protocol
}

// String returns "203.0.113.53:53/udp".
func (k ServiceKey) String() string {
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(k.Addr, k.Port), k.Proto)
}

// Service is the packet path's view of one service key.
type Service struct {
	ID    ServiceID
	Ring  RingID
	Mode  Mode
	Track Track
	// Idle is how long an established flow may be silent before it counts
	// as ended. Kept in ticks of TickDuration by the packet path.
	Idle time.Duration
	// SharedReplies is set where a backend address:port of this service
	// also serves another one, so that replies need a flow entry to find
	// the way back. It implies TrackAlways.
	SharedReplies bool
}

// Origin is one backend address:port as the source of replies: which service
// the replies belong to.
type Origin struct {
	ID      uint32     // dense, 1-based, at most 2^28-1
	Service ServiceKey // what replies are rewritten to; unset iff Shared
	// ServiceID is the service of Service; unset iff Shared.
	ServiceID ServiceID
	Backend   BackendID // counts the replies; unset iff Shared
	// Shared is set where several services use this backend; the flow
	// table then says which service a reply belongs to.
	Shared bool
	// Idle is the longest of its services' idle times: how long a direct
	// client is remembered.
	Idle time.Duration
}

// OriginKey is a backend's own address, port and protocol.
type OriginKey = ServiceKey
