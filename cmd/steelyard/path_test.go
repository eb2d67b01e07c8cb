package main_test

import (
	"errors"
	"net/netip"
	"testing"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// The addresses of a long site, where they are not those of package site. The
// client is far from the VIPs and the backend far from the gateway.
var (
	farClient4  = netip.MustParsePrefix("198.51.100.2/24")
	farClient6  = netip.MustParsePrefix("2001:db8:c::2/64")
	edge4       = netip.MustParsePrefix("198.51.100.1/24")
	edge6       = netip.MustParsePrefix("2001:db8:c::1/64")
	edgeIn4     = netip.MustParsePrefix("192.0.2.1/30")
	edgeIn6     = netip.MustParsePrefix("2001:db8:e::1/64")
	frontOut4   = netip.MustParsePrefix("192.0.2.2/30")
	frontOut6   = netip.MustParsePrefix("2001:db8:e::2/64")
	middle4     = netip.MustParsePrefix("10.20.0.254/24")
	middle6     = netip.MustParsePrefix("fd00:20::fe/64")
	middleIn4   = netip.MustParsePrefix("10.21.0.1/30")
	middleIn6   = netip.MustParsePrefix("fd00:21::1/64")
	lastOut4    = netip.MustParsePrefix("10.21.0.2/30")
	lastOut6    = netip.MustParsePrefix("fd00:21::2/64")
	last4       = netip.MustParsePrefix("10.22.0.1/24")
	last6       = netip.MustParsePrefix("fd00:22::1/64")
	backendEnd4 = netip.MustParsePrefix("10.22.0.2/24")
	backendEnd6 = netip.MustParsePrefix("fd00:22::2/64")
	lan4        = netip.MustParsePrefix("10.20.0.1/24")
	lan6        = netip.MustParsePrefix("fd00:20::1/64")
	everything4 = netip.MustParsePrefix("0.0.0.0/0")
	everything6 = netip.MustParsePrefix("::/0")
)

func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// longWorld is a site with two routers on each side of the gateway, and links
// between them that take so many bytes:
//
//	client - edge -(before)- front - gateway - middle -(behind)- last - b1
func longWorld(before, behind int) netns.World {
	all := func(v4, v6 netip.Prefix) []netns.Route {
		return []netns.Route{{To: everything4, Via: v4.Addr()}, {To: everything6, Via: v6.Addr()}}
	}
	routes := func(list []netns.Route, v4, v6 netip.Prefix, to ...netip.Prefix) []netns.Route {
		for _, p := range to {
			via := v4
			if p.Addr().Is6() {
				via = v6
			}
			list = append(list, netns.Route{To: p, Via: via.Addr()})
		}
		return list
	}
	b4, b6 := host(site.Backend4(1)), host(site.Backend6(1))
	end := func(host, device string, addrs ...netip.Prefix) netns.End {
		return netns.End{Host: host, Device: device, Addrs: addrs}
	}
	backends := []netip.Prefix{b4, b6}
	return netns.World{
		Hosts: []netns.Host{
			{Name: site.Client, Routes: all(edge4, edge6)},
			{Name: "edge", Forward: true, Routes: all(frontOut4, frontOut6)},
			{Name: "front", Forward: true, Routes: all(edgeIn4, edgeIn6)},
			{Name: site.Gateway, Forward: true, XDP: true, Routes: routes(all(site.Client4, site.Client6), middle4, middle6, append(backends, last4.Masked(), last6.Masked())...)},
			{Name: "middle", Forward: true, Routes: routes(all(lan4, lan6), lastOut4, lastOut6, append(backends, last4.Masked(), last6.Masked())...)},
			{Name: "last", Forward: true, Routes: routes(all(middleIn4, middleIn6), backendEnd4, backendEnd6, backends...)},
			{Name: site.Backend(1), Routes: all(last4, last6)},
		},
		Links: []netns.Link{
			{A: end(site.Client, "eth0", farClient4, farClient6), B: end("edge", "out", edge4, edge6)},
			{A: end("edge", "in", edgeIn4, edgeIn6), B: end("front", "out", frontOut4, frontOut6), MTU: before},
			{A: end("front", "in", site.Client4, site.Client6), B: end(site.Gateway, "wan", site.Gateway4, site.Gateway6)},
			{A: end(site.Gateway, "lan", lan4, lan6), B: end("middle", "out", middle4, middle6)},
			{A: end("middle", "in", middleIn4, middleIn6), B: end("last", "out", lastOut4, lastOut6), MTU: behind},
			{A: end("last", "in", last4, last6), B: end(site.Backend(1), "eth0", backendEnd4, backendEnd6, b4, b6)},
		},
	}
}

// raiseLong builds a long site whose backend answers, and runs the daemon.
func raiseLong(t *testing.T, before, behind int) *bed {
	t.Helper()
	b := raise(t, longWorld(before, behind))
	b.serve(1)
	b.start(site.Config{Backends: site.Members(1)}.String())
	return b
}

// megabyte sends a MiB through TCP and gets it back.
func (b *bed) megabyte(t *testing.T, vip netip.AddrPort) {
	t.Helper()
	tcp, err := traffic.TCPRun(t.Context(), b.client, traffic.TCPPlan{Target: vip, Connections: 1, Messages: 32, Size: 1 << 15})
	if err := errors.Join(err, tcp.Err()); err != nil {
		t.Error(err)
	}
}
