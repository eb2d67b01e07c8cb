package vip

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// The kernel drops the routes of a link that goes down and, for IPv4, tells
// nobody: the next best must come into use all the same.
func TestWatcherFallsBackToOtherLink(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			b := newBox(t)
			w := b.watch(t)
			dst := &net.IPNet{IP: f.farNet.Addr().AsSlice(), Mask: net.CIDRMask(f.farNet.Bits(), f.far.BitLen())}
			mustDo(t, b.HostEnv, func() error {
				if f.far.Is4() {
					// The events of its IPv6 addresses would hide the silence.
					err := os.WriteFile("/proc/sys/net/ipv6/conf/eth1/disable_ipv6", []byte("1"), 0)
					if err != nil {
						return err
					}
				}
				for i, gw := range []netip.Addr{f.peer, f.gateway} {
					if err := netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: gw.AsSlice(), Priority: 10 + i}); err != nil {
						return err
					}
				}
				return nil
			})
			await(t, w, "the better route", leadsTo(f.far, b.eth1, macOf(t, b.lan, "eth0")))
			mustDo(t, b.HostEnv, withLink("eth1", netlink.LinkSetDown))
			await(t, w, "the other route", leadsTo(f.far, b.eth0, macOf(t, b.wan, "eth0")))
		})
	}
}

func TestWatcherReadsRoutesAndRules(t *testing.T) {
	b := newBox(t)
	w := b.watch(t)
	gateway := netip.MustParseAddr("192.0.2.2")
	add := func(r netlink.Route) {
		t.Helper()
		mustDo(t, b.HostEnv, func() error { return netlink.RouteAdd(&r) })
	}
	dst := func(s string) *net.IPNet {
		_, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	eth0, eth1 := int(b.eth0), int(b.eth1)
	add(netlink.Route{Dst: dst("198.18.1.0/24"), Gw: gateway.AsSlice(), MTU: 1400})
	add(netlink.Route{Dst: dst("198.18.2.0/24"), Type: 6}) // blackhole
	add(netlink.Route{Dst: dst("198.18.3.0/24"), MultiPath: []*netlink.NexthopInfo{
		{LinkIndex: eth0, Gw: gateway.AsSlice()}, {LinkIndex: eth1, Gw: net.IPv4(10, 20, 0, 2)},
	}})
	add(netlink.Route{Dst: dst("198.18.4.0/24"), LinkIndex: eth0, Via: &netlink.Via{
		AddrFamily: netlink.FAMILY_V6, Addr: net.ParseIP("2001:db8:1::2"),
	}})
	add(netlink.Route{Dst: dst("198.18.5.0/24"), Gw: gateway.AsSlice(), Table: 100})
	router := macOf(t, b.wan, "eth0")
	for _, a := range []string{"198.18.1.1", "198.18.4.1"} {
		topo := await(t, w, a, leadsTo(addr(a), b.eth0, router))
		if n := topo.Lookup(addr("198.18.1.1")); a == "198.18.1.1" && n.MTU != 1400 {
			t.Errorf("MTU %d of a route with MTU 1400", n.MTU)
		}
	}
	topo := w.Topology()
	for _, a := range []string{"198.18.2.1", "198.18.3.1", "198.18.5.1"} {
		if n := topo.Lookup(addr(a)); n.Kind != dataplane.NextHopUnknown {
			t.Errorf("%s resolved to %+v, which is the kernel's choice", a, n)
		}
	}

	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Src, rule.Family = 100, 100, dst("10.0.0.0/8"), netlink.FAMILY_V4
	mustDo(t, b.HostEnv, func() error { return netlink.RuleAdd(rule) })
	await(t, w, "the rule to end IPv4 routes", func(topo *model.Topology) bool {
		return len(topo.Limits) == 1 && topo.Lookup(addr("198.18.1.1")).Kind == dataplane.NextHopUnknown &&
			topo.Lookup(addr("2001:db8:2::1")).Kind == dataplane.NextHopLocal
	})
	mustDo(t, b.HostEnv, func() error { return netlink.RuleDel(rule) })
	await(t, w, "the routes to come back", leadsTo(addr("198.18.1.1"), b.eth0, router))
}

// More events than the socket holds and more routes than are mirrored: neither
// may leave the topology behind what the kernel has.
func TestWatcherSurvivesManyRoutes(t *testing.T) {
	b := newBox(t)
	w := b.watch(t)
	if err := w.events.SetReceiveBufferSize(1, true); err != nil { // the kernel's minimum
		t.Fatal(err)
	}
	peer6 := families[1].peer
	w.Resolve([]netip.Addr{peer6})
	nth := func(i int) *netlink.Route {
		return &netlink.Route{
			Dst: &net.IPNet{IP: net.IPv4(20, byte(i>>8), byte(i), 0), Mask: net.CIDRMask(24, 32)},
			Gw:  net.IPv4(192, 0, 2, 2),
		}
	}
	const count = maxRoutes + 100
	all := func(change func(*netlink.Handle, *netlink.Route) error) {
		t.Helper()
		mustDo(t, b.HostEnv, func() error {
			h, err := netlink.NewHandle()
			if err != nil {
				return err
			}
			defer h.Close()
			for i := range count {
				if err := change(h, nth(i)); err != nil {
					return fmt.Errorf("route %d: %w", i, err)
				}
			}
			return nil
		})
	}
	last := netip.AddrFrom4([4]byte{20, byte((count - 1) >> 8 & 0xff), byte((count - 1) & 0xff), 1})
	all((*netlink.Handle).RouteAdd)
	await(t, w, "the limit", func(topo *model.Topology) bool {
		return len(topo.Limits) == 1 && topo.Lookup(last).Kind == dataplane.NextHopUnknown &&
			topo.Lookup(addr("10.20.0.1")).Kind == dataplane.NextHopUnknown
	})
	await(t, w, "IPv6 beside it", leadsTo(peer6, b.eth1, macOf(t, b.lan, "eth0")))
	all((*netlink.Handle).RouteDel)
	await(t, w, "the routes to be few again", func(topo *model.Topology) bool {
		return len(topo.Limits) == 0 && topo.Lookup(addr("10.20.0.1")).Kind == dataplane.NextHopLocal
	})
}

// Routing daemons install next hop objects and point routes at them; a change
// of the object changes the routes.
func TestWatcherFollowsNextHopObject(t *testing.T) {
	b := newBox(t)
	w := b.watch(t)
	const id, rtaNextHopID = 7, 30 // the second of linux/rtnetlink.h
	object := func(oif uint32, gw string) error {
		// struct nhmsg: family, scope, protocol, reserved, flags.
		msg := rawPart{unix.AF_INET, 0, unix.RTPROT_STATIC, 0, 0, 0, 0, 0}
		return w.conn.do(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, msg,
			nl.NewRtAttr(unix.NHA_ID, nl.Uint32Attr(id)), nl.NewRtAttr(unix.NHA_OIF, nl.Uint32Attr(oif)),
			nl.NewRtAttr(unix.NHA_GATEWAY, addr(gw).AsSlice()))
	}
	if err := object(b.eth0, "192.0.2.2"); err != nil {
		t.Fatal(err)
	}
	far := addr("198.18.6.1")
	msg := nl.NewRtMsg()
	msg.Family, msg.Dst_len = unix.AF_INET, 24
	err := w.conn.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE, msg,
		nl.NewRtAttr(unix.RTA_DST, addr("198.18.6.0").AsSlice()), nl.NewRtAttr(rtaNextHopID, nl.Uint32Attr(id)))
	if err != nil {
		t.Fatal(err)
	}
	await(t, w, "the route by the object", leadsTo(far, b.eth0, macOf(t, b.wan, "eth0")))
	if err := object(b.eth1, "10.20.0.2"); err != nil {
		t.Fatal(err)
	}
	await(t, w, "the object's new gateway", leadsTo(far, b.eth1, macOf(t, b.lan, "eth0")))
}

// rawPart is a message header as bytes.
type rawPart []byte

func (p rawPart) Len() int          { return len(p) }
func (p rawPart) Serialize() []byte { return p }
