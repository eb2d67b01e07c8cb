package cases

import (
	"net/netip"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/packet"
)

// nobodies are addresses that no host has.
func (s script) nobodies() map[string]netip.Addr {
	a := netip.MustParseAddr
	if s.v6 {
		return map[string]netip.Addr{"unspecified": a("::"), "loopback": a("::1"), "old ipv4 form": a("::198.51.100.7"), "multicast": a("ff02::1"), "vip": s.vip}
	}
	return map[string]netip.Addr{"unspecified": a("0.1.2.3"), "loopback": a("127.9.9.9"), "multicast": a("224.0.0.1"), "broadcast": a("255.255.255.255"), "vip": s.vip}
}

func (s script) loopback() netip.Addr {
	if s.v6 {
		return netip.IPv6Loopback()
	}
	return netip.MustParseAddr("127.0.0.1")
}

// to is a step in which a TCP packet of the web service reaches a backend.
func (s script) to(id dataplane.BackendID, flags string) Step {
	return Step{
		In:      stack(s.fromClient(), s.ipIn(), tcpTo(80, flags)),
		Verdict: dataplane.Redirect, To: s.d.Inside,
		Out: stack(s.toBackend(id), s.ipOut(id), tcpTo(8080, flags)),
	}
}

func (s script) after(change func(*model.Box), step Step) Step {
	step.Change = change
	return step
}

func (s script) wait(d time.Duration, step Step) Step {
	step.Wait = d
	return step
}

// flows: DESIGN.md's table "State only where the ring has moved".
func (s script) flows() []Case {
	// A slot that goes from Web to Spare, and the same some time later.
	moved := dataplane.Slot{Current: Spare, Settled: Web, Ask: true}
	settled := dataplane.Slot{Current: Spare, Settled: Spare, Ask: true}
	back := Step{From: s.d.Inside, In: stack(s.fromBackend(Web), packet.IP{Src: s.addr[Web], Dst: s.client, ID: 9}, tcpBack(8080, "R")),
		Verdict: dataplane.Redirect, To: s.d.Outside,
		Out: stack(s.toClient(), packet.IP{Src: s.vip, Dst: s.client, ID: 9, TTL: 63}, tcpBack(80, "R"))}
	track := func(t dataplane.Track) func(*model.Box) {
		return func(b *model.Box) {
			web := s.key(80, dataplane.TCP)
			b.Services[web] = with(b.Services[web], func(s *dataplane.Service) { s.Track = t })
		}
	}
	old := func(b *model.Box) {
		r := ringOf(dataplane.Slot{Current: Spare, Settled: dataplane.SettledInOld, Ask: true})
		r.Old = ringOf(dataplane.Slot{Current: Web, Settled: Web}).Slots[:5]
		b.Rings[ringWeb] = r
	}
	oldMoving := func(b *model.Box) {
		r := ringOf(dataplane.Slot{Current: Spare, Settled: dataplane.SettledInOld, Ask: true})
		r.Old = ringOf(dataplane.Slot{Current: Spare, Settled: Web, Ask: true}).Slots[:5]
		b.Rings[ringWeb] = r
	}
	return []Case{
		{Name: "quiet slot: the hash decides and nothing is remembered", Steps: []Step{
			s.to(Web, "S"), s.to(Web, "A"), s.after(setRing(dataplane.Slot{Current: Spare, Settled: Spare}), s.to(Spare, "A")),
		}},
		{Name: "moved slot: a syn goes to current and stays there", Steps: []Step{
			s.after(setRing(moved), s.to(Spare, "S")), s.to(Spare, "A"), s.to(Spare, "PA"),
		}},
		{Name: "moved slot: an older flow goes to settled and stays there", Steps: []Step{
			s.to(Web, "S"), s.after(setRing(moved), s.to(Web, "A")), s.after(setRing(settled), s.to(Web, "A")), s.wait(webIdle, s.to(Web, "A")),
		}},
		{Name: "moved slot: an older flow that ended goes to current", Steps: []Step{
			s.after(setRing(moved), s.to(Web, "A")), s.after(setRing(settled), s.to(Web, "A")),
			s.wait(webIdle+2*dataplane.TickDuration, s.to(Spare, "A")),
		}},
		{Name: "moved slot: settled backend dead", Steps: []Step{s.after(both(setRing(moved), kill(Web)), s.to(Spare, "A"))}},
		{Name: "moved slot: the flow's backend dies", Steps: []Step{
			s.after(setRing(moved), s.to(Web, "A")), s.after(kill(Web), s.to(Spare, "A")), s.to(Spare, "A"),
		}},
		{Name: "moved slot: both dead", Steps: []Step{{
			Change: both(setRing(moved), kill(Web), kill(Spare)), In: stack(s.fromClient(), s.ipIn(), tcpTo(80, "A")), Verdict: dataplane.DropNoBackend,
		}}},
		{Name: "moved slot: a handshake that is not confirmed is soon forgotten", Steps: []Step{
			s.after(setRing(moved), s.to(Spare, "S")), s.wait(closing, s.to(Spare, "S")), s.wait(closing+2*dataplane.TickDuration, s.to(Web, "A")),
		}},
		{Name: "moved slot: a flow that closed is soon forgotten", Steps: []Step{
			s.after(setRing(moved), s.to(Spare, "S")), s.to(Spare, "A"), s.to(Spare, "FA"), s.wait(closing, s.to(Spare, "A")),
			s.wait(closing+2*dataplane.TickDuration, s.to(Web, "A")),
		}},
		{Name: "moved slot: a flow that the backend reset is soon forgotten", Steps: []Step{
			s.after(setRing(moved), s.to(Web, "A")), s.to(Web, "A"), back, s.after(setRing(settled), s.wait(closing+2*dataplane.TickDuration, s.to(Spare, "A"))),
		}},
		{Name: "another size: the old ring says where older flows live", Steps: []Step{
			s.after(old, s.to(Web, "A")), s.after(setRing(settled), s.to(Web, "A")),
		}},
		{Name: "another size: a syn goes to current", Steps: []Step{s.after(old, s.to(Spare, "S")), s.to(Spare, "A")}},
		{Name: "another size: the old ring was moving itself", Steps: []Step{s.after(oldMoving, s.to(Web, "A"))}},
		{Name: "track never: the hash alone", Steps: []Step{s.after(both(track(dataplane.TrackNever), setRing(moved)), s.to(Spare, "A"))}},
		{Name: "track always: every flow is remembered", Steps: []Step{
			s.after(track(dataplane.TrackAlways), s.to(Web, "S")), s.after(setRing(dataplane.Slot{Current: Spare, Settled: Spare}), s.to(Web, "A")),
		}},
	}
}

// shared: services whose backends also serve others.
func (s script) shared() []Case {
	to := func(port uint16, flags string) Step {
		return Step{
			In: stack(s.fromClient(), s.ipIn(), tcpTo(port, flags)), Verdict: dataplane.Redirect, To: s.d.Inside,
			Out: stack(s.toBackend(Shared), s.ipOut(Shared), tcpTo(8080, flags)),
		}
	}
	refused := func(port uint16) Step {
		return Step{In: stack(s.fromClient(), s.ipIn(), tcpTo(port, "S")), Verdict: dataplane.DropReplyConflict}
	}
	in := stack(s.fromBackend(Shared), packet.IP{Src: s.addr[Shared], Dst: s.client, ID: 9}, tcpBack(8080, "A"))
	reply := func(port uint16) Step {
		return Step{From: s.d.Inside, In: in, Verdict: dataplane.Redirect, To: s.d.Outside,
			Out: stack(s.toClient(), packet.IP{Src: s.vip, Dst: s.client, ID: 9, TTL: 63}, tcpBack(port, "A"))}
	}
	return []Case{
		{Name: "shared backend: the reply finds its service", Steps: []Step{to(443, "S"), reply(443)}},
		{Name: "shared backend: a reply of no service", Steps: []Step{{From: s.d.Inside, In: in, Verdict: dataplane.PassDirect}}},
		{Name: "shared backend: one client port, two services", Steps: []Step{
			to(443, "S"), refused(8443), reply(443), s.wait(closing+2*dataplane.TickDuration, to(8443, "S")), reply(8443), refused(443),
		}},
		{Name: "shared backend: tables contradict each other", Steps: []Step{{
			Change: func(b *model.Box) {
				delete(b.Origins, dataplane.OriginKey{Addr: s.addr[Shared], Port: portOf(Shared), Proto: dataplane.TCP})
			},
			In: stack(s.fromClient(), s.ipIn(), tcpTo(443, "S")), Verdict: dataplane.DropInternal,
		}}},
	}
}
