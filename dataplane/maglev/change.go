package maglev

import (
	"slices"
	"time"

	"steelyard/dataplane"
)

// Change gives the ring new members and reports whether that made a new ring.
// idle is the longest idle time of the services that use the ring; where it
// grows, Change comes before the packet path grants it. size is Size of the
// configured backends. alive tells whether a backend lives: one of
// weight 0 drains, so it lives without slots. A backend that comes back from
// the dead has a new ID, so that entries of its former life never match it.
func (m *Mover) Change(now time.Time, idle time.Duration, size int, entries []Entry, alive func(dataplane.BackendID) bool) bool {
	picks := Build(m.seed, size, entries)
	if m.ring == nil {
		m.epoch, m.idle = now, idle
		m.hold(&dataplane.Ring{Slots: slotsFrom(picks)}, make([]tick, size))
		return true
	}
	m.grant(now, idle)
	c := change{picks: picks, end: m.endOf(now, idle), alive: alive, known: map[dataplane.BackendID]bool{0: false}}
	if len(m.ring.Slots) != size {
		ring, ends := c.resize(m.ring, m.asking)
		m.open(c)
		m.hold(ring, ends)
		return true
	}
	ring, ends := c.move(m.ring, m.ends)
	m.open(c)
	if slices.Equal(ring.Slots, m.ring.Slots) && !c.oldChanged {
		m.ends = ends
		return false
	}
	m.hold(ring, ends)
	return true
}

// grant notes the idle time that flows have from now on. One who sent its last
// packet under a longer one may be silent for that long still.
func (m *Mover) grant(now time.Time, idle time.Duration) {
	if idle < m.idle {
		m.granted = m.endOf(now, m.idle)
	}
	m.idle = idle
}

// open notes that a change opened windows, for Published.
func (m *Mover) open(c change) {
	if c.opened && (m.unseen == 0 || c.end < m.unseen) {
		m.unseen = c.end
	}
}

func slotsFrom(picks []dataplane.BackendID) []dataplane.Slot {
	slots := make([]dataplane.Slot, len(picks))
	for i, pick := range picks {
		slots[i] = dataplane.Slot{Current: pick, Settled: pick}
	}
	return slots
}

// change is one Change while it is worked out.
type change struct {
	picks      []dataplane.BackendID
	end        tick // of windows that open now
	alive      func(dataplane.BackendID) bool
	known      map[dataplane.BackendID]bool // answers of alive
	opened     bool
	oldChanged bool
}

func (c *change) living(id dataplane.BackendID) bool {
	life, ok := c.known[id]
	if !ok {
		life = c.alive(id)
		c.known[id] = life
	}
	return life
}

// move works out a ring of the same size.
func (c *change) move(from *dataplane.Ring, ends []tick) (*dataplane.Ring, []tick) {
	old := from.Old
	if old != nil {
		old = c.settled(from.Old)
		c.oldChanged = !slices.Equal(old, from.Old)
	}
	slots, next := slices.Clone(from.Slots), slices.Clone(ends)
	for i := range slots {
		c.moveSlot(&slots[i], &next[i], c.picks[i], old != nil)
	}
	return &dataplane.Ring{Slots: slots, Old: old}, next
}

func (c *change) moveSlot(s *dataplane.Slot, end *tick, pick dataplane.BackendID, haveOld bool) {
	if *end != 0 && !c.settledLives(s.Settled, haveOld) {
		// Flows without an entry are gone with it; all others are in
		// the table. The window has nothing left to wait for.
		s.Settled, *end = s.Current, 0
	}
	if s.Current == pick {
		return
	}
	was := s.Current
	s.Current = pick
	if *end != 0 {
		// What was picked since the window opened has an entry, so
		// Settled is still where all others live.
		if s.Settled == pick {
			*end = 0
		}
		return
	}
	s.Settled = pick
	if c.living(was) {
		s.Settled, s.Ask, *end = was, true, c.end
		c.opened = true
	}
}

func (c *change) settledLives(id dataplane.BackendID, haveOld bool) bool {
	if id == dataplane.SettledInOld {
		return haveOld
	}
	return c.living(id)
}

// resize works out a ring of another size: every slot counts as moved.
func (c *change) resize(from *dataplane.Ring, asking int) (*dataplane.Ring, []tick) {
	slots, ends := slotsFrom(c.picks), make([]tick, len(c.picks))
	// While an older ring's window is open, all that began since has an
	// entry, and the older ring is where the others live.
	old := c.settled(from.Old)
	if old == nil {
		old = c.settled(from.Slots)
	}
	for i := range slots {
		if old != nil {
			slots[i].Settled, ends[i] = dataplane.SettledInOld, c.end
			c.opened = true
		}
		// Without an old ring there may still be entries: those of
		// living backends that no slot names, such as drained ones.
		slots[i].Ask = old != nil || asking > 0
	}
	return &dataplane.Ring{Slots: slots, Old: old}, ends
}

// settled returns slots as an old ring is kept: each quiet, with the living
// backend that its flows without an entry live on, or 0. It returns nil if
// there is none in any slot.
func (c *change) settled(slots []dataplane.Slot) []dataplane.Slot {
	kept := make([]dataplane.Slot, len(slots))
	found := false
	for i, s := range slots {
		id := s.Current
		if s.Ask && s.Settled != dataplane.SettledInOld && c.living(s.Settled) {
			id = s.Settled
		}
		if c.living(id) {
			kept[i] = dataplane.Slot{Current: id, Settled: id}
			found = true
		}
	}
	if !found {
		return nil
	}
	return kept
}
