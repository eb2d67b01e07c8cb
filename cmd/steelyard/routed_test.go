package main_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// routedWorld puts a router between the client and the gateway, in the place
// where the client used to be, on a cable with a small MTU.
func routedWorld(mtu int) netns.World {
	prefix := netip.MustParsePrefix
	w := site.World(2)
	near := netns.Link{
		A: netns.End{Host: site.Client, Device: "eth0", Addrs: []netip.Prefix{prefix("198.51.100.2/24"), prefix("2001:db8:51::2/64")}},
		B: netns.End{Host: "router", Device: "near", Addrs: []netip.Prefix{prefix("198.51.100.1/24"), prefix("2001:db8:51::1/64")}},
	}
	w.Links[0].A.Host, w.Links[0].A.Device, w.Links[0].MTU = "router", "far", mtu
	w.Links = append(w.Links, near)
	w.Hosts = append(w.Hosts, netns.Host{Name: "router", Forward: true})
	for i := range w.Hosts {
		switch h := &w.Hosts[i]; h.Name {
		case site.Client:
			h.Routes = defaultRoutes(near.B.Addrs[0].Addr(), near.B.Addrs[1].Addr())
		case site.Gateway:
			h.Routes = defaultRoutes(site.Client4.Addr(), site.Client6.Addr())
		}
	}
	return w
}

// TestRoutedClient: a client behind a router and a cable that full-size
// packets do not fit: the box is a hop like any other and says "too big".
func TestRoutedClient(t *testing.T) {
	t.Parallel()
	need(t, "traceroute", "traceroute")
	b := raise(t, routedWorld(1400))
	b.serve(2)
	b.start(site.Config{Backends: site.Members(2)}.String())
	routers := []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:51::1")}
	for i, f := range families() {
		out := b.output(b.client, "traceroute", f.option, "-n", "-q", "1", "-m", "6", "-w", "10", "-T", "-p", fmt.Sprint(vipPort), f.vip.String())
		if got, want := hops(out), []netip.Addr{routers[i], f.gateway, f.vip}; !slices.Equal(got, want) {
			t.Errorf("hops %v, want %v:\n%s", got, want, out)
		}
		before := b.verdict("too-big")
		// Answers of 8,000 bytes leave the backends in packets of 1,500.
		tcp, err := traffic.TCPRun(t.Context(), b.client, traffic.TCPPlan{Target: netip.AddrPortFrom(f.vip, vipPort), Connections: 40, Messages: 3, Size: 8000})
		if err := errors.Join(err, tcp.Err()); err != nil {
			t.Errorf("TCP to %s: %v", f.vip, err)
		}
		if b.verdict("too-big") == before {
			t.Errorf("no backend was told that its packets to %s's client are too big: nothing was tried", f.vip)
		}
		udp, err := traffic.UDPRun(t.Context(), b.client, traffic.UDPPlan{Target: netip.AddrPortFrom(f.vip, vipPort), Flows: 100, Datagrams: 500})
		if err := errors.Join(err, udp.Err()); err != nil {
			t.Errorf("UDP to %s: %v", f.vip, err)
		}
	}
	b.noDrops()
}
