package maglev

import (
	"testing"
	"time"

	"steelyard/dataplane"
)

var epoch = time.Unix(1_700_000_000, 0)

const idle = 10 * time.Second

// living returns an alive function for these IDs.
func living(ids ...dataplane.BackendID) func(dataplane.BackendID) bool {
	set := map[dataplane.BackendID]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return func(id dataplane.BackendID) bool { return set[id] }
}

// sole is a ring with one backend: every slot's pick is id.
func sole(id dataplane.BackendID) []Entry {
	return []Entry{{Name: "192.0.2.1:80", ID: id, Weight: 1}}
}

func slot(current, settled dataplane.BackendID, ask bool) dataplane.Slot {
	return dataplane.Slot{Current: current, Settled: settled, Ask: ask}
}

// Every rule of a slot in a change of members. Backends 1 to 4 live, 8 and 9
// are dead.
func TestMoverSlotRules(t *testing.T) {
	const earlier, now tick = 5, 100
	for _, c := range []struct {
		name    string
		slot    dataplane.Slot
		end     tick
		pick    dataplane.BackendID
		want    dataplane.Slot
		wantEnd tick
	}{
		{"quiet, same pick: kept", slot(1, 1, false), 0, 1, slot(1, 1, false), 0},
		{"quiet, moves from a living one: asks", slot(1, 1, false), 0, 2, slot(2, 1, true), now},
		{"quiet, moves from a dead one: nothing to keep", slot(9, 9, false), 0, 2, slot(2, 2, false), 0},
		{"quiet, moves from nobody: nothing to keep", slot(0, 0, false), 0, 2, slot(2, 2, false), 0},
		{"quiet, moves to nobody, as all drain: asks", slot(1, 1, false), 0, 0, slot(0, 1, true), now},
		{"open, same pick: kept", slot(2, 1, true), earlier, 2, slot(2, 1, true), earlier},
		{"open, moves on: settled and end stay", slot(2, 1, true), earlier, 3, slot(3, 1, true), earlier},
		{"open, current died: settled and end stay", slot(9, 1, true), earlier, 3, slot(3, 1, true), earlier},
		{"open, moves back: settled", slot(2, 1, true), earlier, 1, slot(1, 1, true), 0},
		{"open, settled died: settled", slot(2, 9, true), earlier, 2, slot(2, 2, true), 0},
		{"open, settled died, moves: a window of its own", slot(2, 9, true), earlier, 3, slot(3, 2, true), now},
		{"open, both died: settled, still asks", slot(8, 9, true), earlier, 3, slot(3, 3, true), 0},
		{"settled, same pick: kept", slot(2, 2, true), 0, 2, slot(2, 2, true), 0},
		{"settled, moves: a new window", slot(2, 2, true), 0, 3, slot(3, 2, true), now},
		{"settled, current died: still asks", slot(9, 9, true), 0, 3, slot(3, 3, true), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := change{end: now, alive: living(1, 2, 3, 4), known: map[dataplane.BackendID]bool{}}
			got, end := c.slot, c.end
			ch.moveSlot(&got, &end, c.pick, false)
			if got != c.want || end != c.wantEnd {
				t.Errorf("got %+v until %d, want %+v until %d", got, end, c.want, c.wantEnd)
			}
		})
	}
}

// What becomes of an old slot's flows when the size changes.
func TestMoverOldRing(t *testing.T) {
	for _, c := range []struct {
		name string
		slot dataplane.Slot
		want dataplane.BackendID
	}{
		{"quiet", slot(1, 1, false), 1},
		{"quiet, dead", slot(9, 9, false), 0},
		{"open: the settled one", slot(2, 1, true), 1},
		{"open, settled died: the current one", slot(2, 9, true), 2},
		{"settled", slot(2, 2, true), 2},
		{"settled in a ring that is gone: the current one", slot(2, dataplane.SettledInOld, true), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			ch := change{alive: living(1, 2, 4), known: map[dataplane.BackendID]bool{}}
			got := ch.settled([]dataplane.Slot{c.slot, slot(4, 4, false)})[0]
			if want := slot(c.want, c.want, false); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestMoverFirstChange(t *testing.T) {
	m := NewMover(1)
	if m.Ring() != nil || m.Settle(epoch) || m.Clear(nil) || !m.Next().IsZero() || m.Moving() != 0 {
		t.Error("a new mover is not empty")
	}
	if !m.Change(epoch, idle, 31, nil, living()) || len(m.Ring().Slots) != 31 {
		t.Fatal("no ring after the first change")
	}
	if !m.Change(epoch, idle, 31, sole(1), living(1)) || m.Moving() != 0 || m.Ring().Slots[0].Current != 1 {
		t.Errorf("first backend: %d slots ask, slot 0 %+v", m.Moving(), m.Ring().Slots[0])
	}
	if m.Change(epoch, idle, 31, sole(1), living(1)) {
		t.Error("a change of nothing made a ring")
	}
}

// One move from start to rest, with its times.
func TestMoverLifeOfAMove(t *testing.T) {
	m := NewMover(1)
	m.Change(epoch, idle, 31, sole(1), living(1))
	m.Change(epoch.Add(time.Minute), idle, 31, sole(2), living(1, 2))
	heard := epoch.Add(time.Minute)
	if next := m.Next(); !next.After(heard.Add(idle)) || next.After(heard.Add(idle+dataplane.TickDuration)) {
		t.Errorf("window ends %v after the change", next.Sub(heard))
	}
	published := heard.Add(3 * time.Second)
	m.Published(published)
	next := m.Next()
	if !next.After(published.Add(idle)) {
		t.Errorf("window ends %v after publication", next.Sub(published))
	}
	if m.Clear(func(int) bool { return false }) {
		t.Error("cleared in an open window")
	}
	if m.Settle(published.Add(idle)) {
		t.Error("settled while a flow heard at publication may live")
	}
	if !m.Settle(next) || m.Moving() != 31 || !m.Next().IsZero() {
		t.Errorf("at %v: %d slots ask, next %v", next, m.Moving(), m.Next())
	}
	if !m.Clear(func(slot int) bool { return slot == 3 }) || m.Moving() != 1 || !m.Ring().Slots[3].Ask {
		t.Errorf("%d slots ask, slot 3 %+v", m.Moving(), m.Ring().Slots[3])
	}
	if !m.Clear(func(int) bool { return false }) || m.Moving() != 0 {
		t.Errorf("%d slots still ask", m.Moving())
	}
}

func TestMoverIdleCutShort(t *testing.T) {
	m := NewMover(1)
	m.Change(epoch, time.Hour, 31, sole(1), living(1))
	m.Change(epoch.Add(time.Minute), idle, 31, sole(2), living(1, 2))
	if m.Settle(epoch.Add(time.Minute + time.Hour)) {
		t.Error("a flow that was granted an hour got less")
	}
	if !m.Settle(m.Next()) {
		t.Error("the window never ends")
	}
}

func TestMoverResize(t *testing.T) {
	for _, c := range []struct {
		name     string
		alive    []dataplane.BackendID
		drained  bool // all drained and settled before
		wantAsk  bool
		wantOldN int
	}{
		{"backend lives: every slot asks the old ring", []dataplane.BackendID{1, 2}, false, true, 31},
		{"backend died: nothing to keep", []dataplane.BackendID{2}, false, false, 0},
		{"drained backend has entries only: asks", []dataplane.BackendID{1, 2}, true, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := NewMover(1)
			m.Change(epoch, idle, 31, sole(1), living(1))
			if c.drained {
				m.Change(epoch, idle, 31, nil, living(1))
				m.Settle(m.Next())
			}
			m.Change(epoch.Add(time.Minute), idle, 61, sole(2), living(c.alive...))
			r := m.Ring()
			s := r.Slots[0]
			if len(r.Slots) != 61 || s.Current != 2 || s.Ask != c.wantAsk || len(r.Old) != c.wantOldN {
				t.Fatalf("%d slots, slot 0 %+v, old ring of %d", len(r.Slots), s, len(r.Old))
			}
			if r.SettledOf(0) != r.SettledOf(1<<63) || c.wantOldN > 0 && r.SettledOf(0) != 1 {
				t.Errorf("settled on %d", r.SettledOf(0))
			}
		})
	}
}

// The old ring goes when its last living backend does.
func TestMoverOldRingDies(t *testing.T) {
	m := NewMover(1)
	m.Change(epoch, idle, 31, sole(1), living(1))
	m.Change(epoch, idle, 61, sole(2), living(1, 2))
	if !m.Change(epoch, idle, 61, sole(2), living(2)) || m.Ring().Old != nil || !m.Next().IsZero() || m.Moving() != 61 {
		t.Errorf("old ring of %d, next %v, %d ask", len(m.Ring().Old), m.Next(), m.Moving())
	}
}

// Through two changes of size the flows from before the first are found.
func TestMoverResizeTwice(t *testing.T) {
	m := NewMover(1)
	m.Change(epoch, idle, 31, sole(1), living(1))
	m.Change(epoch, idle, 61, sole(2), living(1, 2))
	m.Change(epoch.Add(time.Second), idle, 127, sole(3), living(1, 2, 3))
	if got := m.Ring().SettledOf(12345); got != 1 {
		t.Errorf("settled on %d, want 1", got)
	}
	if !m.Settle(m.Next()) || m.Ring().Old != nil || m.Ring().SettledOf(12345) != 3 {
		t.Errorf("after the window: old ring of %d, settled on %d", len(m.Ring().Old), m.Ring().SettledOf(12345))
	}
}

func TestMoverRestore(t *testing.T) {
	first := NewMover(1)
	first.Change(epoch, idle, 31, sole(1), living(1))
	first.Change(epoch, idle, 31, sole(2), living(1, 2))
	later := epoch.Add(time.Hour)
	m := NewMover(1)
	m.Restore(later, idle, first.Ring())
	if m.Moving() != 31 || !m.Next().After(later.Add(idle)) {
		t.Errorf("%d slots ask, next %v", m.Moving(), m.Next())
	}
	if m.Change(later, idle, 31, sole(2), living(1, 2)) {
		t.Error("the same members made a new ring")
	}
	m.Change(later, idle, 31, sole(3), living(1, 2, 3))
	if got, want := m.Ring().Slots[0], (dataplane.Slot{Current: 3, Settled: 1, Ask: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func BenchmarkChange(b *testing.B) {
	list := entries(4000, one)
	m := NewMover(7)
	always := func(dataplane.BackendID) bool { return true }
	m.Change(epoch, idle, 655373, list, always)
	for i := 0; b.Loop(); i++ {
		m.Change(epoch, idle, 655373, list[i%2:], always)
	}
}
