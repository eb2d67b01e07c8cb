package config

import (
	"net/netip"
	"strings"
)

// parseAddr returns the address of a VIP, or what is wrong with it.
func parseAddr(text string) (addr netip.Addr, problem string) {
	addr, err := netip.ParseAddr(text)
	if err == nil {
		problem = unusable(addr)
		return addr, problem
	}
	if _, err := netip.ParsePrefix(text); err == nil {
		return addr, "expected an address without prefix length, found " + quote(text)
	}
	if _, err := netip.ParseAddrPort(text); err == nil {
		return addr, "expected an address without port, found " + quote(text)
	}
	return addr, "expected an IPv4 or IPv6 address, found " + quote(text)
}

// parseAddrPort returns the address and port of a backend, or what is wrong.
func parseAddrPort(text string) (addr netip.AddrPort, problem, hint string) {
	addr, err := netip.ParseAddrPort(text)
	if err == nil {
		if addr.Port() == 0 {
			return addr, "port 0 cannot be used", "ports are 1 to 65535"
		}
		return addr, unusable(addr.Addr()), ""
	}
	problem = "expected address:port, for example 10.20.0.11:53, found " + quote(text)
	if a, err := netip.ParseAddr(text); err == nil {
		hint = "add the port, as in " + a.String() + ":53"
		if !a.Is4() {
			hint = `with a port, an IPv6 address is written "[` + a.String() + `]:53"`
		}
	} else if strings.ContainsAny(strings.ToLower(text), "ghijklmnopqrstuvwxyz") {
		hint = "names of hosts are not looked up"
	}
	return addr, problem, hint
}

// unusable says why no packet can be balanced to or from an address, or "".
func unusable(a netip.Addr) string {
	is := func(what string) string { return a.String() + " is " + what + " and cannot be used here" }
	switch {
	case a.Is4In6():
		return is("an IPv4-mapped IPv6 address (write " + a.Unmap().WithZone("").String() + ")")
	case a.Zone() != "":
		return quote(a.String()) + " has a zone and cannot be used here"
	case a.IsUnspecified():
		return is("the unspecified address")
	case a.IsMulticast():
		return is("a multicast address")
	case a.IsLoopback():
		return is("a loopback address")
	case a.IsLinkLocalUnicast():
		return is("a link-local address")
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return is("the broadcast address")
	}
	return ""
}

// family names the family of an address for messages.
func family(is4 bool) string {
	if is4 {
		return "IPv4"
	}
	return "IPv6"
}
