package maglev

import (
	"slices"
	"time"

	"steelyard/dataplane"
)

// Mover is the ring of one pool through its changes. Rings it has handed out
// are never modified: each method that returns true has made a new one, which
// its owner publishes to the packet path before it calls Settle or Clear. A
// Mover is not safe for use by several goroutines.
//
// A window is the time in which flows of a moved slot that are not in the flow
// table live on the settled backend; after it, all that still live are in the
// table. A slot is in one of three states:
//
//	quiet    Ask clear, Settled == Current. All flows live on Current.
//	open     Ask set, Settled != Current, and the window has an end. Flows
//	         without an entry live on Settled.
//	settled  Ask set, Settled == Current. Flows on another backend than
//	         Current have entries.
//
// Flows on dead backends are nobody's in all three.
type Mover struct {
	seed uint64
	ring *dataplane.Ring
	// ends holds when each slot's window ends; 0 where none is open.
	ends  []tick
	epoch time.Time     // what ticks count from
	idle  time.Duration // of the last change
	// granted is the end of what flows were granted under a longer idle
	// time, before it was cut.
	granted tick
	asking  int
	// unseen is the earliest end of the windows opened since Published was
	// called; 0 = none.
	unseen tick
}

// tick is time since the epoch in dataplane.TickDuration: 18 years fit.
type tick uint32

// NewMover returns a Mover without a ring; Change or Restore gives it one.
func NewMover(seed uint64) *Mover { return &Mover{seed: seed} }

// Ring returns the latest ring; nil before the first Change or Restore.
func (m *Mover) Ring() *dataplane.Ring { return m.ring }

// Moving returns how many slots ask the flow table.
func (m *Mover) Moving() (asking int) { return m.asking }

// Next returns when the next window ends, which is when to call Settle; the
// zero time if none is open. Ends are rounded up to ticks, never down.
func (m *Mover) Next() time.Time {
	var first tick
	for _, end := range m.ends {
		if end != 0 && (first == 0 || end < first) {
			first = end
		}
	}
	if first == 0 {
		return time.Time{}
	}
	return m.epoch.Add(time.Duration(first) * dataplane.TickDuration)
}

// Restore takes over a ring that the packet path still uses from an earlier
// process. When its windows opened is not known: those that are open start
// anew. idle is the longest idle time that the packet path grants or has
// granted to flows that may live. The IDs in the ring keep their meaning.
func (m *Mover) Restore(now time.Time, idle time.Duration, ring *dataplane.Ring) {
	m.epoch, m.idle = now, idle
	ends := make([]tick, len(ring.Slots))
	for i, s := range ring.Slots {
		if s.Ask && s.Settled != s.Current {
			ends[i] = m.endOf(now, idle)
		}
	}
	m.hold(ring, ends)
}

// Published tells when the latest ring reached the packet path. Windows opened
// since the last call then end idle after now instead of idle after their
// Change: a flow whose last packet met the old ring just before now may be
// silent until then. An owner whose publishing takes a moment and never fails
// may add that moment to idle instead.
func (m *Mover) Published(now time.Time) {
	if m.unseen == 0 {
		return
	}
	end := m.endOf(now, m.idle)
	for i := range m.ends {
		if m.ends[i] >= m.unseen {
			m.ends[i] = max(m.ends[i], end)
		}
	}
	m.unseen = 0
}

// Settle ends the windows whose time has come: Settled becomes Current, Ask
// stays. It reports whether that made a new ring.
func (m *Mover) Settle(now time.Time) bool {
	if m.ring == nil {
		return false
	}
	passed := m.passed(now)
	var slots []dataplane.Slot
	old := m.ring.Old
	for i, end := range m.ends {
		if end == 0 || end > passed {
			continue
		}
		m.ends[i] = 0
		slots = m.edit(slots)
		slots[i].Settled = slots[i].Current
	}
	if slots == nil {
		return false
	}
	if !slices.ContainsFunc(slots, func(s dataplane.Slot) bool { return s.Settled == dataplane.SettledInOld }) {
		old = nil
	}
	m.hold(&dataplane.Ring{Slots: slots, Old: old}, m.ends)
	return true
}

// Clear drops Ask from the settled slots for which disagree is false, and
// reports whether that made a new ring. disagree tells whether the flow table
// holds a live entry of the slot for a living backend that is not its Current.
// It must come from a scan of the whole table that began when the latest ring
// was in the packet path and no packet was still on its way through an earlier
// one: an earlier scan misses entries made since.
func (m *Mover) Clear(disagree func(slot int) bool) bool {
	if m.ring == nil {
		return false
	}
	var slots []dataplane.Slot
	for i, s := range m.ring.Slots {
		if s.Ask && m.ends[i] == 0 && !disagree(i) {
			slots = m.edit(slots)
			slots[i].Ask = false
		}
	}
	if slots == nil {
		return false
	}
	m.hold(&dataplane.Ring{Slots: slots, Old: m.ring.Old}, m.ends)
	return true
}

// edit returns slots, or a copy of the ring's for the first edit.
func (m *Mover) edit(slots []dataplane.Slot) []dataplane.Slot {
	if slots == nil {
		return slices.Clone(m.ring.Slots)
	}
	return slots
}

// hold makes ring the latest one.
func (m *Mover) hold(ring *dataplane.Ring, ends []tick) {
	m.ring, m.ends, m.asking = ring, ends, 0
	for _, s := range ring.Slots {
		if s.Ask {
			m.asking++
		}
	}
}

// passed returns the whole ticks since the epoch.
func (m *Mover) passed(now time.Time) tick {
	return tick(max(0, now.Sub(m.epoch)/dataplane.TickDuration))
}

// endOf returns the first tick by which every flow that was heard up to now has
// been heard again or ended.
func (m *Mover) endOf(now time.Time, idle time.Duration) tick {
	return max(m.passed(now.Add(idle))+1, m.granted)
}
