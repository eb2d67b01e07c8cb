package maglev

import (
	"fmt"
	"slices"
	"time"

	"steelyard/dataplane"
)

// restart is a new process that finds the ring, and the table or not. Because
// Restore opens the windows anew, a lost table then costs exactly the flows
// that do not live where their slot's flows without an entry go.
func (w *world) restart(lost bool) {
	w.late = false // what was not published is forgotten
	w.mover = NewMover(w.mover.seed)
	w.mover.Restore(w.now, w.longest, w.ring)
	if !lost {
		return
	}
	w.seen.lost++
	clear(w.table)
	for k := range w.flows {
		f := &w.flows[k]
		home := w.ring.SettledOf(f.hash)
		if s := w.slot(f.hash); !w.alive(home) && s.Settled != dataplane.SettledInOld {
			home = s.Current // as the next Change will see
		}
		f.excused = f.excused || f.backend != home
	}
}

// setIdle changes the idle time of the services.
func (w *world) setIdle(idle time.Duration) {
	w.idle, w.longest = idle, max(idle, w.longest)
	w.change()
}

// change gives the mover the present members.
func (w *world) change() {
	if w.mover.Ring() != nil && len(w.mover.Ring().Slots) != w.size {
		w.seen.resizes++
	}
	w.seen.changes++
	before := w.mover.Ring()
	made := w.mover.Change(w.now, w.idle, w.size, w.members, w.alive)
	if made != (before != w.mover.Ring()) {
		w.fail("Change = %v, but the ring says otherwise", made)
	}
	w.late = w.late || made
	w.check()
}

func (w *world) publish() {
	if w.ring != nil && !equalRings(w.ring, w.saved) {
		w.fail("a published ring was modified")
	}
	if !w.late {
		return
	}
	r := w.mover.Ring()
	w.ring, w.late = r, false
	w.saved = &dataplane.Ring{Slots: slices.Clone(r.Slots), Old: slices.Clone(r.Old)}
	w.mover.Published(w.now)
}

// settle ends the windows whose time has come.
func (w *world) settle() {
	at := w.now
	if w.fault == "settled early" {
		at = at.Add(w.idle / 2)
	}
	if !w.late && w.mover.Settle(at) {
		w.late = true
		w.publish()
	}
	w.check()
}

// clear scans the flow table and clears what it allows.
func (w *world) clear() {
	if w.late || w.ring == nil {
		return
	}
	disagree := map[int]bool{}
	for k, e := range w.table {
		i := dataplane.Index(w.flows[k].hash, len(w.ring.Slots))
		if !w.now.After(e.until) && w.alive(e.backend) && e.backend != w.ring.Slots[i].Current {
			disagree[i] = w.fault != "cleared blindly"
		}
	}
	if w.mover.Clear(func(i int) bool { return disagree[i] }) {
		w.late = true
		w.publish()
	}
	w.check()
}

// check holds what every ring must fulfil.
func (w *world) check() {
	r := w.mover.Ring()
	inOld, open, asking := 0, 0, 0
	for i, s := range r.Slots {
		if (s.Settled != s.Current) != (w.mover.ends[i] != 0) {
			w.fail("slot %+v has a window that ends at %d", s, w.mover.ends[i])
		}
		if !s.Ask && s.Settled != s.Current {
			w.fail("slot %+v is settled elsewhere without asking", s)
		}
		if s.Settled == dataplane.SettledInOld {
			inOld++
		}
		if s.Settled != s.Current {
			open++
		}
		if s.Ask {
			asking++
		}
	}
	if (r.Old != nil) != (inOld > 0) || inOld > 0 && inOld != len(r.Slots) {
		w.fail("%d of %d slots use the old ring, which has %d", inOld, len(r.Slots), len(r.Old))
	}
	if (open > 0) == w.mover.Next().IsZero() || asking != w.mover.Moving() {
		w.fail("%d open and %d asking slots, but next %v and moving %d", open, asking, w.mover.Next(), w.mover.Moving())
	}
}

// quiesce lets all come to rest and checks that nothing is left of it.
func (w *world) quiesce() {
	w.publish()
	w.now = w.now.Add(w.longest + time.Second)
	for !w.mover.Next().IsZero() {
		w.now = latest(w.now, w.mover.Next())
		w.settle()
	}
	w.clear()
	if w.ring.Old != nil || w.mover.Moving() != 0 {
		w.fail("at rest %d slots still ask, old ring of %d slots", w.mover.Moving(), len(w.ring.Old))
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// join adds a backend, under a new ID even if its name was there before.
func (w *world) join(name, weight int) {
	w.lastID++
	w.leave(name)
	w.members = append(w.members, Entry{Name: fmt.Sprintf("192.0.2.%d:80", name), ID: w.lastID, Weight: weight})
}

// leave removes a backend: it is dead from now on.
func (w *world) leave(name int) {
	if i := w.find(name); i >= 0 {
		w.dead[w.members[i].ID] = true
		w.members = slices.Delete(w.members, i, i+1)
	}
}

// weigh changes a backend's weight; 0 drains it.
func (w *world) weigh(name, weight int) {
	if i := w.find(name); i >= 0 {
		w.members[i].Weight = weight
	}
}

func (w *world) find(name int) int {
	text := fmt.Sprintf("192.0.2.%d:80", name)
	return slices.IndexFunc(w.members, func(e Entry) bool { return e.Name == text })
}

func equalRings(a, b *dataplane.Ring) bool {
	return slices.Equal(a.Slots, b.Slots) && slices.Equal(a.Old, b.Old)
}
