package cases

import (
	"net/netip"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/packet"
)

// passes: what is left to the kernel untouched.
func (s script) passes() []Case {
	tcp := stack(s.ipIn(), tcpTo(80, "S"))
	pass := func(name string, v dataplane.Verdict, in ...packet.Layer) Case {
		return one(name, Step{In: in, Verdict: v})
	}
	mapped := packet.IP{Src: v6Form(s.client), Dst: v6Form(s.vip)}
	return []Case{
		pass("arp", dataplane.PassNotOurs, packet.Ether{Src: macRouter, Dst: macOutside, Type: 0x806}, packet.Payload(28)),
		pass("runt", dataplane.PassNotOurs, append(stack(s.fromClient()), append(tcp, packet.Cut(20))...)...),
		pass("vlan tag cut off", dataplane.PassNotOurs, s.fromClient(), packet.Tag{ID: 3}, tcp[0], tcp[1], packet.Cut(16)),
		pass("three vlan tags", dataplane.PassNotOurs, s.fromClient(), packet.Tag{ID: 3}, packet.Tag{ID: 4}, packet.Tag{ID: 5}, tcp[0], tcp[1]),
		pass("for another mac", dataplane.PassNotOurs, packet.Ether{Src: macRouter, Dst: macOther}, tcp[0], tcp[1]),
		pass("broadcast", dataplane.PassNotOurs, packet.Ether{Src: macRouter, Dst: dataplane.MAC{255, 255, 255, 255, 255, 255}}, tcp[0], tcp[1]),
		pass("the other device's mac", dataplane.PassNotOurs, packet.Ether{Src: macRouter, Dst: macInside}, tcp[0], tcp[1]),
		one("by a device that is not configured", Step{
			From: s.d.Stray, In: stack(packet.Ether{Src: macRouter, Dst: macOutside}, tcp[0], tcp[1]), Verdict: dataplane.PassNotOurs,
		}),
		one("for no mac by a device that is not configured", Step{
			From: s.d.Stray, In: stack(packet.Ether{Src: macRouter, Dst: macNone}, tcp[0], tcp[1]), Verdict: dataplane.PassNotOurs,
		}),
		pass("transit", dataplane.PassNotOurs, s.fromClient(), packet.IP{Src: s.client, Dst: s.far}, tcpTo(80, "S")),
		pass("transit of broken packets", dataplane.PassNotOurs, s.fromClient(), packet.IP{Src: s.client, Dst: s.far}, tcpTo(80, "S"), packet.Cut(60)),
		pass("ping of the vip", dataplane.PassLocal, s.fromClient(), s.ipIn(), packet.ICMP{Type: 8}, packet.Payload(8)),
		pass("other protocol for the vip", dataplane.PassLocal, s.fromClient(), with(s.ipIn(), func(ip *packet.IP) { ip.Proto = 47 }), packet.Payload(8)),
		pass("ping of the vip by another mac", dataplane.PassNotOurs, packet.Ether{Src: macRouter, Dst: macOther}, s.ipIn(), packet.ICMP{Type: 8}),
		one("a port of the vip that the box listens on", Step{
			Change: func(b *model.Box) {
				b.Listens = func(proto dataplane.Protocol, vip, _ netip.AddrPort) bool {
					return proto == dataplane.TCP && vip == netip.AddrPortFrom(s.vip, ListenPort)
				}
			},
			In: stack(s.fromClient(), s.ipIn(), tcpTo(ListenPort, "S")), Verdict: dataplane.PassLocal,
		}),
		pass("a mapped address is not the vip", dataplane.PassNotOurs, s.fromClient(), mapped, tcpTo(80, "S")),
	}
}

// ListenPort is the TCP port of every VIP that the box itself listens on in
// the case that says so.
const ListenPort = 7007

// v6Form is an IPv4 address mapped into IPv6; an IPv6 one with a bit changed.
func v6Form(a netip.Addr) netip.Addr {
	bytes := a.As16()
	if !a.Is4() {
		bytes[15] ^= 0x55
	}
	return netip.AddrFrom16(bytes)
}

func ptr[T any](v T) *T { return &v }

// drops: one case or more for each reason.
func (s script) drops() []Case {
	ip := func(change func(*packet.IP)) packet.IP { return with(s.ipIn(), change) }
	tcp := func(change func(*packet.TCP)) packet.TCP { return with(tcpTo(80, "A"), change) }
	drop := func(name string, v dataplane.Verdict, in ...packet.Layer) Case {
		return one(name, Step{In: append(stack(s.fromClient()), in...), Verdict: v})
	}
	header := len(packet.Build(s.fromClient(), s.ipIn()))
	list := []Case{
		drop("tcp header cut", dataplane.DropTruncated, ip(func(ip *packet.IP) { ip.Length = s.ipLength(12) }), tcpTo(80, "A"), packet.Cut(header+12)),
		drop("udp header cut", dataplane.DropTruncated, ip(func(ip *packet.IP) { ip.Length = s.ipLength(7) }), udpTo(53), packet.Cut(header+7)),
		drop("ip version", dataplane.DropBadHeader, ip(func(ip *packet.IP) { ip.Version = 5 }), tcpTo(80, "A")),
		drop("tcp data offset too small", dataplane.DropBadHeader, s.ipIn(), tcp(func(t *packet.TCP) { t.DataWords = ptr(uint8(4)) })),
		drop("tcp data offset past the end", dataplane.DropBadLength, s.ipIn(), tcp(func(t *packet.TCP) { t.DataWords = ptr(uint8(6)) })),
		drop("ip length past the end", dataplane.DropBadLength, ip(func(ip *packet.IP) { ip.Length = s.ipLength(21) }), tcpTo(80, "A")),
		drop("udp length past the end", dataplane.DropBadLength, s.ipIn(), packet.UDP{Src: 1, Dst: 53, Length: ptr(uint16(9))}),
		drop("udp length below its header", dataplane.DropBadLength, s.ipIn(), packet.UDP{Src: 1, Dst: 53, Length: ptr(uint16(7))}),
		drop("ttl 0", dataplane.DropTTLZero, ip(func(ip *packet.IP) { ip.ZeroTTL = true }), tcpTo(80, "A")),
		drop("no service", dataplane.DropNoService, s.ipIn(), tcpTo(81, "S")),
		drop("no service of this protocol", dataplane.DropNoService, s.ipIn(), udpTo(80)),
		one("ring empty", Step{
			Change: setRing(dataplane.Slot{}), In: stack(s.fromClient(), s.ipIn(), tcpTo(80, "S")), Verdict: dataplane.DropNoBackend,
		}),
		one("no ring", Step{
			Change: func(b *model.Box) { delete(b.Rings, ringWeb) }, In: stack(s.fromClient(), s.ipIn(), tcpTo(80, "S")), Verdict: dataplane.DropNoBackend,
		}),
		one("backend dead", Step{
			Change: kill(Web), In: stack(s.fromClient(), s.ipIn(), tcpTo(80, "S")), Verdict: dataplane.DropNoBackend,
		}),
		one("device that takes no frames", Step{
			Change: nextHop(Web, func(n *dataplane.NextHop) { n.Ifindex = s.d.Stray }),
			In:     stack(s.fromClient(), s.ipIn(), tcpTo(80, "S")), Verdict: dataplane.DropInternal,
		}),
	}
	if s.v6 {
		return list
	}
	return append(list,
		drop("ip options cut", dataplane.DropTruncated, ip(func(ip *packet.IP) { ip.HeaderWords = ptr(uint8(15)) }), packet.Payload(8)),
		drop("ihl too small", dataplane.DropBadHeader, ip(func(ip *packet.IP) { ip.HeaderWords = ptr(uint8(4)) }), tcpTo(80, "A")),
		drop("ip length below its header", dataplane.DropBadLength, ip(func(ip *packet.IP) { ip.Length = ptr(uint16(19)) }), tcpTo(80, "A")),
		drop("ip checksum", dataplane.DropBadChecksum, ip(func(ip *packet.IP) { ip.BadChecksum = true }), tcpTo(80, "A")),
		drop("ip checksum with options", dataplane.DropBadChecksum, ip(func(ip *packet.IP) {
			ip.BadChecksum, ip.Options = true, []byte{0x88, 4, 1, 2}
		}), tcpTo(80, "A")),
	)
}

// ipLength is the value of the IP length field for so many bytes of payload.
func (s script) ipLength(payload uint16) *uint16 {
	if s.v6 {
		return &payload
	}
	return ptr(20 + payload)
}
