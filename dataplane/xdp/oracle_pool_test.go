package xdp_test

import (
	"fmt"
	"slices"

	"steelyard/dataplane"
	"steelyard/dataplane/maglev"
)

// This file is the owner's side of a history: what control does to a pool.

// stir changes the members.
func (h *history) stir() {
	h.tb.Helper()
	i := 0
	if len(h.members) > 0 {
		i = h.rng.Intn(len(h.members))
	}
	switch n := h.rng.Intn(20); {
	case n < 7 || len(h.members) < 2:
		h.join()
	case n < 11:
		h.leave(i)
	case n < 18:
		h.members[i].Weight = h.rng.Intn(4)
	default:
		h.size = oneOf(h.rng, 13, 31, 61)
	}
	if h.rng.Intn(8) > 0 { // else it is noticed with the next
		h.change()
	}
	if h.rng.Intn(2) == 0 {
		h.publish()
	}
}

// join adds a backend, or one that was there before under a new number.
func (h *history) join() {
	name := backendName(h.rng.Intn(8))
	if i := slices.IndexFunc(h.members, func(e maglev.Entry) bool { return e.Name == name }); i >= 0 {
		h.leave(i)
	}
	h.lastID++
	h.members = append(h.members, maglev.Entry{Name: name, ID: h.lastID, Weight: 1 + h.rng.Intn(3)})
	h.box.Backends[h.lastID] = h.backend(h.lastID)
	h.m.apply()
}

func backendName(n int) string { return fmt.Sprintf("192.0.2.%d:80", n) }

// leave removes a member: it is dead from now on.
func (h *history) leave(i int) {
	id := h.members[i].ID
	b := h.box.Backends[id]
	b.Alive = false
	h.box.Backends[id] = b
	h.members = slices.Delete(h.members, i, i+1)
	h.m.apply()
}

// change tells the mover who the members are.
func (h *history) change() {
	h.seen.changes++
	h.late = h.mover.Change(h.now(), historyIdle, h.size, h.members, h.alive) || h.late
}

// publish gives the machine the mover's latest ring.
func (h *history) publish() {
	h.tb.Helper()
	if !h.late {
		return
	}
	h.late = false
	h.box.Rings[historyRing] = h.mover.Ring()
	h.m.apply()
	h.mover.Published(h.now())
}

// settle ends the windows whose time has come.
func (h *history) settle() {
	h.tb.Helper()
	if !h.late && h.mover.Settle(h.now()) {
		h.late = true
		h.publish()
	}
}

// clear scans the table of the program and clears the flags it allows.
func (h *history) clear() {
	h.tb.Helper()
	if h.late {
		return
	}
	keys := map[dataplane.ServiceID]dataplane.ServiceKey{}
	for key, s := range h.box.Services {
		keys[s.ID] = key
	}
	slots, disagree := h.box.Rings[historyRing].Slots, map[int]bool{}
	for f := range h.m.program.Flows() {
		i := dataplane.Index(dataplane.FlowHash(f.Client, keys[f.Service]), len(slots))
		if h.alive(f.Backend) && f.Backend != slots[i].Current {
			disagree[i] = true
		}
	}
	if h.mover.Clear(func(i int) bool { return disagree[i] }) {
		h.seen.cleared++
		h.late = true
		h.publish()
	}
}

// restart is a new daemon, which finds the flow table or not, and then perhaps
// no program either.
func (h *history) restart(lost bool) {
	h.tb.Helper()
	h.seen.restarts++
	ring := h.box.Rings[historyRing]
	h.mover = maglev.NewMover(h.seed)
	h.mover.Restore(h.now(), historyIdle, ring)
	h.late = false
	if !lost {
		return
	}
	h.seen.lost++
	for i := range h.clients {
		h.clients[i].excused = true
	}
	if h.rng.Intn(3) > 0 {
		h.m.program.ForgetFlows()
		h.box.ForgetFlows()
		return
	}
	h.checkTableCount()
	h.seen.before = dataplane.FlowTableCount{Evicted: uint64(h.seen.evicted), Refused: uint64(h.seen.refused)}
	h.m.restart()
}

// quiesce lets all come to rest and checks that no flag is left.
func (h *history) quiesce() {
	h.tb.Helper()
	h.change()
	h.publish()
	h.m.advance(historyIdle + dataplane.TickDuration)
	for next := h.mover.Next(); !next.IsZero(); next = h.mover.Next() {
		if d := next.Sub(h.now()); d > 0 {
			h.m.advance(d)
		}
		h.settle()
	}
	h.m.advance(historyIdle + 2*dataplane.TickDuration)
	h.clear()
	ring := h.box.Rings[historyRing]
	for i, s := range ring.Slots {
		if s.Ask || s.Settled != s.Current {
			h.tb.Fatalf("at rest slot %d is %+v", i, s)
		}
	}
	if ring.Old != nil || h.mover.Moving() != 0 {
		h.tb.Fatalf("at rest there is an old ring of %d slots and %d slots ask", len(ring.Old), h.mover.Moving())
	}
}
