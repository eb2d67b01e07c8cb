package dataplane

import (
	"net/netip"
	"time"
)

// TickDuration is the unit of time in the packet path: 2^27 ns, about 134 ms.
// Idle times are rounded up to whole ticks.
const TickDuration = time.Duration(1 << 27)

// Ticks converts an idle time to ticks, rounded up, at least 1.
func Ticks(d time.Duration) uint32 {
	return max(1, uint32((d+TickDuration-1)/TickDuration))
}

// FlowKind says what a flow entry is for.
type FlowKind uint8

const (
	// FlowService pins a client's flow on a service to a backend.
	FlowService FlowKind = 0
	// FlowReply tells which service a shared origin's reply belongs to.
	FlowReply FlowKind = 1
	// FlowDirect exempts the replies to a client that addressed a
	// backend's own address.
	FlowDirect FlowKind = 2
)

// The flow table's key is (client address, client port, scope). A scope is a
// service id, or an origin id with one of these bits.
const (
	ScopeReply  uint32 = 1 << 30
	ScopeDirect uint32 = 1 << 31
)

// FlowState is how far a flow has come, as the packet path saw it.
type FlowState uint8

const (
	// FlowNew has sent one packet; it is the first to make room.
	FlowNew FlowState = 0
	// FlowEstablished has sent more than one.
	FlowEstablished FlowState = 1
	// FlowClosing has sent a FIN or RST, or was reset by its backend.
	FlowClosing FlowState = 2
)

// Flow is one entry of the flow table.
type Flow struct {
	Kind    FlowKind
	Client  netip.AddrPort
	Service ServiceID // FlowService: of the key; FlowReply: what it says
	Origin  uint32    // FlowReply and FlowDirect
	Backend BackendID // FlowService only
	State   FlowState
	// Left is the time until the entry counts as ended; never negative in
	// a listing.
	Left time.Duration
}
