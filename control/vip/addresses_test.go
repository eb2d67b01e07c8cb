package vip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"steelyard/testenv/netns"
)

func TestPlanAddresses(t *testing.T) {
	a, b := addr("203.0.113.53"), addr("2001:db8::53")
	host := func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
	tests := []struct {
		name string
		have []ifAddr
		want []Want
		plan addressPlan
	}{
		{"nothing", nil, nil, addressPlan{}},
		{"new", nil, []Want{{a, 2}, {b, 2}}, addressPlan{add: []Want{{a, 2}, {b, 2}}}},
		{"wanted twice", nil, []Want{{a, 2}, {a, 2}}, addressPlan{add: []Want{{a, 2}}}},
		{"in place", []ifAddr{{2, host(a), ownMark}}, []Want{{a, 2}}, addressPlan{}},
		{"moves", []ifAddr{{2, host(a), ownMark}}, []Want{{a, 3}},
			addressPlan{add: []Want{{a, 3}}, remove: []Want{{a, 2}}}},
		{"left over", []ifAddr{{2, host(a), ownMark}, {3, host(b), ownMark}}, nil,
			addressPlan{remove: []Want{{a, 2}, {b, 3}}}},
		{"somebody else's", []ifAddr{{2, host(a), 0}}, []Want{{a, 2}}, addressPlan{foreign: []netip.Addr{a}}},
		{"somebody else's on another link", []ifAddr{{3, netip.PrefixFrom(a, 24), 3}}, []Want{{a, 2}},
			addressPlan{foreign: []netip.Addr{a}}},
		{"somebody else's is not removed", []ifAddr{{2, host(a), 0}, {2, host(b), 4}}, nil, addressPlan{}},
		{"ours, and somebody else's since", []ifAddr{{2, host(a), ownMark}, {3, host(a), 0}}, []Want{{a, 2}},
			addressPlan{foreign: []netip.Addr{a}}},
		{"marked, but no host address", []ifAddr{{2, netip.PrefixFrom(a, 24), ownMark}}, nil, addressPlan{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := planAddresses(tt.have, tt.want); !reflect.DeepEqual(got, tt.plan) {
				t.Errorf("planned %+v, want %+v", got, tt.plan)
			}
		})
	}
}

func mustEnsure(t *testing.T, a *Addresses, want ...Want) {
	t.Helper()
	if err := a.Ensure(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(want, func(x, y Want) int { return x.Addr.Compare(y.Addr) })
	if got := marked(t, a); !slices.Equal(got, want) {
		t.Errorf("the box has %v, want %v", got, want)
	}
}

func TestEnsureAddsMovesRemoves(t *testing.T) {
	b := newBox(t)
	a := b.newAddresses(t)
	mustEnsure(t, a, Want{vip4, b.eth0}, Want{vip6, b.eth0})
	mustEnsure(t, a, Want{vip4, b.eth0}, Want{vip6, b.eth0})
	mustEnsure(t, a, Want{vip4, b.eth1}, Want{vip6, b.eth0})

	// Another process, after a crash of the first.
	next := b.newAddresses(t)
	mustEnsure(t, next, Want{vip6, b.eth0})
	if err := next.RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := marked(t, next); len(got) != 0 {
		t.Errorf("RemoveAll left %v", got)
	}
	// The box's own addresses are untouched by all of this.
	var rest []string
	mustDo(t, b.HostEnv, func() error {
		for _, device := range []string{"eth0", "eth1"} {
			ifi, err := net.InterfaceByName(device)
			if err != nil {
				return err
			}
			addrs, err := ifi.Addrs()
			for _, a := range addrs {
				if !strings.HasPrefix(a.String(), "fe80") {
					rest = append(rest, a.String())
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if want := []string{"192.0.2.1/24", "2001:db8:1::1/64", "10.20.0.1/24", "2001:db8:2::1/64"}; !slices.Equal(rest, want) {
		t.Errorf("the box's own addresses are now %v, want %v", rest, want)
	}
}

// The box must answer for a VIP and never use it as its own source, not even
// where the device has no other address.
func TestVIPIsNeverSource(t *testing.T) {
	b := newBox(t)
	a := b.newAddresses(t)
	mustDo(t, b.HostEnv, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, addr := range list {
			if addr.IP.IsLinkLocalUnicast() {
				continue
			}
			if err := netlink.AddrDel(link, &addr); err != nil {
				return err
			}
		}
		return nil
	})
	mustEnsure(t, a, Want{vip4, b.eth0}, Want{vip6, b.eth0})
	for _, to := range []string{"192.0.2.0/24", "2001:db8:1::/64"} {
		if err := b.AddRoute(netns.Route{To: prefix(to), Device: "eth0"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []string{"192.0.2.2", "2001:db8:1::2"} {
		mustDo(t, b.HostEnv, func() error {
			routes, err := netlink.RouteGet(net.ParseIP(to))
			if err != nil {
				return err
			}
			src, _ := netip.AddrFromSlice(routes[0].Src)
			if src = src.Unmap(); src == vip4 || src == vip6 || !src.IsValid() {
				t.Errorf("packets to %s leave from %s", to, src)
			}
			return nil
		})
	}
}

// What was put on the box answers at once, without duplicate address detection.
func TestVIPAnswers(t *testing.T) {
	b := newBox(t)
	mustEnsure(t, b.newAddresses(t), Want{vip4, b.eth0}, Want{vip6, b.eth0})
	for _, v := range []netip.Addr{vip4, vip6} {
		via := addr("192.0.2.1")
		if v.Is6() {
			via = addr("2001:db8:1::1")
		}
		if err := b.wan.AddRoute(netns.Route{To: netip.PrefixFrom(v, v.BitLen()), Via: via}); err != nil {
			t.Fatal(err)
		}
		ln, err := b.Listen(t.Context(), "tcp", netip.AddrPortFrom(v, 80).String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := b.wan.Dial(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Errorf("connect to %s: %v", v, err)
		} else {
			conn.Close()
		}
		ln.Close()
	}
}

func TestEnsureLeavesForeign(t *testing.T) {
	b := newBox(t)
	a := b.newAddresses(t)
	foreign := addr("192.0.2.1")
	mustDo(t, b.HostEnv, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet(vip6.AsSlice()), Flags: unix.IFA_F_NODAD})
	})
	err := a.Ensure(t.Context(), []Want{{foreign, b.eth0}, {vip6, b.eth0}, {vip4, b.eth0}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.Foreign(), []netip.Addr{foreign, vip6}; !slices.Equal(got, want) {
		t.Errorf("foreign: %v, want %v", got, want)
	}
	if got, want := marked(t, a), []Want{{vip4, b.eth0}}; !slices.Equal(got, want) {
		t.Errorf("added %v, want %v", got, want)
	}
	if err := a.RemoveAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(a.Foreign()) != 0 {
		t.Errorf("foreign though nothing is wanted: %v", a.Foreign())
	}
	list, err := a.conn.addresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []netip.Addr{foreign, vip6} {
		if !slices.ContainsFunc(list, func(h ifAddr) bool { return h.prefix.Addr() == want }) {
			t.Errorf("removed %s, which is somebody else's", want)
		}
	}
}

func TestEnsureErrors(t *testing.T) {
	b := newBox(t)
	a := b.newAddresses(t)
	mustEnsure(t, a, Want{vip4, b.eth0})
	err := a.Ensure(t.Context(), []Want{{vip4, 4711}, {vip6, b.eth1}})
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "add 203.0.113.53 to interface 4711:") {
		t.Errorf("for an interface that does not exist: %v", err)
	}
	// The good one was added, and the other one still is where it was.
	if got, want := marked(t, a), []Want{{vip4, b.eth0}, {vip6, b.eth1}}; !slices.Equal(got, want) {
		t.Errorf("the box has %v, want %v", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Ensure(ctx, nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "remove 203.0.113.53 from eth0:") {
		t.Errorf("with an ended context: %v", err)
	}
}

// The kernel drops IPv6 addresses with the link; Ensure brings them back.
func TestEnsureAfterLinkWasDown(t *testing.T) {
	b := newBox(t)
	a := b.newAddresses(t)
	want := []Want{{vip4, b.eth0}, {vip6, b.eth0}}
	mustEnsure(t, a, slices.Clone(want)...)
	mustDo(t, b.HostEnv, withLink("eth0", netlink.LinkSetDown))
	mustDo(t, b.HostEnv, withLink("eth0", netlink.LinkSetUp))
	if got := marked(t, a); len(got) != 1 {
		t.Errorf("after the link was down the box has %v, want the IPv4 address only", got)
	}
	mustEnsure(t, a, want...)
}
