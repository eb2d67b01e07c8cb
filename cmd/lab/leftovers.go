package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"

	"steelyard/testenv/site"
)

// leftovers looks for what a stopped daemon must not leave in this network
// namespace: VIPs, XDP programs, pins.
func leftovers(pins string) error {
	var errs []error
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if ok && (ip.IP.Equal(site.VIP4.AsSlice()) || ip.IP.Equal(site.VIP6.AsSlice())) {
			errs = append(errs, fmt.Errorf("VIP %s was left behind", ip.IP))
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		if x := l.Attrs().Xdp; x != nil && x.Attached {
			errs = append(errs, fmt.Errorf("an XDP program was left on %s", l.Attrs().Name))
		}
	}
	if _, err := os.Stat(pins); err == nil {
		errs = append(errs, fmt.Errorf("pins were left in %s", pins))
	}
	return errors.Join(errs...)
}
