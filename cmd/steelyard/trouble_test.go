package main_test

import (
	"net/netip"
	"testing"

	"steelyard/control/api"
	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// defaultRoutes are those of a client or a backend by way of the gateway.
func defaultRoutes(via ...netip.Addr) []netns.Route {
	var routes []netns.Route
	for _, v := range via {
		all := netip.MustParsePrefix("0.0.0.0/0")
		if v.Is6() {
			all = netip.MustParsePrefix("::/0")
		}
		routes = append(routes, netns.Route{To: all, Via: v})
	}
	return routes
}

func addRoutes(t *testing.T, host *netns.HostEnv, via ...netip.Addr) {
	t.Helper()
	for _, r := range defaultRoutes(via...) {
		if err := host.AddRoute(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInterfaceComesBack: a device of the gateway that disappears is missed,
// by name, and taken up again when it is back.
func TestInterfaceComesBack(t *testing.T) {
	t.Parallel()
	w := site.World(2)
	b := raise(t, w)
	b.serve(2)
	b.start(site.Config{Backends: site.Members(2)}.String())
	b.balances(t, 2)
	wan := func(s api.Status) api.Interface {
		for _, i := range s.Interfaces {
			if i.Device == "wan" {
				return i
			}
		}
		return api.Interface{}
	}
	before := wan(b.status()).Ifindex
	for range 2 {
		if err := b.env.Unplug(site.Gateway, "wan"); err != nil {
			t.Fatal(err)
		}
		gone := func(s api.Status) bool { return len(s.Problems) > 0 && wan(s).Ifindex == 0 }
		if err := b.daemon.WaitStatus(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		if err := b.env.Plug(t.Context(), w.Links[0]); err != nil {
			t.Fatal(err)
		}
		addRoutes(t, b.client, site.Gateway4.Addr(), site.Gateway6.Addr())
		back := func(s api.Status) bool {
			return len(s.Problems) == 0 && wan(s).Ifindex != 0 && wan(s).Ifindex != before && wan(s).Up
		}
		if err := b.daemon.WaitStatus(t.Context(), back); err != nil {
			t.Fatal(err)
		}
		b.balances(t, 2)
	}
}

// nextHop returns what status says about the way to a backend.
func nextHop(s api.Status, backend netip.Addr) string {
	for _, sv := range s.Services {
		for _, b := range sv.Backends {
			if b.Addr.Addr() == backend {
				return b.NextHop
			}
		}
	}
	return ""
}

// TestBackendAppears: a backend that is not there when the daemon starts is
// found when it is.
func TestBackendAppears(t *testing.T) {
	t.Parallel()
	w := site.World(2)
	for i := range w.Hosts {
		if w.Hosts[i].Name == "b2" {
			w.Hosts[i].Sysctls = map[string]string{"net/ipv6/conf/eth0/keep_addr_on_down": "1"}
		}
	}
	b := raise(t, w)
	b.serve(2)
	late := b.backend(2)
	if err := late.SetDown("eth0"); err != nil {
		t.Fatal(err)
	}
	b.start(site.Config{Backends: site.Members(2)}.String())
	for _, vip := range vips() {
		udp, err := traffic.UDPRun(t.Context(), b.client, traffic.UDPPlan{Target: vip, Flows: 40, Datagrams: 40})
		if err != nil {
			t.Fatal(err)
		}
		// There is no health check: what hashes to b2 is lost, the rest not.
		if got := udp.Backends["b1"].Flows; got == 0 || got != udp.Answered || udp.Answered+udp.Lost != udp.Sent {
			t.Errorf("with b2 away: %v, b1 answered %d", udp.Err(), got)
		}
	}
	if got := nextHop(b.status(), site.Backend4(2)); got != "unresolved" {
		t.Errorf("status has b2 at %q while it is away", got)
	}
	if err := late.SetUp(t.Context(), "eth0"); err != nil {
		t.Fatal(err)
	}
	addRoutes(t, late, netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr("fd00:20::1"))
	found := func(s api.Status) bool {
		return nextHop(s, site.Backend4(2)) != "unresolved" && nextHop(s, site.Backend6(2)) != "unresolved"
	}
	if err := b.daemon.WaitStatus(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	b.balances(t, 2)
}
