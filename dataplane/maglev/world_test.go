package maglev

import (
	"math/rand/v2"
	"time"

	"steelyard/dataplane"
)

// world is a packet path in miniature around a Mover: the rules of DESIGN.md's
// table, a flow table, clients, and an owner that publishes with delay.
type world struct {
	fail func(format string, args ...any)
	rnd  *rand.Rand
	now  time.Time
	idle time.Duration
	// longest is the longest idle time there was.
	longest time.Duration
	size    int

	mover *Mover
	ring  *dataplane.Ring // what the packet path uses
	saved *dataplane.Ring // a copy made when it was published
	late  bool            // the mover has a newer one

	members []Entry
	lastID  dataplane.BackendID
	dead    map[dataplane.BackendID]bool

	flows []flow
	table map[int]entry
	room  int // entries the table holds

	losses bool // run may lose the table
	// fault breaks one rule, to show that the checks notice.
	fault string
	seen  tally
}

// flow is one client 5-tuple; it carries one flow after the other.
type flow struct {
	hash    uint64
	udp     bool
	live    bool
	backend dataplane.BackendID
	until   time.Time // how long it may be silent
	// excused is set when the table lost what this flow needed: its next
	// packet may go elsewhere.
	excused bool
}

type entry struct {
	backend dataplane.BackendID
	until   time.Time
}

// tally shows what a run has exercised.
type tally struct {
	packets, begun, kept, excused, lost int
	byEntry, bySettled, byOld           int
	changes, resizes, asked             int
}

func newWorld(seed uint64, flows, room, size int, fail func(string, ...any)) *world {
	w := &world{
		fail: fail, rnd: rand.New(rand.NewPCG(seed, 99)), now: time.Unix(1e9, 0), idle: 5 * time.Second, longest: 5 * time.Second, size: size,
		mover: NewMover(seed), dead: map[dataplane.BackendID]bool{0: true}, table: map[int]entry{}, room: room,
	}
	for i := range flows {
		w.flows = append(w.flows, flow{hash: w.rnd.Uint64(), udp: i%2 == 0})
	}
	return w
}

func (w *world) alive(id dataplane.BackendID) bool { return !w.dead[id] }

// packet sends the next packet of flow k; gone says that the client has closed
// its flow and begins a new one.
func (w *world) packet(k int, gone bool) {
	f := &w.flows[k]
	w.seen.packets++
	goesOn := f.live && !gone && !w.now.After(f.until) && w.alive(f.backend)
	begins := !f.live || gone || w.now.After(f.until)
	excused := f.excused
	f.excused = false // unless this packet finds no room in the table
	got := w.route(k, begins && !f.udp)
	switch {
	case goesOn && got == f.backend:
		w.seen.kept++
	case goesOn && excused:
		w.seen.excused++
	case goesOn:
		w.fail("%v: flow %d (udp %v) moved from %d to %d; slot %+v, entry %+v",
			w.now, k, f.udp, f.backend, got, w.slot(f.hash), w.table[k])
	default:
		w.seen.begun++
	}
	f.live, f.backend, f.until = w.alive(got), got, w.now.Add(w.idle)
}

func (w *world) slot(hash uint64) dataplane.Slot {
	return w.ring.Slots[dataplane.Index(hash, len(w.ring.Slots))]
}

// route is DESIGN.md's table, line by line.
func (w *world) route(k int, syn bool) dataplane.BackendID {
	f := &w.flows[k]
	s := w.slot(f.hash)
	if !s.Ask {
		return s.Current
	}
	w.seen.asked++
	if e, ok := w.table[k]; ok && !w.now.After(e.until) && w.alive(e.backend) {
		w.seen.byEntry++
		w.table[k] = entry{e.backend, w.now.Add(w.idle)}
		return e.backend
	}
	to := s.Current
	if settled := w.ring.SettledOf(f.hash); !syn && w.alive(settled) && w.fault != "settled ignored" {
		to = settled
		w.seen.bySettled++
		if s.Settled == dataplane.SettledInOld {
			w.seen.byOld++
		}
	}
	w.remember(k, to)
	return to
}

func (w *world) remember(k int, to dataplane.BackendID) {
	if w.fault == "nothing remembered" {
		return
	}
	if _, ok := w.table[k]; !ok && len(w.table) >= w.room {
		if w.rnd.IntN(2) == 0 {
			w.flows[k].excused = true // not taken
			return
		}
		w.evict()
	}
	w.table[k] = entry{to, w.now.Add(w.idle)}
}

// evict drops one entry. Its flow may move if its slot asks, except where the
// package promises that it does not: on the current backend of a settled slot.
func (w *world) evict() {
	victim := w.rnd.IntN(len(w.flows))
	for _, ok := w.table[victim]; !ok; _, ok = w.table[victim] {
		victim = (victim + 1) % len(w.flows)
	}
	delete(w.table, victim)
	w.excuse(victim)
}

func (w *world) excuse(k int) {
	f := &w.flows[k]
	if s := w.slot(f.hash); s.Ask && (s.Settled != s.Current || f.backend != s.Current) {
		f.excused = true
	}
}

// loseTable empties the flow table, as a restart that does not find it does.
func (w *world) loseTable() {
	w.seen.lost++
	for k := range w.flows {
		if _, ok := w.table[k]; ok {
			w.excuse(k)
		}
	}
	clear(w.table)
}
