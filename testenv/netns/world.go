package netns

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"steelyard/dataplane"
)

// World is what Raise builds: hosts, each a namespace of its own, and how they
// are cabled.
type World struct {
	Hosts    []Host
	Links    []Link
	Switches []Switch
}

// Host is one machine.
type Host struct {
	Name string
	// Forward makes it a router for IPv4 and IPv6.
	Forward bool
	// XDP leaves the host's devices free for XDP programs of the caller.
	// Any other device has one that passes everything: see attachPass.
	XDP    bool
	Routes []Route
	// Sysctls are set last, over the defaults in sysctl.go: path below
	// /proc/sys, such as "net/ipv4/ip_nonlocal_bind", to value.
	Sysctls map[string]string
}

// Route is one entry of a host's routing table. Via or Device may be zero, not
// both.
type Route struct {
	To     netip.Prefix
	Via    netip.Addr
	Device string
}

// Link is a cable between two hosts: a veth pair.
type Link struct {
	A, B End
	MTU  int // bytes of IP packet; 0 = 1500
}

// Switch is one Ethernet segment with any number of hosts: a bridge in a
// namespace of its own.
type Switch struct {
	Name  string // shares the hosts' name space
	Ports []End
	MTU   int // bytes of IP packet; 0 = 1500
}

// End is a network device of a host.
type End struct {
	Host   string
	Device string
	Addrs  []netip.Prefix // addresses with the length of their subnet
	MAC    dataplane.MAC  // zero: the kernel picks one
}

const defaultMTU = 1500

// validate reports everything that is wrong with the declaration.
func (w World) validate() error {
	var errs []error
	spaces := map[string]bool{}
	claim := func(kind, name string) {
		if name == "" || spaces[name] {
			errs = append(errs, fmt.Errorf("check world: %s name %q is empty or used twice", kind, name))
		}
		spaces[name] = true
	}
	for _, h := range w.Hosts {
		claim("host", h.Name)
		for _, r := range h.Routes {
			if !r.To.IsValid() || (!r.Via.IsValid() && r.Device == "") {
				errs = append(errs, fmt.Errorf("check world: host %s: route %v has no destination or no way", h.Name, r))
			}
		}
	}
	devices := map[[2]string]bool{}
	hosts := len(spaces)
	for _, e := range w.ends() {
		key := [2]string{e.Host, e.Device}
		switch {
		case !spaces[e.Host]:
			errs = append(errs, fmt.Errorf("check world: device %q is on unknown host %q", e.Device, e.Host))
		case e.Device == "" || len(e.Device) >= unix.IFNAMSIZ:
			errs = append(errs, fmt.Errorf("check world: host %s: device name %q is empty or longer than %d bytes", e.Host, e.Device, unix.IFNAMSIZ-1))
		case devices[key]:
			errs = append(errs, fmt.Errorf("check world: host %s has device %q twice", e.Host, e.Device))
		}
		devices[key] = true
	}
	for _, s := range w.Switches {
		claim("switch", s.Name)
	}
	if hosts == 0 {
		errs = append(errs, errors.New("check world: no hosts"))
	}
	return errors.Join(errs...)
}

// ends returns every host device of the world.
func (w World) ends() []End {
	var ends []End
	for _, l := range w.Links {
		ends = append(ends, l.A, l.B)
	}
	for _, s := range w.Switches {
		ends = append(ends, s.Ports...)
	}
	return ends
}
