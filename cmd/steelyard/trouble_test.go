package main_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"steelyard/control/api"
	"steelyard/dataplane"
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

// addAddress puts back an IPv6 address, which the kernel takes off a device that
// goes down. It is usable at once.
func addAddress(t *testing.T, host *netns.HostEnv, device string, addr netip.Prefix) {
	t.Helper()
	if err := host.Do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		return netlink.AddrReplace(link, &netlink.Addr{
			IPNet: &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())},
			Flags: unix.IFA_F_NODAD,
		})
	}); err != nil {
		t.Fatal(err)
	}
}

// TestInterfaceComesBack: a device of the gateway that disappears is missed,
// by name, and taken up again when it is back.
func TestInterfaceComesBack(t *testing.T) {
	t.Parallel()
	w := site.World(1)
	// One backend needs no switch, and a cable can be pulled.
	w.Links = append(w.Links, netns.Link{A: w.Switches[0].Ports[0], B: w.Switches[0].Ports[1]})
	w.Switches = nil
	b := raise(t, w)
	b.serve(1)
	b.start(site.Config{Backends: site.Members(1)}.String())
	b.balances(t, 1)
	for range 2 {
		b.replug(w.Links[0], "wan")
		addRoutes(t, b.client, site.Gateway4.Addr(), site.Gateway6.Addr())
		b.waitAttached("wan")
		b.balances(t, 1)
		b.replug(w.Links[1], "lan")
		addRoutes(t, b.backend(1), netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr("fd00:20::1"))
		b.waitAttached("lan")
		b.balances(t, 1)
	}
}

// replug takes a device of the gateway away, waits until the daemon misses it,
// and puts it back.
func (b *bed) replug(cable netns.Link, device string) {
	b.t.Helper()
	if err := b.env.Unplug(site.Gateway, device); err != nil {
		b.t.Fatal(err)
	}
	gone := func(s api.Status) bool { return len(s.Problems) > 0 && interfaceOf(s, device).Ifindex == 0 }
	if err := b.daemon.WaitStatus(b.t.Context(), gone); err != nil {
		b.t.Fatal(err)
	}
	if err := b.env.Plug(b.t.Context(), cable); err != nil {
		b.t.Fatal(err)
	}
}

// waitAttached waits until the daemon has a device that came back.
func (b *bed) waitAttached(device string) {
	b.t.Helper()
	iface, err := b.gateway.Interface(device)
	if err != nil {
		b.t.Fatal(err)
	}
	back := func(s api.Status) bool {
		i := interfaceOf(s, device)
		return len(s.Problems) == 0 && i.Ifindex == uint32(iface.Index) && i.Up && i.XDP == dataplane.AttachNative
	}
	if err := b.daemon.WaitStatus(b.t.Context(), back); err != nil {
		b.t.Fatal(err)
	}
}

func interfaceOf(s api.Status, device string) api.Interface {
	for _, i := range s.Interfaces {
		if i.Device == device {
			return i
		}
	}
	return api.Interface{}
}

// nextHop returns what status says about the way to a backend.
func nextHop(s api.Status, backend netip.Addr) string {
	for _, pool := range s.Pools {
		for _, b := range pool.Backends {
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
	b := raise(t, site.World(2))
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
	addAddress(t, late, "eth0", netip.PrefixFrom(site.Backend6(2), 64))
	addRoutes(t, late, netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr("fd00:20::1"))
	found := func(s api.Status) bool {
		return nextHop(s, site.Backend4(2)) != "unresolved" && nextHop(s, site.Backend6(2)) != "unresolved"
	}
	if err := b.daemon.WaitStatus(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	b.balances(t, 2)
}
