package api

import (
	"net/netip"

	"steelyard/dataplane"
)

// Status is the answer of GET /v1/status.
type Status struct {
	Version    string      `json:"version"`
	Node       string      `json:"node,omitempty"`
	Revision   uint64      `json:"revision"` // of the config in force; 0 = none yet
	Interfaces []Interface `json:"interfaces"`
	VIPs       []VIP       `json:"vips"`
	Services   []Service   `json:"services"`
	Pools      []Pool      `json:"pools"`    // those in use, each address family apart
	Verdicts   []Verdict   `json:"verdicts"` // those that happened, drops included
	Flows      Flows       `json:"flows"`
	// Problems keep the config from being in force; Limits cost speed.
	Problems []string `json:"problems,omitempty"`
	Limits   []string `json:"limits,omitempty"`
	// Reload is why the last change of the config was refused; "" = it was
	// not. The config before it is still in force.
	Reload string `json:"reload_error,omitempty"`
}

// BackendsByPool returns the backends of each pool in use, by its ID.
func (s *Status) BackendsByPool() map[uint32][]Backend {
	m := make(map[uint32][]Backend, len(s.Pools))
	for _, p := range s.Pools {
		m[p.ID] = p.Backends
	}
	return m
}

// Interface is a device that carries balanced traffic.
type Interface struct {
	Name    string               `json:"name"`
	Device  string               `json:"device"`
	Ifindex uint32               `json:"ifindex"`       // 0 = the device is not there
	XDP     dataplane.AttachMode `json:"xdp,omitempty"` // "" = not attached
	Up      bool                 `json:"up"`
}

// VIP is a virtual address and the device that holds it.
type VIP struct {
	Name    string     `json:"name"`
	Addr    netip.Addr `json:"address"`
	Device  string     `json:"device,omitempty"` // "" = on none
	Foreign bool       `json:"foreign"`          // was there before and is left there
	Sent    uint64     `json:"announcements"`
	Error   string     `json:"announce_error,omitempty"`
}

// Service is one VIP, port and protocol.
type Service struct {
	Name      string     `json:"name"`
	Addr      netip.Addr `json:"address"`
	Port      uint16     `json:"port"`
	Protocol  string     `json:"protocol"`
	Mode      string     `json:"mode"`
	Track     string     `json:"track"`
	Scheduler string     `json:"scheduler"`
	Pool      string     `json:"pool"`
	PoolID    uint32     `json:"pool_id"` // of its backends in Pools
}

// Pool is the backends of one address family of a pool.
type Pool struct {
	ID       uint32    `json:"id"` // until the daemon ends
	Name     string    `json:"name"`
	Backends []Backend `json:"backends"`
}

// Backend is a member of a pool. Its counters are over all services of the
// pool.
type Backend struct {
	Name    string         `json:"name"`
	Addr    netip.AddrPort `json:"address"`
	Weight  int            `json:"weight"`
	NextHop string         `json:"next_hop"` // "unresolved", or MAC and device
	dataplane.BackendCount
}

// Verdict is how often the packet path decided in one way.
type Verdict struct {
	Name   string                  `json:"name"`
	Action dataplane.VerdictAction `json:"action"`
	Doc    string                  `json:"doc"`
	dataplane.Count
}

// Flows is the state of the flow table.
type Flows struct {
	Capacity int `json:"capacity"`
	Asking   int `json:"asking_slots"` // ring slots that ask it now
	dataplane.FlowTableCount
}

// Problem is the body of an error answer (RFC 9457).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}
