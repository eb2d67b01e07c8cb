package model

import (
	"net/netip"
	"time"

	"steelyard/dataplane"
)

// Box is a load balancer. The exported fields are its configuration, to be set
// before Process and changed between packets at will. A Box is for one
// goroutine.
type Box struct {
	Services   map[dataplane.ServiceKey]dataplane.Service
	VIPs       map[netip.Addr]bool
	Origins    map[dataplane.OriginKey]dataplane.Origin
	Backends   map[dataplane.BackendID]dataplane.Backend
	Rings      map[dataplane.RingID]*dataplane.Ring
	Routes     map[netip.Prefix]dataplane.NextHop
	Interfaces map[uint32]dataplane.Interface
	// Devices are the interfaces that frames can be redirected to.
	Devices map[uint32]bool
	// Listens says whether a socket of the box takes a packet of client for
	// a VIP's port without a service; nil = none does.
	Listens func(proto dataplane.Protocol, vip, client netip.AddrPort) bool

	// Closing is the idle time of a TCP flow that closes or was never
	// confirmed.
	Closing          time.Duration
	AnswersPerSecond uint32
	// Now is the time since boot.
	Now time.Duration

	// Counters and BackendCounts are what happened since New.
	// Counters.Flows counts insertions only: this table never fills.
	Counters      dataplane.Counters
	BackendCounts map[dataplane.BackendID]dataplane.BackendCount

	flows  map[flowKey]*flowEntry
	direct map[uint32]bool // origins that a client spoke to, by id
	budget answerBudget
	pieces map[pieceKey]firstSeen
}

// New returns a box that knows no VIP: it passes everything.
func New() *Box {
	return &Box{
		Services:      map[dataplane.ServiceKey]dataplane.Service{},
		VIPs:          map[netip.Addr]bool{},
		Origins:       map[dataplane.OriginKey]dataplane.Origin{},
		Backends:      map[dataplane.BackendID]dataplane.Backend{},
		Rings:         map[dataplane.RingID]*dataplane.Ring{},
		Routes:        map[netip.Prefix]dataplane.NextHop{},
		Interfaces:    map[uint32]dataplane.Interface{},
		Devices:       map[uint32]bool{},
		BackendCounts: map[dataplane.BackendID]dataplane.BackendCount{},
		flows:         map[flowKey]*flowEntry{},
		direct:        map[uint32]bool{},
		pieces:        map[pieceKey]firstSeen{},
	}
}

// Result is what became of a packet.
type Result struct {
	Verdict dataplane.Verdict
	// Frame is the packet as the kernel or the wire gets it; nil after a
	// drop.
	Frame []byte
	// Ifindex is where it leaves; 0 unless sent or answered.
	Ifindex uint32
}

// Process decides about one frame that came in by ifindex. It does not change
// frame.
func (b *Box) Process(ifindex uint32, frame []byte) Result {
	p := parse(ifindex, frame)
	b.recall(p)
	result := b.decide(p)
	count := &b.Counters.Verdicts[result.Verdict]
	count.Packets++
	count.Bytes += uint64(len(frame))
	return result
}

func (b *Box) decide(p *packet) Result {
	what, service, origin := b.classify(p)
	if what == dataplane.VerdictContinue || what == dataplane.PassLocal {
		b.note(p)
	}
	switch {
	case what == dataplane.DropNoService && p.ttl <= 1:
		return b.answerExpired(p)
	case what != dataplane.VerdictContinue:
		return p.finish(what)
	case service != nil:
		return b.forward(p, *service)
	}
	return b.reply(p, *origin)
}

// forward takes a client's packet to a backend of the service.
func (b *Box) forward(p *packet, s dataplane.Service) Result {
	switch {
	case !isHost(p.src.Addr()) || p.src.Addr() == p.dst.Addr():
		return p.finish(dataplane.DropBadSource)
	case p.ttl <= 1:
		return b.answerExpired(p)
	}
	backend, verdict := b.choose(p, s)
	if verdict != dataplane.VerdictContinue {
		return p.finish(verdict)
	}
	count := b.BackendCounts[backend.ID]
	count.Forwarded.Packets++
	count.Forwarded.Bytes += uint64(len(p.frame))
	b.BackendCounts[backend.ID] = count
	return b.send(p, towardsBackend, backend.Addr, backend.Next)
}

// reply takes a backend's packet back to the client.
func (b *Box) reply(p *packet, o dataplane.Origin) Result {
	next := b.route(p.dst.Addr())
	if next.Kind == dataplane.NextHopLocal {
		return p.finish(dataplane.PassLocal)
	}
	vip, id, verdict := b.replyOwner(p, o)
	switch {
	case verdict != dataplane.VerdictContinue:
		return p.finish(verdict)
	case p.ttl <= 1:
		return b.answerExpired(p)
	}
	count := b.BackendCounts[id]
	count.Returned.Packets++
	count.Returned.Bytes += uint64(len(p.frame))
	b.BackendCounts[id] = count
	return b.send(p, towardsClient, netip.AddrPortFrom(vip.Addr, vip.Port), next)
}

// replyOwner says which service a reply belongs to and which backend sent it;
// 0 where that is not known.
func (b *Box) replyOwner(p *packet, o dataplane.Origin) (dataplane.ServiceKey, dataplane.BackendID, dataplane.Verdict) {
	if o.Shared {
		return b.sharedOwner(p, o)
	}
	if b.direct[o.ID] && b.liveFlow(p.dst, dataplane.ScopeDirect|o.ID) != nil {
		return dataplane.ServiceKey{}, 0, dataplane.PassDirect
	}
	b.reset(p, uint32(o.ServiceID), o.Backend)
	return o.Service, o.Backend, dataplane.VerdictContinue
}

// sharedOwner asks the flow table: the reply's entry names the service, the
// flow's own the backend.
func (b *Box) sharedOwner(p *packet, o dataplane.Origin) (dataplane.ServiceKey, dataplane.BackendID, dataplane.Verdict) {
	entry := b.liveFlow(p.dst, dataplane.ScopeReply|o.ID)
	if entry == nil {
		return dataplane.ServiceKey{}, 0, dataplane.PassDirect
	}
	for key, s := range b.Services {
		if uint32(s.ID) != entry.value {
			continue
		}
		backend := dataplane.BackendID(0)
		if flow := b.liveFlow(p.dst, entry.value); flow != nil {
			backend = dataplane.BackendID(flow.value)
		}
		b.reset(p, entry.value, backend)
		return key, backend, dataplane.VerdictContinue
	}
	return dataplane.ServiceKey{}, 0, dataplane.PassDirect
}

// reset ends a remembered flow whose own backend resets it.
func (b *Box) reset(p *packet, service uint32, backend dataplane.BackendID) {
	if p.proto != tcp || p.flags&flagRST == 0 {
		return
	}
	f := b.liveFlow(p.dst, service)
	if f != nil && f.value == uint32(backend) {
		f.state, f.expires = dataplane.FlowClosing, b.tick()+dataplane.Ticks(b.Closing)
	}
}

// route returns the next hop of the longest prefix that holds addr.
func (b *Box) route(addr netip.Addr) dataplane.NextHop {
	for bits := addr.BitLen(); bits >= 0; bits-- {
		if next, ok := b.Routes[netip.PrefixFrom(addr, bits).Masked()]; ok {
			return next
		}
	}
	return dataplane.NextHop{}
}
