package model

import (
	"steelyard/dataplane"
)

// choose returns the backend of a packet to a service, and remembers it where
// that is needed (DESIGN.md, "State only where the ring has moved").
func (b *Box) choose(p *packet, s dataplane.Service) (dataplane.Backend, dataplane.Verdict) {
	ring := b.Rings[s.Ring]
	if ring == nil || len(ring.Slots) == 0 {
		return dataplane.Backend{}, dataplane.DropNoBackend
	}
	key := dataplane.ServiceKey{Addr: p.dst.Addr(), Port: p.dst.Port(), Proto: dataplane.Protocol(p.proto)}
	hash := dataplane.FlowHash(p.src, key)
	slot := ring.Slots[dataplane.Index(hash, len(ring.Slots))]
	if s.Track == dataplane.TrackNever || s.Track == dataplane.TrackMoved && !slot.Ask {
		return b.mustLive(slot.Current)
	}
	backend := slot.Current
	flow := b.liveFlow(p.src, uint32(s.ID))
	settled := ring.SettledOf(hash)
	switch {
	case flow != nil && b.lives(dataplane.BackendID(flow.value)):
		backend = dataplane.BackendID(flow.value)
	case p.isTCP() && p.flags&flagSYN != 0:
	case b.lives(settled):
		backend = settled
	}
	return b.pin(p, s, flow, backend)
}

// pin remembers that a flow belongs to a backend, and which service the
// backend's replies belong to where that is not plain.
func (b *Box) pin(p *packet, s dataplane.Service, flow *flowEntry, id dataplane.BackendID) (dataplane.Backend, dataplane.Verdict) {
	backend, verdict := b.mustLive(id)
	if verdict != dataplane.VerdictContinue {
		return backend, verdict
	}
	if s.SharedReplies {
		if verdict := b.reserveReply(p, s, backend); verdict != dataplane.VerdictContinue {
			return backend, verdict
		}
	}
	idle := dataplane.Ticks(s.Idle)
	if flow == nil {
		b.remember(p, uint32(s.ID), uint32(id), idle)
		return backend, dataplane.VerdictContinue
	}
	flow.value = uint32(id)
	b.refresh(flow, p, idle)
	return backend, dataplane.VerdictContinue
}

// reserveReply claims a client's port on a backend that several services
// share: two of them cannot use it at once.
func (b *Box) reserveReply(p *packet, s dataplane.Service, backend dataplane.Backend) dataplane.Verdict {
	at := dataplane.OriginKey{Addr: backend.Addr.Addr(), Port: backend.Addr.Port(), Proto: dataplane.Protocol(p.proto)}
	origin, ok := b.Origins[at]
	if !ok {
		return dataplane.DropInternal
	}
	scope, idle := dataplane.ScopeReply|origin.ID, dataplane.Ticks(s.Idle)
	switch f := b.liveFlow(p.src, scope); {
	case f == nil:
		b.remember(p, scope, uint32(s.ID), idle)
	case f.value != uint32(s.ID):
		return dataplane.DropReplyConflict
	default:
		b.refresh(f, p, idle)
	}
	return dataplane.VerdictContinue
}

// lives says whether a backend can take packets.
func (b *Box) lives(id dataplane.BackendID) bool { return b.Backends[id].Alive }

func (b *Box) mustLive(id dataplane.BackendID) (dataplane.Backend, dataplane.Verdict) {
	if !b.lives(id) {
		return dataplane.Backend{}, dataplane.DropNoBackend
	}
	return b.Backends[id], dataplane.VerdictContinue
}
