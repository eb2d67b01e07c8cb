package model

import (
	"net/netip"
	"slices"
	"time"

	"steelyard/dataplane"
)

// flowKey is what the flow table is asked by: a client and what it speaks to.
type flowKey struct {
	client netip.AddrPort
	scope  uint32
}

type flowEntry struct {
	value   uint32
	state   dataplane.FlowState
	expires uint32 // the last tick at which it is alive
}

// tick is the time in ticks; it wraps as the program's does.
func (b *Box) tick() uint32 { return uint32(b.Now / dataplane.TickDuration) }

// left is how many ticks an entry still has; negative once it ended.
func (b *Box) left(f *flowEntry) int32 { return int32(f.expires - b.tick()) }

// liveFlow returns the entry of a flow that has not ended, or nil.
func (b *Box) liveFlow(client netip.AddrPort, scope uint32) *flowEntry {
	f := b.flows[flowKey{client, scope}]
	if f == nil || b.left(f) < 0 {
		return nil
	}
	return f
}

// remember makes an entry for a packet of a flow that has none.
func (b *Box) remember(p *packet, scope, value, idleTicks uint32) {
	state := dataplane.FlowNew
	if p.isTCP() && p.flags&(flagFIN|flagRST) != 0 {
		state = dataplane.FlowClosing
	}
	f := &flowEntry{value: value, state: state}
	f.expires = b.tick() + b.patience(p, state, idleTicks)
	b.flows[flowKey{p.src, scope}] = f
	b.Counters.Flows.Inserted++
}

// refresh notes another packet from a flow's client.
func (b *Box) refresh(f *flowEntry, p *packet, idleTicks uint32) {
	switch {
	case !p.isTCP():
		f.state = dataplane.FlowEstablished
	case p.flags&(flagFIN|flagRST) != 0:
		f.state = dataplane.FlowClosing
	case p.flags&flagSYN != 0:
		// A new connection on the port of one that closed; a repeated SYN
		// confirms nothing.
		if f.state == dataplane.FlowClosing {
			f.state = dataplane.FlowNew
		}
	case f.state == dataplane.FlowNew:
		f.state = dataplane.FlowEstablished
	}
	f.expires = b.tick() + b.patience(p, f.state, idleTicks)
}

// patience is how long a flow may be silent: a closing one and a handshake
// less than others.
func (b *Box) patience(p *packet, state dataplane.FlowState, idleTicks uint32) uint32 {
	handshake := state == dataplane.FlowNew && p.flags&flagSYN != 0
	if p.isTCP() && (handshake || state == dataplane.FlowClosing) {
		return dataplane.Ticks(b.Closing)
	}
	return idleTicks
}

// ListFlows returns the entries that have not ended, sorted by client and
// scope.
func (b *Box) ListFlows() []dataplane.Flow {
	var keys []flowKey
	for key, f := range b.flows {
		if b.left(f) >= 0 {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(x, y flowKey) int {
		if c := x.client.Compare(y.client); c != 0 {
			return c
		}
		return int(int64(x.scope) - int64(y.scope))
	})
	out := make([]dataplane.Flow, 0, len(keys))
	for _, key := range keys {
		out = append(out, b.describe(key, b.flows[key]))
	}
	return out
}

func (b *Box) describe(key flowKey, f *flowEntry) dataplane.Flow {
	const number = dataplane.ScopeReply - 1
	flow := dataplane.Flow{Client: key.client, State: f.state}
	flow.Left = dataplane.TickDuration * time.Duration(b.left(f))
	switch {
	case key.scope&dataplane.ScopeDirect != 0:
		flow.Kind, flow.Origin = dataplane.FlowDirect, key.scope&number
	case key.scope&dataplane.ScopeReply != 0:
		flow.Kind, flow.Origin = dataplane.FlowReply, key.scope&number
		flow.Service = dataplane.ServiceID(f.value)
	default:
		flow.Kind, flow.Service = dataplane.FlowService, dataplane.ServiceID(key.scope)
		flow.Backend = dataplane.BackendID(f.value)
	}
	return flow
}

// Forget removes the entry that f describes, as a full table does. It reports
// whether there was one.
func (b *Box) Forget(f dataplane.Flow) bool {
	key := flowKey{f.Client, scopeOf(f)}
	_, ok := b.flows[key]
	delete(b.flows, key)
	return ok
}

// Learn puts an entry into the table as a listing shows it.
func (b *Box) Learn(f dataplane.Flow) {
	e := &flowEntry{state: f.State, expires: b.tick() + uint32(f.Left/dataplane.TickDuration)}
	switch f.Kind {
	case dataplane.FlowService:
		e.value = uint32(f.Backend)
	case dataplane.FlowReply:
		e.value = uint32(f.Service)
	}
	b.flows[flowKey{f.Client, scopeOf(f)}] = e
}

func scopeOf(f dataplane.Flow) uint32 {
	switch f.Kind {
	case dataplane.FlowReply:
		return dataplane.ScopeReply | f.Origin
	case dataplane.FlowDirect:
		return dataplane.ScopeDirect | f.Origin
	}
	return uint32(f.Service)
}

// ForgetFlows empties the flow table.
func (b *Box) ForgetFlows() { clear(b.flows) }

// Restart forgets everything but the configuration and the time, as a program
// that is loaded anew does.
func (b *Box) Restart() {
	clear(b.flows)
	clear(b.direct)
	clear(b.pieces)
	clear(b.BackendCounts)
	b.Counters, b.budget = dataplane.Counters{}, answerBudget{}
}

// ForgetDirect clears the mark that a client spoke to an origin's own address,
// as control does when no entry needs it.
func (b *Box) ForgetDirect(origin uint32) { delete(b.direct, origin) }
