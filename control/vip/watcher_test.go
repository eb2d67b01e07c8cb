package vip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"steelyard/control/model"
	"steelyard/dataplane"
	"steelyard/testenv/netns"
)

// watch runs a Watcher in the box until the test ends and checks that nothing
// of it is left then.
func (b box) watch(t *testing.T) *Watcher {
	t.Helper()
	var w *Watcher
	mustDo(t, b.HostEnv, func() (err error) {
		w, err = NewWatcher(nil)
		return err
	})
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
	w.SetCarriers([]string{"eth0", "eth1"})
	return w
}

// await waits for a topology that cond accepts; Changed alone wakes it.
func await(t *testing.T, w *Watcher, what string, cond func(*model.Topology) bool) *model.Topology {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		changed := w.Changed()
		topo := w.Topology()
		if topo.Revision > 0 && cond(topo) {
			return topo
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited for %s in vain; routes are\n%s", what,
				strings.Join(resolveText(&view{topology: *topo}), "\n"))
		}
	}
}

// leadsTo accepts a topology in which packets for addr go out of ifindex to mac.
func leadsTo(a netip.Addr, ifindex uint32, mac dataplane.MAC) func(*model.Topology) bool {
	return func(topo *model.Topology) bool {
		n := topo.Lookup(a)
		return n.Kind == dataplane.NextHopNeighbor && n.Ifindex == ifindex && n.Dst == mac
	}
}

func isKind(a netip.Addr, kind dataplane.NextHopKind) func(*model.Topology) bool {
	return func(topo *model.Topology) bool { return topo.Lookup(a).Kind == kind }
}

func macOf(t *testing.T, h *netns.HostEnv, device string) dataplane.MAC {
	t.Helper()
	ifi, err := h.Interface(device)
	if err != nil {
		t.Fatal(err)
	}
	mac, ok := toMAC(ifi.HardwareAddr)
	if !ok {
		t.Fatalf("%s has the MAC %s", device, ifi.HardwareAddr)
	}
	return mac
}

func withLink(name string, f func(netlink.Link) error) func() error {
	return func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return f(link)
	}
}

var families = []struct {
	name                           string
	own, peer, gateway, far, vip   netip.Addr
	farNet                         netip.Prefix
	peerSubnet, defaultDestination netip.Prefix
}{
	{
		"IPv4", addr("10.20.0.1"), addr("10.20.0.2"), addr("192.0.2.2"), addr("198.51.100.7"), vip4,
		prefix("198.51.100.0/24"), prefix("10.20.0.0/24"), prefix("0.0.0.0/0"),
	},
	{
		"IPv6", addr("2001:db8:2::1"), addr("2001:db8:2::2"), addr("2001:db8:1::2"), addr("2001:db8:77::7"), vip6,
		prefix("2001:db8:77::/48"), prefix("2001:db8:2::/64"), prefix("::/0"),
	},
}

func TestWatcherTopology(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			b := newBox(t)
			w := b.watch(t)
			// The gateway is asked for without any packet for it.
			for _, to := range []netip.Prefix{f.farNet, f.defaultDestination} {
				if err := b.AddRoute(netns.Route{To: to, Via: f.gateway}); err != nil {
					t.Fatal(err)
				}
			}
			router := macOf(t, b.wan, "eth0")
			topo := await(t, w, "the gateway's MAC", leadsTo(f.far, b.eth0, router))
			if n := topo.Lookup(f.far); n.MTU != 1500 || n.VLAN != 0 || n.Src != macOf(t, b.HostEnv, "eth0") {
				t.Errorf("next hop %+v", n)
			}
			await(t, w, "the default route", leadsTo(f.vip, b.eth0, router))
			await(t, w, "the box's own address", isKind(f.own, dataplane.NextHopLocal))
			if topo.Lookup(f.peer).Kind != dataplane.NextHopUnknown {
				t.Errorf("on-link address without a neighbour resolved to %+v", topo.Lookup(f.peer))
			}
			if len(topo.Limits) != 0 {
				t.Errorf("limits %q", topo.Limits)
			}

			// A VIP of ours appears, as an address and as a local route.
			a := b.newAddresses(t)
			mustEnsure(t, a, Want{f.vip, b.eth0})
			topo = await(t, w, "the VIP", isKind(f.vip, dataplane.NextHopLocal))
			if l := topo.LinkByName("eth0"); !strings.Contains(fmt.Sprint(l.Addrs), f.vip.String()) {
				t.Errorf("addresses of eth0: %v", l.Addrs)
			}
			mustEnsure(t, a)
			await(t, w, "the VIP's end", leadsTo(f.vip, b.eth0, router))

			// No carrier, no way for the packet path.
			w.SetCarriers([]string{"eth1"})
			await(t, w, "the end of the gateway's link", isKind(f.far, dataplane.NextHopUnknown))
		})
	}
}

func TestWatcherResolvesAndFollowsNeighbour(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			b := newBox(t)
			w := b.watch(t)
			await(t, w, "the subnet", func(topo *model.Topology) bool {
				return len(topo.Routes) > 0 && topo.Lookup(f.peer).Kind == dataplane.NextHopUnknown
			})
			w.Resolve([]netip.Addr{f.peer})
			await(t, w, "the neighbour to be resolved", leadsTo(f.peer, b.eth1, macOf(t, b.lan, "eth0")))

			moved := dataplane.MAC{2, 0, 0, 0, 0x77, 7}
			mustDo(t, b.HostEnv, func() error {
				return netlink.NeighSet(&netlink.Neigh{
					LinkIndex: int(b.eth1), IP: f.peer.AsSlice(), State: netlink.NUD_REACHABLE, HardwareAddr: moved[:],
				})
			})
			await(t, w, "the neighbour's new MAC", leadsTo(f.peer, b.eth1, moved))
			mustDo(t, b.HostEnv, func() error {
				return netlink.NeighDel(&netlink.Neigh{LinkIndex: int(b.eth1), IP: f.peer.AsSlice()})
			})
			await(t, w, "the deleted neighbour to be found again", leadsTo(f.peer, b.eth1, macOf(t, b.lan, "eth0")))
		})
	}
}

// A backend that is not there yet is asked for again and again.
func TestWatcherAsksUntilAnswered(t *testing.T) {
	b := newBox(t)
	w := b.watch(t)
	late := addr("10.20.0.77")
	w.Resolve([]netip.Addr{late})
	netns.WaitFor(t, func() bool {
		list, err := w.conn.neighbours()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range list {
			if n.addr == late && n.state&netlink.NUD_FAILED != 0 {
				return true
			}
		}
		return false
	}, "the first question to fail")
	mustDo(t, b.lan, withLink("eth0", func(l netlink.Link) error {
		return netlink.AddrAdd(l, &netlink.Addr{IPNet: netlink.NewIPNet(net.IP(late.AsSlice()))})
	}))
	await(t, w, "the late backend", leadsTo(late, b.eth1, macOf(t, b.lan, "eth0")))
}

func TestWatcherFollowsLink(t *testing.T) {
	b := newBox(t)
	w := b.watch(t)
	for _, f := range families {
		w.Resolve([]netip.Addr{f.peer})
		await(t, w, "the neighbour", leadsTo(f.peer, b.eth1, macOf(t, b.lan, "eth0")))
	}
	peer := families[0].peer
	w.Resolve([]netip.Addr{peer})
	for _, change := range []struct {
		name string
		f    func(netlink.Link) error
	}{{"down", netlink.LinkSetDown}, {"removed", netlink.LinkDel}} {
		mustDo(t, b.HostEnv, withLink("eth1", change.f))
		await(t, w, change.name, func(topo *model.Topology) bool {
			l := topo.LinkByName("eth1")
			return (l == nil || !l.Up) && topo.Lookup(peer).Kind == dataplane.NextHopUnknown &&
				(change.name == "removed") == (l == nil)
		})
	}
	// It comes back as another device of the same name.
	mustDo(t, b.HostEnv, func() error {
		veth := netlink.NewVeth(netlink.LinkAttrs{Name: "eth1"})
		veth.PeerName = "peer1"
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(veth); err != nil {
			return err
		}
		if err := withLink("peer1", netlink.LinkSetUp)(); err != nil {
			return err
		}
		return netlink.AddrAdd(veth, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 20, 0, 1), Mask: net.CIDRMask(24, 32)}})
	})
	again := b.mustIndex(t, "eth1")
	if again == b.eth1 {
		t.Fatalf("the new device has the old index %d", again)
	}
	mac := dataplane.MAC{2, 0, 0, 0, 0, 9}
	mustDo(t, b.HostEnv, func() error {
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: int(again), IP: peer.AsSlice(), State: netlink.NUD_PERMANENT, HardwareAddr: mac[:],
		})
	})
	await(t, w, "the neighbour on the new device", leadsTo(peer, again, mac))
}

func TestWatcherClosed(t *testing.T) {
	b := newBox(t)
	var w *Watcher
	mustDo(t, b.HostEnv, func() (err error) {
		w, err = NewWatcher(nil)
		return err
	})
	if w.Topology().Revision != 0 {
		t.Error("knows something before Run")
	}
	w.Close()
	w.Close()
	if err := w.Run(t.Context()); err == nil {
		t.Error("Run on closed sockets ended without an error")
	}
}

// Packets that bypass the kernel confirm no neighbour, so a stale one is
// confirmed by asking.
func TestWatcherConfirmsStaleNeighbour(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			b := newBox(t)
			w := b.watch(t)
			mac := macOf(t, b.lan, "eth0")
			mustDo(t, b.HostEnv, func() error {
				return netlink.NeighSet(&netlink.Neigh{
					LinkIndex: int(b.eth1), IP: f.peer.AsSlice(), State: netlink.NUD_STALE, HardwareAddr: mac[:],
				})
			})
			await(t, w, "the stale neighbour", leadsTo(f.peer, b.eth1, mac))
			w.Resolve([]netip.Addr{f.peer})
			netns.WaitFor(t, func() bool {
				list, err := w.conn.neighbours()
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range list {
					if n.addr == f.peer && n.state&netlink.NUD_REACHABLE != 0 {
						return true
					}
				}
				return false
			}, "the neighbour to be confirmed")
		})
	}
}
