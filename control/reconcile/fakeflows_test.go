package reconcile

import (
	"net/netip"
	"time"

	"steelyard/dataplane"
)

// flowKey is what the flow table is asked by.
type flowKey struct {
	client netip.AddrPort
	scope  uint32
}

type flowEntry struct {
	kind    dataplane.FlowKind
	client  netip.AddrPort
	service dataplane.ServiceID
	origin  uint32
	backend dataplane.BackendID
	until   time.Time
}

func (f *flowEntry) listed(left time.Duration) dataplane.Flow {
	return dataplane.Flow{
		Kind: f.kind, Client: f.client, Service: f.service, Origin: f.origin, Backend: f.backend,
		State: dataplane.FlowEstablished, Left: left,
	}
}

// packet takes a packet of a client through the tables, by the rules of
// DESIGN.md, and returns the backend that gets it; 0 = dropped.
func (p *fakePath) packet(client netip.AddrPort, key dataplane.ServiceKey, syn bool) dataplane.BackendID {
	p.mu.Lock()
	defer p.mu.Unlock()
	svc, ok := p.services[key]
	if !ok || !p.vips[key.Addr] || p.rings[svc.Ring] == nil {
		return 0
	}
	ring, hash := p.rings[svc.Ring], dataplane.FlowHash(client, key)
	slot := ring.Slots[dataplane.Index(hash, len(ring.Slots))]
	asks := svc.Track == dataplane.TrackAlways || svc.Track == dataplane.TrackMoved && slot.Ask
	if !asks {
		return p.ifAlive(slot.Current)
	}
	k := flowKey{client, uint32(svc.ID)}
	f := p.live(k)
	to := slot.Current
	switch {
	case f != nil && p.ifAlive(f.backend) != 0:
		to = f.backend
	case slot.Ask && !(syn && key.Proto == dataplane.TCP) && p.ifAlive(ring.SettledOf(hash)) != 0:
		to = ring.SettledOf(hash)
	}
	if p.ifAlive(to) == 0 || svc.SharedReplies && !p.reserve(client, svc, to, key.Proto) {
		return 0
	}
	p.flows[k] = &flowEntry{kind: dataplane.FlowService, client: client, service: svc.ID, backend: to, until: p.now.Add(svc.Idle)}
	return to
}

// reserve remembers which service the replies of a shared origin belong to.
func (p *fakePath) reserve(client netip.AddrPort, svc dataplane.Service, to dataplane.BackendID, proto dataplane.Protocol) bool {
	b := p.backends[to].Addr
	o, ok := p.origins[dataplane.OriginKey{Addr: b.Addr(), Port: b.Port(), Proto: proto}]
	if !ok {
		p.fault("backend %s of a shared service has no origin", b)
		return false
	}
	k := flowKey{client, o.ID | dataplane.ScopeReply}
	if f := p.live(k); f != nil && f.service != svc.ID {
		return false
	}
	p.flows[k] = &flowEntry{kind: dataplane.FlowReply, client: client, service: svc.ID, origin: o.ID, until: p.now.Add(svc.Idle)}
	return true
}

// directClient is a client that addresses a backend itself.
func (p *fakePath) directClient(client netip.AddrPort, key dataplane.OriginKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.origins[key]
	if !ok || o.Shared {
		return
	}
	p.direct[key] = true
	p.flows[flowKey{client, o.ID | dataplane.ScopeDirect}] = &flowEntry{kind: dataplane.FlowDirect, client: client, origin: o.ID, until: p.now.Add(o.Idle)}
}

func (p *fakePath) live(k flowKey) *flowEntry {
	if f := p.flows[k]; f != nil && !p.now.After(f.until) {
		return f
	}
	return nil
}

func (p *fakePath) ifAlive(id dataplane.BackendID) dataplane.BackendID {
	if p.backends[id].Alive {
		return id
	}
	return 0
}
