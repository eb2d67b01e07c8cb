package cases

import (
	"steelyard/dataplane"
	"steelyard/testenv/packet"
)

// part is a fragment of a packet: offset in units of 8 bytes.
func part(ip packet.IP, id, offset uint16, more bool) packet.IP {
	ip.Fragment = &packet.Fragment{ID: id, Offset: offset, More: more}
	if offset != 0 {
		ip.Proto = uint8(dataplane.UDP)
	}
	return ip
}

// first and later are fragments of a datagram to the DNS service.
func (s script) first(id uint16) Step {
	return Step{
		In:      stack(s.fromClient(), part(s.ipIn(), id, 0, true), udpTo(53), packet.Payload(40)),
		Verdict: dataplane.Redirect, To: s.d.Inside,
		Out: stack(s.toBackend(DNS), part(s.ipOut(DNS), id, 0, true), udpTo(5353), packet.Payload(40)),
	}
}

func (s script) later(id uint16, more bool) Step {
	return Step{
		In:      stack(s.fromClient(), part(s.ipIn(), id, 6, more), packet.Payload(25)),
		Verdict: dataplane.Redirect, To: s.d.Inside,
		Out: stack(s.toBackend(DNS), part(s.ipOut(DNS), id, 6, more), packet.Payload(25)),
	}
}

// pieces: fragments follow their first.
func (s script) pieces() []Case {
	const memory = 30 * dataplane.TickDuration
	back := packet.IP{Src: s.addr[DNS], Dst: s.client}
	backOut := packet.IP{Src: s.vip, Dst: s.client, TTL: 63}
	replyFirst := Step{
		From: s.d.Inside, Verdict: dataplane.Redirect, To: s.d.Outside,
		In:  stack(s.fromBackend(DNS), part(back, 3, 0, true), packet.UDP{Src: 5353, Dst: clientPort}, packet.Payload(40)),
		Out: stack(s.toClient(), part(backOut, 3, 0, true), packet.UDP{Src: 53, Dst: clientPort}, packet.Payload(40)),
	}
	replyLater := Step{
		From: s.d.Inside, Verdict: dataplane.Redirect, To: s.d.Outside,
		In:  stack(s.fromBackend(DNS), part(back, 3, 6, false), packet.Payload(9)),
		Out: stack(s.toClient(), part(backOut, 3, 6, false), packet.Payload(9)),
	}
	lost := func(step Step) Step { return left(step, dataplane.DropFragment) }
	tcp := Step{In: stack(s.fromClient(), part(s.ipIn(), 8, 0, true), tcpTo(80, "A"), packet.Payload(12)), Verdict: dataplane.Redirect, To: s.d.Inside,
		Out: stack(s.toBackend(Web), part(s.ipOut(Web), 8, 0, true), tcpTo(8080, "A"), packet.Payload(12))}
	tcpLater := with(part(s.ipIn(), 8, 4, false), func(ip *packet.IP) { ip.Proto = uint8(dataplane.TCP) })
	tcpLaterOut := with(part(s.ipOut(Web), 8, 4, false), func(ip *packet.IP) { ip.Proto = uint8(dataplane.TCP) })
	list := []Case{
		{Name: "fragments of a datagram", Steps: []Step{s.first(1), s.later(1, true), s.later(1, false)}},
		{Name: "fragments of a segment", Steps: []Step{tcp, {
			In: stack(s.fromClient(), tcpLater, packet.Payload(5)), Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: stack(s.toBackend(Web), tcpLaterOut, packet.Payload(5)),
		}}},
		{Name: "fragments of a reply", Steps: []Step{replyFirst, replyLater}},
		{Name: "fragments out of order: the early ones are lost", Steps: []Step{lost(s.later(1, false)), s.first(1), s.later(1, true)}},
		{Name: "fragments of another packet", Steps: []Step{s.first(1), lost(s.later(2, false))}},
		{Name: "fragments to the end of their memory", Steps: []Step{s.first(1), s.wait(memory, s.later(1, true))}},
		{Name: "fragments past the end of their memory", Steps: []Step{s.first(1), s.wait(memory+dataplane.TickDuration, lost(s.later(1, true)))}},
		{Name: "fragments with an id used again", Steps: []Step{
			s.first(1), s.later(1, false), s.wait(memory, s.first(1)), s.wait(memory, s.later(1, false)),
		}},
		{Name: "fragments of an id that another port uses now", Steps: []Step{
			s.first(1), left(Step{In: stack(s.fromClient(), part(s.ipIn(), 1, 0, true), udpTo(54), packet.Payload(8))}, dataplane.DropNoService), s.later(1, false),
		}},
		one("fragment of a reply without its first", left(replyLater, dataplane.PassNotOurs)),
		one("fragment without its first, for another box", left(Step{
			In: stack(packet.Ether{Src: macRouter, Dst: macOther}, part(s.ipIn(), 1, 6, false), packet.Payload(25)),
		}, dataplane.PassNotOurs)),
		{Name: "fragments for the box itself", Steps: []Step{
			s.after(s.boxListens, Step{In: stack(s.fromClient(), part(s.ipIn(), 1, 0, true), udpTo(ListenPort), packet.Payload(8)), Verdict: dataplane.PassLocal}),
			left(s.later(1, false), dataplane.PassLocal),
		}},
		{Name: "fragments of a ping of the vip", Steps: []Step{
			{In: stack(s.fromClient(), part(s.ipIn(), 1, 0, true), packet.ICMP{Type: 8}, packet.Payload(40)), Verdict: dataplane.PassLocal},
			{In: stack(s.fromClient(), with(part(s.ipIn(), 1, 6, false), func(ip *packet.IP) { ip.Proto = s.icmp() }), packet.Payload(40)), Verdict: dataplane.PassLocal},
		}},
		{Name: "fragments: no answer to a later one", Steps: []Step{s.first(1), {
			In:      stack(s.fromClient(), with(part(s.ipIn(), 1, 6, false), func(ip *packet.IP) { ip.TTL = 1 }), packet.Payload(9)),
			Verdict: dataplane.DropTTLExpired,
		}}},
		one("fragment that is too short for a tcp header", Step{
			In: stack(s.fromClient(), part(with(s.ipIn(), func(ip *packet.IP) { ip.Proto = uint8(dataplane.TCP) }), 1, 0, true), packet.Payload(8)), Verdict: dataplane.DropTruncated,
		}),
		{Name: "fragments to a client that speaks to the backend itself", Steps: []Step{
			{In: stack(s.fromClient(), packet.IP{Src: s.client, Dst: s.addr[DNS]}, udpTo(5353)), Verdict: dataplane.PassNotOurs},
			left(replyFirst, dataplane.PassDirect), left(replyLater, dataplane.PassDirect),
		}},
	}
	if s.v6 {
		return append(list, s.pieces6()...)
	}
	return append(list, Case{Name: "fragments of another protocol with the same id", Steps: []Step{s.first(1), left(Step{
		In: stack(s.fromClient(), with(part(s.ipIn(), 1, 6, false), func(ip *packet.IP) { ip.Proto = uint8(dataplane.TCP) }), packet.Payload(25)),
	}, dataplane.DropFragment)}})
}

func (s script) icmp() uint8 {
	if s.v6 {
		return 58
	}
	return 1
}

// pieces6: IPv6 tells fragments apart without their next header (RFC 8200,
// Section 4.5).
func (s script) pieces6() []Case {
	options := packet.Extension{Kind: packet.Destination}
	firstIn := with(part(s.ipIn(), 1, 0, true), func(ip *packet.IP) { ip.Proto = packet.Destination })
	firstOut := with(part(s.ipOut(DNS), 1, 0, true), func(ip *packet.IP) { ip.Proto = packet.Destination })
	laterIn := with(part(s.ipIn(), 1, 7, false), func(ip *packet.IP) { ip.Proto = packet.Destination })
	laterOut := with(part(s.ipOut(DNS), 1, 7, false), func(ip *packet.IP) { ip.Proto = packet.Destination })
	return []Case{
		{Name: "fragments of a datagram behind extension headers", Steps: []Step{
			{In: stack(s.fromClient(), firstIn, options, udpTo(53), packet.Payload(40)), Verdict: dataplane.Redirect, To: s.d.Inside,
				Out: stack(s.toBackend(DNS), firstOut, options, udpTo(5353), packet.Payload(40))},
			{In: stack(s.fromClient(), laterIn, packet.Payload(25)), Verdict: dataplane.Redirect, To: s.d.Inside,
				Out: stack(s.toBackend(DNS), laterOut, packet.Payload(25))},
		}},
		one("fragment that is atomic", s.behind(packet.Extension{Kind: packet.FragmentHeader, Data: []byte{0, 0, 9, 9, 9, 9}})),
	}
}

// behind is a segment behind extension headers on its way to a backend.
func (s script) behind(x ...packet.Layer) Step {
	in, out := append(stack(s.fromClient(), s.ipIn()), x...), append(stack(s.toBackend(Web), s.ipOut(Web)), x...)
	return Step{In: append(in, tcpTo(80, "A"), packet.Payload(5)), Verdict: dataplane.Redirect, Out: append(out, tcpTo(8080, "A"), packet.Payload(5)), To: s.d.Inside}
}

// extensions: IPv6 packets with extension headers.
func (s script) extensions() []Case {
	if !s.v6 {
		return nil
	}
	hop, dest := packet.Extension{Kind: packet.HopByHop}, packet.Extension{Kind: packet.Destination, Data: make([]byte, 20)}
	auth := packet.Extension{Kind: packet.Authentication, Data: make([]byte, 22)}
	routing := func(left byte) packet.Extension {
		return packet.Extension{Kind: packet.Routing, Data: append([]byte{4, left}, make([]byte, 20)...)}
	}
	six := stack(hop, dest, routing(0), auth, dest, dest)
	back := packet.IP{Src: s.addr[Web], Dst: s.client}
	pass := func(name string, ls ...packet.Layer) Case {
		return one(name, Step{In: append(stack(s.fromClient(), s.ipIn()), ls...), Verdict: dataplane.PassLocal})
	}
	long := packet.Extension{Kind: packet.Destination, Length: ptr(uint8(9))}
	return []Case{
		one("hop-by-hop options", s.behind(hop)),
		one("destination options", s.behind(dest)),
		one("an authentication header", s.behind(auth)),
		one("a routing header at its end", s.behind(routing(0))),
		one("six extension headers", s.behind(six...)),
		pass("seven extension headers", append(six[:6:6], dest, tcpTo(80, "A"))...),
		pass("a routing header with further to go", routing(1), tcpTo(80, "A")),
		pass("an encrypted packet", packet.Extension{Kind: 50}, packet.Payload(40)),
		pass("extension headers that end in nothing", hop, packet.Extension{Kind: packet.Destination, Next: 59}),
		pass("extension headers that are cut", hop, packet.Extension{Kind: packet.Destination, Next: packet.Destination}, packet.Payload(7)),
		one("an extension header longer than the packet", Step{In: stack(s.fromClient(), s.ipIn(), long, tcpTo(80, "A")), Verdict: dataplane.DropBadLength}),
		one("an extension header longer than the packet, not for a vip", Step{
			In: stack(s.fromClient(), packet.IP{Src: s.client, Dst: s.far}, long, tcpTo(80, "A")), Verdict: dataplane.PassNotOurs,
		}),
		one("a segment cut behind extension headers", Step{
			In: stack(s.fromClient(), s.ipIn(), packet.Extension{Kind: packet.Destination, Next: 6}, packet.Payload(19)), Verdict: dataplane.DropTruncated,
		}),
		one("a reply behind extension headers", Step{
			From: s.d.Inside, Verdict: dataplane.Redirect, To: s.d.Outside,
			In:  stack(s.fromBackend(Web), back, hop, dest, tcpBack(8080, "A")),
			Out: stack(s.toClient(), with(back, func(ip *packet.IP) { ip.Src, ip.TTL = s.vip, 63 }), hop, dest, tcpBack(80, "A")),
		}),
		one("an error behind extension headers", s.errorBehind(hop, dest)),
	}
}

// errorBehind is an ICMP error that extension headers of its own precede.
func (s script) errorBehind(x ...packet.Layer) Step {
	step := s.toClients(about{id: Web, kind: s.unreachable(), payload: 3})
	for _, ls := range []*[]packet.Layer{&step.In, &step.Out} {
		*ls = append(append((*ls)[:2:2], x...), (*ls)[2:]...)
	}
	return step
}

// badSources: what no client can send.
func (s script) badSources() (list []Case) {
	from := func(name string, step Step) { list = append(list, one("source "+name, step)) }
	for name, addr := range s.nobodies() {
		ip := packet.IP{Src: addr, Dst: s.vip}
		from(name, Step{In: stack(s.fromClient(), ip, tcpTo(80, "S")), Verdict: dataplane.DropBadSource})
		from(name+" on its last hop", Step{In: stack(s.fromClient(), with(ip, func(ip *packet.IP) { ip.TTL = 1 }), udpTo(53)), Verdict: dataplane.DropBadSource})
		from(name+" elsewhere", Step{In: stack(s.fromClient(), with(ip, func(ip *packet.IP) { ip.Dst = s.far }), tcpTo(80, "S")), Verdict: dataplane.PassNotOurs})
	}
	return list
}
