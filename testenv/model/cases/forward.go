package cases

import (
	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/packet"
)

// forward: from a client to a backend.
func (s script) forward() []Case {
	hop := func(change func(*dataplane.NextHop)) func(*model.Box) { return nextHop(Web, change) }
	in := stack(s.fromClient(), s.ipIn(), tcpTo(80, "S"), packet.Payload(5))
	out := stack(s.toBackend(Web), s.ipOut(Web), tcpTo(8080, "S"), packet.Payload(5))
	kept := with(s.ipOut(Web), func(ip *packet.IP) { ip.TTL = 64 })
	left := stack(s.fromClient(), kept, tcpTo(8080, "S"), packet.Payload(5))
	return []Case{
		one("tcp to a backend", Step{In: in, Verdict: dataplane.Redirect, Out: out, To: s.d.Inside}),
		one("tcp with options", Step{
			In:      stack(s.fromClient(), s.ipIn(), with(tcpTo(80, "S"), mss)),
			Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: stack(s.toBackend(Web), s.ipOut(Web), with(tcpTo(8080, "S"), mss)),
		}),
		one("udp to a backend", Step{
			In:      stack(s.fromClient(), s.ipIn(), udpTo(53), packet.Payload(33)),
			Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: stack(s.toBackend(DNS), s.ipOut(DNS), udpTo(5353), packet.Payload(33)),
		}),
		one("udp without a checksum stays without", Step{
			In:      stack(s.fromClient(), s.ipIn(), packet.UDP{Src: clientPort, Dst: 53, NoChecksum: true}),
			Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: stack(s.toBackend(DNS), s.ipOut(DNS), packet.UDP{Src: clientPort, Dst: 5353, NoChecksum: true}),
		}),
		one("padding goes along", Step{
			In: append(in[:3:3], packet.Pad(6)), Verdict: dataplane.Redirect, To: s.d.Inside, Out: append(out[:3:3], packet.Pad(6)),
		}),
		one("out of the device it came in by", Step{
			Change: hop(func(n *dataplane.NextHop) { n.Ifindex = s.d.Outside }),
			In:     in, Verdict: dataplane.SendBack, Out: out, To: s.d.Outside,
		}),
		one("vlan tag comes off", Step{
			In:      append(stack(s.fromClient(), packet.Tag{ID: 20, Priority: 3}), in[1:]...),
			Verdict: dataplane.Redirect, Out: out, To: s.d.Inside,
		}),
		one("two vlan tags come off", Step{
			In:      append(stack(s.fromClient(), packet.Tag{ID: 20, Service: true}, packet.Tag{ID: 21}), in[1:]...),
			Verdict: dataplane.Redirect, Out: out, To: s.d.Inside,
		}),
		one("vlan tag goes on", Step{
			Change: hop(func(n *dataplane.NextHop) { n.VLAN = 30 }),
			In:     in, Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: append(stack(s.toBackend(Web), packet.Tag{ID: 30}), out[1:]...),
		}),
		one("two vlan tags become one", Step{
			Change:  hop(func(n *dataplane.NextHop) { n.VLAN = 30 }),
			In:      append(stack(s.fromClient(), packet.Tag{ID: 20, Service: true}, packet.Tag{ID: 21}), in[1:]...),
			Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: append(stack(s.toBackend(Web), packet.Tag{ID: 30}), out[1:]...),
		}),
		one("next hop unknown: the kernel forwards and takes the hop", Step{
			Change: hop(func(n *dataplane.NextHop) { n.Kind = dataplane.NextHopUnknown }),
			In:     in, Verdict: dataplane.PassUnresolved, Out: left,
		}),
		one("next hop unknown: vlan tags stay", Step{
			Change:  hop(func(n *dataplane.NextHop) { n.Kind = dataplane.NextHopUnknown }),
			In:      append(stack(s.fromClient(), packet.Tag{ID: 20}), in[1:]...),
			Verdict: dataplane.PassUnresolved, Out: append(stack(s.fromClient(), packet.Tag{ID: 20}), left[1:]...),
		}),
		one("as large as the mtu", Step{
			Change: hop(func(n *dataplane.NextHop) { n.MTU = uint16(len(packet.Build(in...)) - 14) }),
			In:     in, Verdict: dataplane.Redirect, Out: out, To: s.d.Inside,
		}),
		one("ttl 2 is enough", Step{
			In:      stack(s.fromClient(), with(s.ipIn(), func(ip *packet.IP) { ip.TTL = 2 }), tcpTo(80, "S")),
			Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: stack(s.toBackend(Web), with(s.ipOut(Web), func(ip *packet.IP) { ip.TTL = 1 }), tcpTo(8080, "S")),
		}),
		one("wrong tcp checksum stays wrong", Step{
			In:      stack(s.fromClient(), s.ipIn(), with(tcpTo(80, "A"), badTCP)),
			Verdict: dataplane.Redirect, To: s.d.Inside, Out: s.stillWrong(),
		}),
	}
}

func mss(t *packet.TCP)    { t.Options = []byte{2, 4, 5, 0xb4} }
func badTCP(t *packet.TCP) { t.BadChecksum = true }

// stillWrong is the forwarded form of a segment whose checksum was off by
// 0x4000: off by as much, in ones' complement.
func (s script) stillWrong() []packet.Layer {
	right := packet.Build(stack(s.fromClient(), s.ipIn(), tcpTo(80, "A"))...)
	wrong := packet.Build(stack(s.fromClient(), s.ipIn(), with(tcpTo(80, "A"), badTCP))...)
	out := packet.Build(stack(s.toBackend(Web), s.ipOut(Web), tcpTo(8080, "A"))...)
	at := len(out) - 4
	word := func(b []byte) int { return int(b[at])<<8 | int(b[at+1]) }
	check := (word(out) + word(wrong) - word(right) + 0xffff) % 0xffff
	out[at], out[at+1] = byte(check>>8), byte(check)
	return stack(packet.Bytes(out))
}

// replies: from a backend to a client.
func (s script) replies() []Case {
	ip := packet.IP{Src: s.addr[Web], Dst: s.client, ID: 9}
	ipOut := packet.IP{Src: s.vip, Dst: s.client, ID: 9, TTL: 63}
	in := stack(s.fromBackend(Web), ip, tcpBack(8080, "SA"), packet.Payload(8))
	out := stack(s.toClient(), ipOut, tcpBack(80, "SA"), packet.Payload(8))
	direct := stack(s.fromClient(), packet.IP{Src: s.client, Dst: s.addr[Web]}, tcpTo(8080, "S"))
	return []Case{
		one("reply becomes the service's", Step{From: s.d.Inside, In: in, Verdict: dataplane.Redirect, Out: out, To: s.d.Outside}),
		one("udp reply", Step{
			From: s.d.Inside, In: stack(s.fromBackend(DNS), with(ip, func(i *packet.IP) { i.Src = s.addr[DNS] }), packet.UDP{Src: 5353, Dst: clientPort}, packet.Payload(9)),
			Verdict: dataplane.Redirect, To: s.d.Outside,
			Out: stack(s.toClient(), ipOut, packet.UDP{Src: 53, Dst: clientPort}, packet.Payload(9)),
		}),
		one("reply from a vlan", Step{
			From: s.d.Inside, In: append(stack(s.fromBackend(Web), packet.Tag{ID: 4}), in[1:]...),
			Verdict: dataplane.Redirect, Out: out, To: s.d.Outside,
		}),
		one("reply without a route: the kernel forwards", Step{
			From: s.d.Inside, In: stack(s.fromBackend(Web), with(ip, func(i *packet.IP) { i.Dst = s.far }), tcpBack(8080, "A")),
			Verdict: dataplane.PassUnresolved,
			Out:     stack(s.fromBackend(Web), packet.IP{Src: s.vip, Dst: s.far, ID: 9}, tcpBack(80, "A")),
		}),
		one("reply to the box's health check", Step{
			From: s.d.Inside, In: stack(s.fromBackend(Web), with(ip, func(i *packet.IP) { i.Dst = s.box }), tcpBack(8080, "SA")),
			Verdict: dataplane.PassLocal,
		}),
		one("reply from another port of a backend", Step{
			From: s.d.Inside, In: stack(s.fromBackend(Web), ip, tcpBack(22, "A")), Verdict: dataplane.PassNotOurs,
		}),
		one("reply for another box", Step{
			From: s.d.Inside, In: stack(packet.Ether{Src: macOf(Web), Dst: macOther}, ip, tcpBack(8080, "A")), Verdict: dataplane.PassNotOurs,
		}),
		{Name: "a client that speaks to the backend itself", Steps: []Step{
			{In: direct, Verdict: dataplane.PassNotOurs},
			{From: s.d.Inside, In: in, Verdict: dataplane.PassDirect},
			{From: s.d.Inside, Wait: closing, In: in, Verdict: dataplane.PassDirect},
			// The handshake was never confirmed.
			{From: s.d.Inside, Wait: 2 * dataplane.TickDuration, In: in, Verdict: dataplane.Redirect, Out: out, To: s.d.Outside},
		}},
		{Name: "a client that spoke to another box's backend", Steps: []Step{
			{In: append(stack(packet.Ether{Src: macRouter, Dst: macOther}), direct[1:]...), Verdict: dataplane.PassNotOurs},
			{From: s.d.Inside, In: in, Verdict: dataplane.Redirect, Out: out, To: s.d.Outside},
		}},
	}
}
