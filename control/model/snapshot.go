// Package model is the desired state: what a validated config means, with
// every name resolved, and what the machine around it looks like. Values are
// immutable once published; a change is a new Snapshot or Topology.
package model

import (
	"net/netip"
	"time"

	"steelyard/dataplane"
)

// Snapshot is one complete desired state. All slices are sorted by name (VIPs
// by address), so that equal configs make equal snapshots.
type Snapshot struct {
	// Revision counts the snapshots of this daemon, from 1; set by store.
	Revision   uint64
	Node       string
	Interfaces []Interface
	Flows      Flows
	Announce   Announce
	VIPs       []VIP
	Pools      []Pool
	Services   []Service
}

// XDPMode is how the program is attached to a device.
type XDPMode string

// The attach modes. Auto is native where the driver can, else generic.
const (
	XDPAuto    XDPMode = "auto"
	XDPNative  XDPMode = "native"
	XDPGeneric XDPMode = "generic"
)

// Interface is a device that carries balanced traffic.
type Interface struct {
	Name   string // the config's name for it
	Device string // the kernel's name: a physical device or a bond
	XDP    XDPMode
}

// Flows bounds the flow table and its idle times.
type Flows struct {
	Capacity       int
	TCPEstablished time.Duration
	TCPClosing     time.Duration
	UDPIdle        time.Duration
}

// Announce says how gratuitous ARP and unsolicited NA are repeated.
type Announce struct {
	Burst   int           // announcements after an address is added
	Spacing time.Duration // between those
	Refresh time.Duration // repeated for ever; 0 = never
}

// VIP is one virtual address.
type VIP struct {
	Name string // the config's name; several addresses may share one
	Addr netip.Addr
	// Interface is the config's interface name, or "" for the interface
	// whose subnet (or else route) holds the address.
	Interface string
}

// Pool is a set of backends of both families.
type Pool struct {
	Name     string
	Backends []Backend // sorted by Addr
}

// Backend is one member of a pool.
type Backend struct {
	Name   string // defaults to the address:port
	Addr   netip.AddrPort
	Weight int // 0 = no new flows
}

// Port is a port and protocol of a service.
type Port struct {
	Port  uint16
	Proto dataplane.Protocol
}

// Service joins VIPs and ports to a pool.
type Service struct {
	Name  string
	VIPs  []netip.Addr // sorted
	Ports []Port       // sorted by Proto, Port
	Mode  dataplane.Mode
	Pool  string
	// Track as configured; reconcile turns TrackMoved into TrackAlways
	// where replies are ambiguous.
	Track   dataplane.Track
	UDPIdle time.Duration // Flows.UDPIdle unless configured
}

// Pool returns the pool of that name, or nil.
func (s *Snapshot) Pool(name string) *Pool {
	for i := range s.Pools {
		if s.Pools[i].Name == name {
			return &s.Pools[i]
		}
	}
	return nil
}
