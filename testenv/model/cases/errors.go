package cases

import (
	"net/netip"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/packet"
)

// about is an ICMP error and the packet it is about, which a client sent to a
// backend of the web or the DNS service, or got as a reply.
type about struct {
	from    netip.Addr // who reports; none: who got the packet
	id      dataplane.BackendID
	kind    packet.ICMP
	ip      func(*packet.IP) // changes the quoted header; nil = nothing
	outer   func(*packet.IP) // changes the error's own header
	behind  []packet.Layer   // extension headers of the quoted packet
	udp     packet.UDP       // more of it; valid iff id is DNS
	payload int              // bytes of the quoted packet
	keep    int              // bytes quoted past the IP header; 0 = all
	pad     int              // bytes after the error that are none of it
}

// portsOf are those of the service and of its backend.
func portsOf(id dataplane.BackendID) (service, backend uint16) {
	switch id {
	case DNS:
		return 53, portOf(id)
	case Shared:
		return 443, portOf(id)
	}
	return 80, portOf(id)
}

// layers are the error as it reports a packet from src to dst.
func (s script) layers(a about, eth packet.Ether, own packet.IP, src, dst netip.AddrPort) []packet.Layer {
	ip := packet.IP{Src: src.Addr(), Dst: dst.Addr(), ID: 77, TTL: 3}
	if a.ip != nil {
		a.ip(&ip)
	}
	ls := append(stack(packet.Ether{}, ip), a.behind...)
	if a.id == DNS {
		u := a.udp
		u.Src, u.Dst = src.Port(), dst.Port()
		ls = append(ls, u)
	} else {
		ls = append(ls, packet.TCP{Src: src.Port(), Dst: dst.Port(), Flags: "A", Seq: 9})
	}
	quote := packet.Build(append(ls, packet.Payload(a.payload))...)
	if a.keep > 0 {
		headers := len(packet.Build(append(stack(packet.Ether{}, ip), a.behind...)...))
		quote = quote[:headers+a.keep]
	}
	if a.outer != nil {
		a.outer(&own)
	}
	return stack(eth, own, a.kind, packet.Bytes(quote[14:]), packet.Pad(a.pad))
}

// toClients is an error about a client's packet to a backend, and what becomes
// of it.
func (s script) toClients(a about) Step {
	port, backendPort := portsOf(a.id)
	client := netip.AddrPortFrom(s.client, clientPort)
	from, as := s.addr[a.id], s.vip
	if a.from.IsValid() {
		from, as = a.from, a.from
	}
	return halfKept(a, Step{
		From: s.d.Inside, Verdict: dataplane.Redirect, To: s.d.Outside,
		In:  s.layers(a, s.fromBackend(a.id), packet.IP{Src: from, Dst: s.client, ID: 4}, client, netip.AddrPortFrom(s.addr[a.id], backendPort)),
		Out: s.layers(a, s.toClient(), packet.IP{Src: as, Dst: s.client, ID: 4, TTL: 63}, client, netip.AddrPortFrom(s.vip, port)),
	})
}

// toBackends is an error about a service's reply to a client.
func (s script) toBackends(a about) Step {
	port, backendPort := portsOf(a.id)
	client, from := netip.AddrPortFrom(s.client, clientPort), s.client
	if a.from.IsValid() {
		from = a.from
	}
	return halfKept(a, Step{
		Verdict: dataplane.Redirect, To: s.d.Inside,
		In:  s.layers(a, s.fromClient(), packet.IP{Src: from, Dst: s.vip, ID: 4}, netip.AddrPortFrom(s.vip, port), client),
		Out: s.layers(a, s.toBackend(a.id), packet.IP{Src: from, Dst: s.addr[a.id], ID: 4, TTL: 63}, netip.AddrPortFrom(s.addr[a.id], backendPort), client),
	})
}

// halfKept puts half a TCP checksum back: nobody can use it, so it stays.
func halfKept(a about, step Step) Step {
	const half = 17
	if a.keep == half && a.id != DNS {
		in, out := step.In[3].(packet.Bytes), step.Out[3].(packet.Bytes)
		out[len(out)-1] = in[len(in)-1]
	}
	return step
}

// left is a step whose error passes or is dropped as it is.
func left(step Step, v dataplane.Verdict) Step {
	step.Verdict, step.Out, step.To = v, nil, 0
	return step
}

func (s script) unreachable() packet.ICMP {
	if s.v6 {
		return packet.ICMP{Type: 1, Code: 4}
	}
	return packet.ICMP{Type: 3, Code: 3}
}

// kinds are the errors of each family.
func (s script) kinds() map[string]packet.ICMP {
	if s.v6 {
		return map[string]packet.ICMP{
			"unreachable": s.unreachable(), "too big": s.tooBig(1400), "time exceeded": s.expired(), "parameter problem": {Type: 4, Rest: 40},
		}
	}
	return map[string]packet.ICMP{
		"unreachable": s.unreachable(), "too big": s.tooBig(1400), "time exceeded": s.expired(), "parameter problem": {Type: 12, Rest: 20 << 24},
	}
}

// errors: what others report about packets of a flow.
func (s script) errors() (list []Case) {
	web, dns := about{id: Web, kind: s.unreachable()}, about{id: DNS, kind: s.unreachable(), payload: 30}
	variants := map[string]about{
		"all of a tcp segment":           with(web, func(a *about) { a.payload = 24 }),
		"an odd number of bytes":         with(web, func(a *about) { a.payload = 25 }),
		"a segment without its checksum": with(web, func(a *about) { a.keep = 8 }),
		"half of a checksum":             with(web, func(a *about) { a.keep = 17 }),
		"no more than a checksum":        with(web, func(a *about) { a.keep = 18 }),
		"no checksum, but padding":       with(web, func(a *about) { a.keep, a.pad = 8, 30 }),
		"an odd quote and padding":       with(web, func(a *about) { a.keep, a.pad = 17, 9 }),
		"all of a udp datagram":          dns,
		"eight bytes of a datagram":      with(dns, func(a *about) { a.keep = 8 }),
		"an odd part of a datagram":      with(dns, func(a *about) { a.keep = 11 }),
		"a datagram without checksum":    with(dns, func(a *about) { a.udp.NoChecksum = true }),
		"a first fragment":               with(dns, func(a *about) { a.ip = func(ip *packet.IP) { ip.Fragment = &packet.Fragment{ID: 5, More: true} } }),
		"a packet, urgently":             with(web, func(a *about) { a.outer = func(ip *packet.IP) { ip.TOS = 0xc0 } }),
	}
	if s.v6 {
		variants["a packet behind extension headers"] = with(web, func(a *about) {
			a.behind = stack(packet.Extension{Kind: packet.HopByHop}, packet.Extension{Kind: packet.Destination, Data: make([]byte, 14)})
		})
	} else {
		options := func(ip *packet.IP) { ip.Options = []byte{0x88, 8, 1, 2, 3, 4, 5, 6} }
		variants["a packet with ip options"] = with(web, func(a *about) { a.ip = options })
		variants["a packet, with ip options of its own"] = with(dns, func(a *about) { a.outer = options })
	}
	router := s.far
	both := func(name string, a about) {
		list = append(list, one(name+", to the client", s.toClients(a)), one(name+", to the backend", s.toBackends(a)))
	}
	for name, kind := range s.kinds() {
		both("error "+name, with(web, func(a *about) { a.kind = kind }))
		both("error "+name+" from a router", with(web, func(a *about) { a.kind, a.from = kind, router }))
	}
	for name, a := range variants {
		both("error quotes "+name, a)
		both("error of a router quotes "+name, with(a, func(a *about) { a.from = router }))
	}
	return append(list, s.errorFlows()...)
}

// errorFlows: whose an error is where the flow table says so.
func (s script) errorFlows() []Case {
	web, shared := about{id: Web, kind: s.unreachable()}, about{id: Shared, kind: s.unreachable()}
	moved := dataplane.Slot{Current: Spare, Settled: Web, Ask: true}
	spare := s.toBackends(with(web, func(a *about) { a.id = Spare }))
	syn := Step{
		In: stack(s.fromClient(), s.ipIn(), tcpTo(443, "S")), Verdict: dataplane.Redirect, To: s.d.Inside,
		Out: stack(s.toBackend(Shared), s.ipOut(Shared), tcpTo(8080, "S")),
	}
	direct := stack(s.fromClient(), packet.IP{Src: s.client, Dst: s.addr[Web]}, tcpTo(8080, "S"))
	always := func(b *model.Box) {
		key := s.key(80, dataplane.TCP)
		b.Services[key] = with(b.Services[key], func(s *dataplane.Service) { s.Track = dataplane.TrackAlways })
	}
	return []Case{
		{Name: "error on a moved slot goes where its flow is", Steps: []Step{s.after(setRing(moved), s.to(Spare, "S")), spare}},
		{Name: "error on a moved slot about an older flow", Steps: []Step{s.after(setRing(moved), s.toBackends(web))}},
		{Name: "error about a flow that is always remembered", Steps: []Step{
			s.after(always, s.to(Web, "S")), s.after(setRing(dataplane.Slot{Current: Spare, Settled: Spare}), s.toBackends(web)), s.toClients(web),
		}},
		{Name: "error from a shared backend finds its service", Steps: []Step{syn, s.toClients(shared), s.toBackends(shared)}},
		one("error from a shared backend about no flow", left(s.toClients(shared), dataplane.PassDirect)),
		{Name: "error to a client that speaks to the backend itself", Steps: []Step{
			{In: direct, Verdict: dataplane.PassNotOurs}, left(s.toClients(web), dataplane.PassDirect),
		}},
		one("error about the box's health check", left(s.errorTowards(web, s.box), dataplane.PassLocal)),
		one("error about a dead backend's reply", s.after(kill(Web), left(s.toBackends(web), dataplane.DropNoBackend))),
		one("error about no service's packet", left(s.errorAbout(81), dataplane.DropNoService)),
		one("error about a packet of the box's own", s.after(s.boxListens, left(s.errorAbout(ListenPort), dataplane.PassLocal))),
	}
}

// errorTowards is an error about a packet of another sender to a backend.
func (s script) errorTowards(a about, sender netip.Addr) Step {
	return Step{From: s.d.Inside, In: s.layers(a, s.fromBackend(a.id), packet.IP{Src: s.addr[a.id], Dst: sender},
		netip.AddrPortFrom(sender, 999), netip.AddrPortFrom(s.addr[a.id], portOf(a.id)))}
}

// errorAbout is an error about a packet from a TCP port of the VIP.
func (s script) errorAbout(port uint16) Step {
	a := about{kind: s.unreachable()}
	return Step{In: s.layers(a, s.fromClient(), packet.IP{Src: s.client, Dst: s.vip},
		netip.AddrPortFrom(s.vip, port), netip.AddrPortFrom(s.client, clientPort))}
}

// notErrors: ICMP that is about no flow and stays as it is.
func (s script) notErrors() []Case {
	web := about{id: Web, kind: s.unreachable()}
	local := func(name string, change func(*about)) Case {
		return one(name, left(s.toBackends(with(web, change)), dataplane.PassLocal))
	}
	loops := func(name string, from netip.Addr) Case {
		return local(name, func(a *about) { a.outer = func(ip *packet.IP) { ip.Src = from } })
	}
	ping := packet.Build(packet.Ether{}, packet.IP{Src: s.vip, Dst: s.client}, packet.ICMP{Type: 8}, packet.Payload(20))
	other := left(s.toClients(with(web, func(a *about) { a.outer = func(ip *packet.IP) { ip.Dst = s.far } })), dataplane.PassNotOurs)
	last := func(ip *packet.IP) { ip.TTL = 1 }
	big := with(web, func(a *about) {
		a.payload, a.outer = 1300, func(ip *packet.IP) { ip.DontFragment = true }
	})
	small := nextHop(Web, func(n *dataplane.NextHop) { n.MTU = 1280 })
	list := []Case{
		local("error quotes seven bytes", func(a *about) { a.keep = 7 }),
		local("error quotes eight bytes, the last of them padding", func(a *about) { a.keep, a.pad = 7, 8 }),
		local("error quotes a later fragment", func(a *about) {
			a.ip = func(ip *packet.IP) { ip.Fragment = &packet.Fragment{ID: 5, Offset: 5} }
		}),
		local("error quotes the other ip version", func(a *about) { a.ip = func(ip *packet.IP) { ip.Version = 5 } }),
		local("error in a first fragment", func(a *about) {
			a.outer = func(ip *packet.IP) { ip.Fragment = &packet.Fragment{ID: 5, More: true} }
		}),
		local("error that is none", func(a *about) { a.kind.Type = 200 }),
		loops("error from no host", s.loopback()),
		loops("error from the vip to itself", s.vip),
		one("error quotes an icmp", Step{In: stack(s.fromClient(), packet.IP{Src: s.far, Dst: s.vip}, s.unreachable(), packet.Bytes(ping[14:])), Verdict: dataplane.PassLocal}),
		one("error quotes nothing", Step{In: stack(s.fromClient(), packet.IP{Src: s.far, Dst: s.vip}, s.unreachable()), Verdict: dataplane.PassLocal}),
		one("error for somebody else than the sender", other),
		one("error for another mac", left(Step{In: append(stack(packet.Ether{Src: macRouter, Dst: macOther}), s.toBackends(web).In[1:]...)}, dataplane.PassNotOurs)),
		one("no answer to an error whose last hop is here", left(s.toBackends(with(web, func(a *about) { a.outer = last })), dataplane.DropTTLExpired)),
		one("no answer to an error that is too big", s.after(small, left(s.toBackends(big), dataplane.DropTooBig))),
		one("error about a packet from nowhere", Step{
			In: s.layers(web, s.fromClient(), packet.IP{Src: s.client, Dst: s.vip}, netip.AddrPortFrom(s.vip, 80), netip.AddrPortFrom(s.loopback(), 5)), Verdict: dataplane.DropBadSource,
		}),
	}
	echo := func(kind uint8) Case {
		return one("echo of a backend", Step{From: s.d.Inside, Verdict: dataplane.PassNotOurs,
			In: stack(s.fromBackend(Web), packet.IP{Src: s.addr[Web], Dst: s.client}, packet.ICMP{Type: kind}, packet.Payload(40))})
	}
	if !s.v6 {
		return append(list, echo(0), local("error quotes a header that is too short", func(a *about) {
			a.ip = func(ip *packet.IP) { ip.HeaderWords = ptr(uint8(4)) }
		}))
	}
	return append(list, echo(129),
		local("error quotes a chain of extension headers that is cut", func(a *about) {
			a.behind, a.keep = stack(packet.Extension{Kind: packet.Destination, Length: ptr(uint8(40))}), 8
		}),
		one("error quotes a mapped address", Step{Verdict: dataplane.PassLocal,
			In: s.layers(web, s.fromClient(), packet.IP{Src: s.client, Dst: s.vip}, netip.AddrPortFrom(s.vip, 80), netip.MustParseAddrPort("[::ffff:198.51.100.7]:40000"))}),
	)
}

// boxListens makes the box take TCP packets for ListenPort.
func (s script) boxListens(b *model.Box) {
	b.Listens = func(proto dataplane.Protocol, vip, _ netip.AddrPort) bool {
		return vip == netip.AddrPortFrom(s.vip, ListenPort)
	}
}
