// Package site raises the world that Steelyard is made for, a client, a
// gateway and backends in network namespaces, and runs the real daemon in it.
// The demo, the laboratory and the end-to-end tests share it. It holds no
// expectations of its own.
package site

import (
	"fmt"
	"net/netip"

	"steelyard/testenv/netns"
)

// The addresses of a site. The client is in the VIPs' subnets, the backends
// are behind the gateway (two arms) or beside it (one arm).
var (
	Client4  = netip.MustParsePrefix("203.0.113.200/24")
	Client6  = netip.MustParsePrefix("2001:db8:80::200/64")
	Gateway4 = netip.MustParsePrefix("203.0.113.1/24")
	Gateway6 = netip.MustParsePrefix("2001:db8:80::1/64")
	VIP4     = netip.MustParseAddr("203.0.113.53")
	VIP6     = netip.MustParseAddr("2001:db8:80::53")
	lan4     = netip.MustParsePrefix("10.20.0.1/24")
	lan6     = netip.MustParsePrefix("fd00:20::1/64")
	all4     = netip.MustParsePrefix("0.0.0.0/0")
	all6     = netip.MustParsePrefix("::/0")
)

// Names of the hosts; backends are b1, b2, ...
const (
	Client  = "client"
	Gateway = "gw"
)

// Backend returns the name of the i-th backend, from 1.
func Backend(i int) string { return fmt.Sprintf("b%d", i) }

// Backend4 returns the IPv4 address of the i-th backend, from 1.
func Backend4(i int) netip.Addr {
	a := lan4.Addr().As4()
	a[3] = byte(10 + i)
	return netip.AddrFrom4(a)
}

// Backend6 returns the IPv6 address of the i-th backend, from 1.
func Backend6(i int) netip.Addr {
	a := lan6.Addr().As16()
	a[15] = byte(0x10 + i)
	return netip.AddrFrom16(a)
}

// World declares a two-armed site: client - gateway - switch with backends.
// The gateway's devices are wan and lan, the others' eth0.
func World(backends int) netns.World {
	lan := netns.Switch{Name: "lan", Ports: []netns.End{
		{Host: Gateway, Device: "lan", Addrs: []netip.Prefix{lan4, lan6}},
	}}
	w := netns.World{
		Hosts: []netns.Host{
			{Name: Client, Routes: []netns.Route{{To: all4, Via: Gateway4.Addr()}, {To: all6, Via: Gateway6.Addr()}}},
			{Name: Gateway, Forward: true, XDP: true},
		},
		Links: []netns.Link{{
			A: netns.End{Host: Client, Device: "eth0", Addrs: []netip.Prefix{Client4, Client6}},
			B: netns.End{Host: Gateway, Device: "wan", Addrs: []netip.Prefix{Gateway4, Gateway6}},
		}},
	}
	for i := 1; i <= backends; i++ {
		w.Hosts = append(w.Hosts, netns.Host{Name: Backend(i), Routes: []netns.Route{{To: all4, Via: lan4.Addr()}, {To: all6, Via: lan6.Addr()}}})
		lan.Ports = append(lan.Ports, netns.End{Host: Backend(i), Device: "eth0", Addrs: []netip.Prefix{
			netip.PrefixFrom(Backend4(i), lan4.Bits()), netip.PrefixFrom(Backend6(i), lan6.Bits()),
		}})
	}
	w.Switches = []netns.Switch{lan}
	return w
}

// OneArmedWorld declares a site where the gateway has one device, wan, that
// carries both the client's and the backends' subnets.
func OneArmedWorld(backends int) netns.World {
	w := World(backends)
	client, lan := w.Links[0].A, w.Switches[0]
	gateway := netns.End{Host: Gateway, Device: "wan", Addrs: []netip.Prefix{Gateway4, Gateway6, lan4, lan6}}
	w.Links = nil
	w.Switches = []netns.Switch{{Name: "lan", Ports: append([]netns.End{client, gateway}, lan.Ports[1:]...)}}
	return w
}
