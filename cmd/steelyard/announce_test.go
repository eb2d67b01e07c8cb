package main_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/vishvananda/netlink"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
)

// announcements counts what a client hears about the VIPs.
type announcements struct {
	requests, replies, advertisements int
}

// listen judges frames as a neighbour does: only those that say that a VIP is
// at the right MAC, unasked, to everybody, count.
func listen(frames []netns.Frame, gateway net.HardwareAddr) (a announcements) {
	for _, f := range frames {
		p := gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.NoCopy)
		eth, ok := p.LinkLayer().(*layers.Ethernet)
		if !ok || f.Outgoing || !bytes.Equal(eth.SrcMAC, gateway) {
			continue
		}
		if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
			vip := site.VIP4.AsSlice()
			if eth.DstMAC.String() != "ff:ff:ff:ff:ff:ff" || !bytes.Equal(arp.SourceHwAddress, gateway) ||
				!bytes.Equal(arp.SourceProtAddress, vip) || !bytes.Equal(arp.DstProtAddress, vip) {
				continue
			}
			switch arp.Operation {
			case layers.ARPRequest:
				a.requests++
			case layers.ARPReply:
				a.replies++
			}
		}
		if na, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement); ok {
			ip := p.NetworkLayer().(*layers.IPv6)
			if ip.DstIP.String() == "ff02::1" && ip.HopLimit == 255 && na.TargetAddress.Equal(site.VIP6.AsSlice()) &&
				!na.Solicited() && na.Override() && names(na.Options, gateway) {
				a.advertisements++
			}
		}
	}
	return a
}

// names tells whether the options give a target's link-layer address.
func names(options layers.ICMPv6Options, mac net.HardwareAddr) bool {
	for _, o := range options {
		if o.Type == layers.ICMPv6OptTargetAddress && bytes.Equal(o.Data, mac) {
			return true
		}
	}
	return false
}

// TestAnnouncements: a client that knew the VIPs at another machine hears
// where they are now, and believes it.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(2))
	b.serve(2)
	old := net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		b.setNeighbour(vip, old)
		if got := b.neighbour(vip); got != old.String() {
			t.Fatalf("the client has %s at %q", vip, got)
		}
	}
	heard, _ := capture(t, b.client, "eth0")
	b.start(site.Config{Backends: site.Members(2)}.String())
	gateway := mac(t, b.gateway, "wan")
	// The burst of site.Config is two.
	netns.WaitFor(t, func() bool {
		a := listen(heard.Frames(), gateway)
		return a.requests >= 2 && a.replies >= 2 && a.advertisements >= 2
	}, "two announcements of each kind")
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		if got := b.neighbour(vip); got != gateway.String() {
			t.Errorf("the client has %s at %s, want %s", vip, got, gateway)
		}
	}
	b.balances(t, 2)
	for _, v := range b.status().VIPs {
		if v.Sent < 2 || v.Error != "" {
			t.Errorf("status says %s was announced %d times, %q", v.Addr, v.Sent, v.Error)
		}
	}
}

// setNeighbour puts an entry into the client's neighbour table, as one that
// was confirmed.
func (b *bed) setNeighbour(addr netip.Addr, at net.HardwareAddr) {
	b.t.Helper()
	iface, err := b.client.Interface("eth0")
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.client.Do(func() error {
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: iface.Index, State: netlink.NUD_REACHABLE, IP: addr.AsSlice(), HardwareAddr: at})
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// neighbour returns the MAC of an entry of the client's neighbour table.
func (b *bed) neighbour(addr netip.Addr) (at string) {
	b.t.Helper()
	if err := b.client.Do(func() error {
		list, err := netlink.NeighList(0, netlink.FAMILY_ALL)
		for _, n := range list {
			if n.IP.Equal(addr.AsSlice()) {
				at = n.HardwareAddr.String()
			}
		}
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return at
}
