package neigh

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
)

var (
	vip4 = netip.MustParseAddr("203.0.113.53")
	vip6 = netip.MustParseAddr("2001:db8::53")
	box  = dataplane.MAC{0x02, 0, 0, 0, 0, 0xa}
)

// testWorld is a box whose device has no IPv4 address, and its neighbour.
func testWorld(t *testing.T) (gateway, peer *netns.HostEnv) {
	env := netns.New(t, netns.World{
		Hosts: []netns.Host{{Name: "box"}, {Name: "peer"}},
		Links: []netns.Link{{
			A: netns.End{Host: "box", Device: "eth0", MAC: box},
			B: netns.End{Host: "peer", Device: "eth0", Addrs: []netip.Prefix{
				netip.MustParsePrefix("203.0.113.1/24"), netip.MustParsePrefix("2001:db8::1/64"),
			}},
		}},
	})
	return env.Host("box"), env.Host("peer")
}

func newSender(t *testing.T) *Sender {
	s := NewSender(true)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close sender: %v", err)
		}
	})
	return s
}

func mustInterface(t *testing.T, h *netns.HostEnv, name string) *net.Interface {
	t.Helper()
	ifi, err := h.Interface(name)
	if err != nil {
		t.Fatal(err)
	}
	return ifi
}

// mustRead reads until the wanted frames came in this order, skipping what the
// kernel sent by itself.
func mustRead(t *testing.T, conn *packet.Conn, want [][]byte) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	for len(want) > 0 {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatalf("%d frames missing, next %x: %v", len(want), want[0], err)
		}
		if bytes.Equal(buf[:n], want[0]) {
			want = want[1:]
		}
	}
}

func TestAnnounceOnTheWire(t *testing.T) {
	boxHost, peer := testWorld(t)
	ifi := mustInterface(t, boxHost, "eth0")
	const allProtocols = 3 // ETH_P_ALL
	var capture *packet.Conn
	peerIfi := mustInterface(t, peer, "eth0")
	if err := peer.Do(func() (err error) {
		capture, err = packet.Listen(peerIfi, packet.Raw, allProtocols, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	s := newSender(t)
	for _, addr := range []netip.Addr{vip4, vip6} {
		if err := boxHost.Do(func() error {
			return s.Announce(t.Context(), uint32(ifi.Index), box, addr)
		}); err != nil {
			t.Fatal(err)
		}
		want, err := s.frames(box, addr)
		if err != nil {
			t.Fatal(err)
		}
		mustRead(t, capture, want)
	}
}

// The kernel of a neighbour that knows the VIP at another MAC is the judge of
// whether an announcement moves it.
func TestAnnounceMovesNeighbour(t *testing.T) {
	boxHost, peer := testWorld(t)
	ifi, peerIfi := mustInterface(t, boxHost, "eth0"), mustInterface(t, peer, "eth0")
	s := newSender(t)
	for _, vip := range []netip.Addr{vip4, vip6} {
		t.Run(vip.String(), func(t *testing.T) {
			if err := peer.Do(func() error {
				return netlink.NeighSet(&netlink.Neigh{
					LinkIndex: peerIfi.Index, IP: vip.AsSlice(), State: netlink.NUD_STALE,
					HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 0xff},
				})
			}); err != nil {
				t.Fatal(err)
			}
			netns.WaitFor(t, func() bool {
				// The kernel ignores a change that comes too soon after
				// another (net.ipv4.neigh.*.locktime, 1 s).
				if err := boxHost.Do(func() error {
					return s.Announce(t.Context(), uint32(ifi.Index), box, vip)
				}); err != nil {
					t.Fatal(err)
				}
				return bytes.Equal(mustNeighbour(t, peer, peerIfi.Index, vip), box[:])
			}, "the neighbour to learn the new MAC")
		})
	}
}

func mustNeighbour(t *testing.T, h *netns.HostEnv, ifindex int, addr netip.Addr) (mac net.HardwareAddr) {
	t.Helper()
	if err := h.Do(func() error {
		list, err := netlink.NeighList(ifindex, netlink.FAMILY_ALL)
		for _, n := range list {
			if n.IP.Equal(addr.AsSlice()) {
				mac = n.HardwareAddr
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return mac
}

func TestAnnounceSurvivesInterface(t *testing.T) {
	boxHost, _ := testWorld(t)
	old := mustInterface(t, boxHost, "eth0").Index
	s := newSender(t)
	announce := func(ifindex int) error {
		return boxHost.Do(func() error { return s.Announce(t.Context(), uint32(ifindex), box, vip4) })
	}
	change := func(f func(netlink.Link) error) {
		t.Helper()
		if err := boxHost.Do(func() error {
			link, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return f(link)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := announce(old); err != nil {
		t.Fatal(err)
	}
	change(netlink.LinkSetDown)
	if err := announce(old); err == nil {
		t.Error("announced on an interface that is down")
	}
	change(netlink.LinkSetUp)
	if err := announce(old); err != nil {
		t.Errorf("announce on an interface that is up again: %v", err)
	}
	change(netlink.LinkDel)
	if err := announce(old); err == nil || !strings.Contains(err.Error(), "203.0.113.53 on interface") {
		t.Errorf("on an interface that is gone: %v", err)
	}
	if len(s.conns) != 0 {
		t.Errorf("sockets of gone interfaces kept: %v", s.conns)
	}
	if err := boxHost.Do(func() error {
		veth := netlink.NewVeth(netlink.LinkAttrs{Name: "eth0"})
		veth.PeerName = "other"
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		return netlink.LinkSetUp(veth)
	}); err != nil {
		t.Fatal(err)
	}
	again := mustInterface(t, boxHost, "eth0").Index
	if again == old {
		t.Fatalf("the new interface has the old index %d", again)
	}
	// Its peer is down, so it has no carrier; the socket takes the frame.
	if err := announce(again); err != nil {
		t.Errorf("announce on the new interface: %v", err)
	}
}

func TestAnnounceRefused(t *testing.T) {
	s := newSender(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Announce(ctx, 1, box, vip4); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	if err := s.Announce(t.Context(), 1, dataplane.MAC{}, vip4); err == nil {
		t.Error("announced the zero MAC")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Announce(t.Context(), 1, box, vip4); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
