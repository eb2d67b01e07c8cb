package site

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// Leftovers looks for what a stopped daemon must not leave in the thread's
// namespace: pins, XDP programs, and addresses that are not among those known
// (of Addresses, from before it started). What it finds is the error.
func Leftovers(pins string, known map[string]bool) error {
	var errs []error
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		if x := l.Attrs().Xdp; x != nil && x.Attached {
			errs = append(errs, fmt.Errorf("an XDP program was left on %s", l.Attrs().Name))
		}
	}
	addrs, err := Addresses()
	for a := range addrs {
		if !known[a] {
			errs = append(errs, fmt.Errorf("the address %s was left behind", a))
		}
	}
	if _, err := os.Stat(pins); err == nil {
		errs = append(errs, fmt.Errorf("pins were left in %s", pins))
	}
	return errors.Join(append(errs, err)...)
}

// Addresses lists the addresses of the thread's namespace with the lengths of
// their subnets, but for those that the kernel makes itself.
func Addresses() (map[string]bool, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	out := map[string]bool{}
	for _, a := range list {
		if n := a.(*net.IPNet); !n.IP.IsLinkLocalUnicast() && !n.IP.IsLoopback() {
			out[n.String()] = true
		}
	}
	return out, nil
}
