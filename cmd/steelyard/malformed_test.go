package main_test

import (
	"bytes"
	"net/netip"
	"testing"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
	"steelyard/testenv/packet"
	"steelyard/testenv/site"
)

// TestMalformed sends frames that no service wants: each is dropped under its
// own reason and none reaches a backend.
func TestMalformed(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(1))
	b.serve(1)
	b.start(site.Config{Backends: site.Members(1)}.String())
	seen, _ := capture(t, b.backend(1), "eth0")
	// Without it the client would tell the backend that nobody listens.
	answers, err := b.client.ListenPacket(t.Context(), "udp", ":4444")
	if err != nil {
		t.Fatal(err)
	}
	defer answers.Close()
	udp, tcp := packet.UDP{Src: 4444, Dst: vipPort}, packet.TCP{Src: 4444, Dst: vipPort, Flags: "S"}
	to4 := packet.IP{Src: site.Client4.Addr(), Dst: site.VIP4}
	to6 := packet.IP{Src: site.Client6.Addr(), Dst: site.VIP6}
	const protoUDP = uint8(dataplane.UDP)
	words4, words15, long := uint8(4), uint8(15), uint16(1400)
	with := func(ip packet.IP, change func(*packet.IP)) packet.IP {
		change(&ip)
		return ip
	}
	tests := []struct {
		name   string
		reason string
		layers []packet.Layer
	}{
		{"IPv4 header longer than the frame", "truncated", []packet.Layer{with(to4, func(ip *packet.IP) { ip.HeaderWords = &words15 }), udp}},
		{"half a UDP header", "truncated", []packet.Layer{with(to4, func(ip *packet.IP) { ip.Proto = protoUDP }), packet.Payload(4)}},
		{"half a UDP header over IPv6", "truncated", []packet.Layer{with(to6, func(ip *packet.IP) { ip.Proto = protoUDP }), packet.Payload(4)}},
		{"IPv4 longer than the frame", "bad-length", []packet.Layer{with(to4, func(ip *packet.IP) { ip.Length = &long }), udp}},
		{"IPv6 longer than the frame", "bad-length", []packet.Layer{with(to6, func(ip *packet.IP) { ip.Length = &long }), udp}},
		{"UDP longer than the packet", "bad-length", []packet.Layer{to4, packet.UDP{Src: 4444, Dst: vipPort, Length: &long}, packet.Payload(8)}},
		{"IPv4 header checksum", "bad-checksum", []packet.Layer{with(to4, func(ip *packet.IP) { ip.BadChecksum = true }), tcp}},
		{"no TTL left", "ttl-zero", []packet.Layer{with(to4, func(ip *packet.IP) { ip.ZeroTTL = true }), udp}},
		{"no hop limit left", "ttl-zero", []packet.Layer{with(to6, func(ip *packet.IP) { ip.ZeroTTL = true }), tcp}},
		{"from nobody", "bad-source", []packet.Layer{with(to4, func(ip *packet.IP) { ip.Src = netip.MustParseAddr("127.0.0.1") }), udp}},
		{"from the VIP itself", "bad-source", []packet.Layer{with(to6, func(ip *packet.IP) { ip.Src = site.VIP6 }), tcp}},
		{"IPv4 header shorter than one", "bad-header", []packet.Layer{with(to4, func(ip *packet.IP) { ip.HeaderWords = &words4 }), udp}},
		{"IPv4 of version 5", "bad-header", []packet.Layer{with(to4, func(ip *packet.IP) { ip.Version = 5 }), udp}},
		{"IPv6 of version 7", "bad-header", []packet.Layer{with(to6, func(ip *packet.IP) { ip.Version = 7 }), udp}},
		{"TCP header shorter than one", "bad-header", []packet.Layer{to6, packet.TCP{Src: 4444, Dst: vipPort, Flags: "S", DataWords: &words4}}},
		{"later fragment", "fragment", []packet.Layer{with(to4, func(ip *packet.IP) { ip.Fragment = &packet.Fragment{ID: 7, Offset: 8}; ip.Proto = protoUDP }), packet.Payload(64)}},
		{"later fragment over IPv6", "fragment", []packet.Layer{with(to6, func(ip *packet.IP) { ip.Fragment = &packet.Fragment{ID: 7, Offset: 8}; ip.Proto = protoUDP }), packet.Payload(64)}},
	}
	head := packet.Ether{Src: dataplane.MAC(mac(t, b.client, "eth0")), Dst: dataplane.MAC(mac(t, b.gateway, "wan"))}
	const copies = 3
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := b.status()
			b.send(t, packet.Build(append([]packet.Layer{head}, tt.layers...)...), copies)
			netns.WaitFor(t, func() bool { return b.verdict(tt.reason) == packets(before, tt.reason)+copies }, "frames dropped as "+tt.reason)
		})
	}
	b.send(t, packet.Build(head, to4, udp, packet.Payload(8)), 1)
	b.send(t, packet.Build(head, to6, udp, packet.Payload(8)), 1)
	clientFrames := func() int { return fromClient(seen.Frames()) }
	netns.WaitFor(t, func() bool { return clientFrames() >= 2 }, "the two frames that are well")
	if n := clientFrames(); n != 2 {
		t.Errorf("%d frames of the client reached the backend, want the two that are well", n)
	}
}

func (b *bed) send(t *testing.T, frame []byte, copies int) {
	t.Helper()
	for range copies {
		if err := b.client.Send("eth0", frame); err != nil {
			t.Fatal(err)
		}
	}
}

// fromClient counts received frames that hold an address of the client: a
// malformed one need not be one that can be decoded.
func fromClient(frames []netns.Frame) int {
	n := 0
	for _, f := range frames {
		for _, source := range []netip.Addr{site.Client4.Addr(), site.Client6.Addr(), netip.MustParseAddr("127.0.0.1")} {
			if !f.Outgoing && bytes.Contains(f.Data, source.AsSlice()) {
				n++
			}
		}
	}
	return n
}
