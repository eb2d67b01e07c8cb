package cases

import (
	"slices"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/packet"
)

// errorTo are the layers of an ICMP error that answers in: back to where it
// came from, with up to 128 bytes of it.
func (s script) errorTo(in []packet.Layer, tags int, e packet.ICMP) []packet.Layer {
	frame := packet.Build(in...)
	quote := frame[14+4*tags:]
	quote = quote[:min(128, len(quote)&^3)]
	eth := in[0].(packet.Ether)
	out := stack(packet.Ether{Src: eth.Dst, Dst: eth.Src})
	out = append(out, in[1:1+tags]...)
	to := in[1+tags].(packet.IP).Src
	ip := packet.IP{Src: s.box, Dst: to, TOS: 0xc0, DontFragment: true}
	if s.v6 {
		ip.TOS = 0
	}
	return append(out, ip, e, packet.Bytes(quote))
}

func (s script) expired() packet.ICMP {
	if s.v6 {
		return packet.ICMP{Type: 3}
	}
	return packet.ICMP{Type: 11}
}

func (s script) tooBig(mtu uint32) packet.ICMP {
	if s.v6 {
		return packet.ICMP{Type: 2, Rest: mtu}
	}
	return packet.ICMP{Type: 3, Code: 4, Rest: mtu}
}

// answers: the ICMP errors that the box sends.
func (s script) answers() []Case {
	last := with(s.ipIn(), func(ip *packet.IP) { ip.TTL = 1 })
	small := nextHop(Web, func(n *dataplane.NextHop) { n.MTU = 1280 })
	whole := with(s.ipIn(), func(ip *packet.IP) { ip.DontFragment = true })
	big := stack(s.fromClient(), whole, tcpTo(80, "A"), packet.Payload(1300))
	one1 := stack(s.fromClient(), last, tcpTo(80, "A"), packet.Payload(9))
	tagged := stack(s.fromClient(), packet.Tag{ID: 8, Priority: 2}, last, tcpTo(80, "A"), packet.Payload(300))
	reply := stack(s.fromBackend(Web), packet.IP{Src: s.addr[Web], Dst: s.client, TTL: 1}, tcpBack(8080, "A"))
	bare := func(b *model.Box) {
		b.Interfaces[s.d.Outside] = dataplane.Interface{Ifindex: s.d.Outside, MAC: macOutside}
	}
	asVIP := s.errorTo(one1, 0, s.expired())
	asVIP[1] = with(asVIP[1].(packet.IP), func(ip *packet.IP) { ip.Src = s.vip })
	scarce := s.gateway(s.d)
	scarce.AnswersPerSecond = 10
	answered := Step{In: one1, Verdict: dataplane.AnswerTimeExceeded, Out: s.errorTo(one1, 0, s.expired()), To: s.d.Outside}
	silent := Step{In: one1, Verdict: dataplane.DropTTLExpired}
	list := []Case{
		one("last hop", Step{In: one1, Verdict: dataplane.AnswerTimeExceeded, Out: s.errorTo(one1, 0, s.expired()), To: s.d.Outside}),
		one("last hop, long packet in a vlan", Step{In: tagged, Verdict: dataplane.AnswerTimeExceeded, Out: s.errorTo(tagged, 1, s.expired()), To: s.d.Outside}),
		one("last hop of a reply", Step{From: s.d.Inside, In: reply, Verdict: dataplane.AnswerTimeExceeded, Out: s.errorTo(reply, 0, s.expired()), To: s.d.Inside}),
		one("last hop where the box has no address", Step{Change: bare, In: one1, Verdict: dataplane.AnswerTimeExceeded, Out: asVIP, To: s.d.Outside}),
		one("too big", Step{Change: small, In: big, Verdict: dataplane.AnswerTooBig, Out: s.errorTo(big, 0, s.tooBig(1280)), To: s.d.Outside}),
		{Name: "answers run out and come back", Box: scarce, Steps: slices.Concat(
			slices.Repeat([]Step{s.after(small, answered)}, int(scarce.AnswersPerSecond)),
			[]Step{silent, {In: big, Verdict: dataplane.DropTooBig}},
			[]Step{s.wait(200*time.Millisecond, answered), answered, silent},
		)},
	}
	if s.v6 {
		return list
	}
	free := stack(s.fromClient(), s.ipIn(), tcpTo(80, "A"), packet.Payload(1300))
	return append(list, one("too big, but the kernel may fragment it", Step{
		Change: small, In: free, Verdict: dataplane.PassFragmentNeeded,
		Out: stack(s.fromClient(), with(s.ipOut(Web), func(ip *packet.IP) { ip.TTL = 64 }), tcpTo(8080, "A"), packet.Payload(1300)),
	}))
}
