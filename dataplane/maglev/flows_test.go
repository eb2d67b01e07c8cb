package maglev

import (
	"flag"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFlowsStayLongRun sends millions of packets through one world in moods
// from quiet to frantic. It is the promise of the package doc, at length.
func TestFlowsStayLongRun(t *testing.T) {
	const packets = 2_000_000
	for _, c := range []struct {
		name   string
		room   int
		losses bool
		// moves says whether flows may move at all.
		moves bool
	}{
		{"table large enough and never lost", 300, false, false},
		{"table lost at times", 300, true, true},
		{"table too small and lost at times", 120, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(1, 300, c.room, 61, t.Fatalf)
			w.losses = c.losses
			w.run(packets)
			t.Logf("%+v", w.seen)
			s := w.seen
			if s.excused > 0 != c.moves || s.lost > 0 != c.losses {
				t.Errorf("%d flows moved, the table was lost %d times", s.excused, s.lost)
			}
			if s.kept < packets/2 || s.byEntry < packets/10 || s.byOld < packets/100 || s.resizes < 100 {
				t.Errorf("the run did not exercise what it should: %+v", s)
			}
		})
	}
}

// run drives the world at random for so many packets.
func (w *world) run(packets int) {
	for name := range 4 {
		w.join(name, 1)
	}
	w.change()
	w.publish()
	unrest := 1
	for w.seen.packets < packets {
		if w.rnd.IntN(5000) == 0 {
			unrest = []int{0, 1, 5, 25}[w.rnd.IntN(4)] // changes per 1,000 packets
		}
		// 300 flows, one packet in 4 ms: each is heard every 1.2 s.
		w.now = w.now.Add(time.Duration(w.rnd.IntN(8)) * time.Millisecond)
		w.packet(w.rnd.IntN(len(w.flows)), w.rnd.IntN(50) == 0)
		if w.rnd.IntN(1000) < unrest {
			w.stir()
		}
		switch w.rnd.IntN(1000) {
		case 0, 1, 2, 3, 4, 5, 6, 7:
			w.publish()
		case 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19:
			w.settle()
		case 20, 21, 22:
			w.clear()
		}
		if w.rnd.IntN(200_000) == 0 {
			w.quiesce()
		}
	}
	w.quiesce()
}

// stir changes something about the members, or something worse.
func (w *world) stir() {
	name := w.rnd.IntN(12)
	switch n := w.rnd.IntN(200); {
	case n < 60:
		w.join(name, 1+w.rnd.IntN(3))
	case n < 110:
		w.leave(name)
	case n < 160:
		w.weigh(name, w.rnd.IntN(4))
	case n < 170:
		w.size = []int{31, 61, 127}[w.rnd.IntN(3)]
	case n < 175:
		w.setIdle(time.Duration(2+w.rnd.IntN(6)) * time.Second)
	case n < 178:
		w.restart(w.losses && w.rnd.IntN(2) == 0)
	case n < 180:
		if w.losses {
			w.loseTable()
		}
	case n < 182:
		for name := range 12 { // all drain
			w.weigh(name, 0)
		}
	case n < 184:
		w.members = w.members[:0:0]
		for id := range w.lastID + 1 {
			w.dead[id] = true
		}
	case n < 186:
		w.now = w.now.Add(w.idle / 2)
	}
	if w.rnd.IntN(10) < 9 { // else it is noticed with the next
		w.change()
	}
	if w.rnd.IntN(2) == 0 {
		w.publish()
	}
}

// TestFlowsStay looks for short histories that break the promise; rapid
// shrinks what it finds.
func TestFlowsStay(t *testing.T) {
	thorough(t)
	rapid.Check(t, func(t *rapid.T) {
		flows := 12
		room := rapid.SampledFrom([]int{flows, flows, 4}).Draw(t, "room")
		w := newWorld(rapid.Uint64Range(0, 1000).Draw(t, "seed"), flows, room, 7, t.Fatalf)
		w.join(0, 1)
		w.change()
		w.publish()
		name := rapid.IntRange(0, 3)
		weight := rapid.IntRange(0, 2)
		packet := func(t *rapid.T) {
			w.packet(rapid.IntRange(0, flows-1).Draw(t, "flow"), rapid.IntRange(0, 9).Draw(t, "gone") == 9)
		}
		t.Repeat(map[string]func(*rapid.T){
			"packet":  packet,
			"packet2": packet,
			"packet3": packet,
			"all send": func(*rapid.T) {
				for k := range w.flows {
					w.packet(k, false)
				}
			},
			"join":    func(t *rapid.T) { w.join(name.Draw(t, "name"), weight.Draw(t, "weight")); w.change() },
			"leave":   func(t *rapid.T) { w.leave(name.Draw(t, "name")) },
			"weigh":   func(t *rapid.T) { w.weigh(name.Draw(t, "name"), weight.Draw(t, "weight")); w.change() },
			"resize":  func(t *rapid.T) { w.size = rapid.SampledFrom([]int{5, 7, 13}).Draw(t, "size"); w.change() },
			"change":  func(*rapid.T) { w.change() },
			"publish": func(*rapid.T) { w.publish() },
			"settle":  func(*rapid.T) { w.settle() },
			"clear":   func(*rapid.T) { w.clear() },
			"lose":    func(*rapid.T) { w.loseTable() },
			"restart": func(t *rapid.T) { w.restart(rapid.Bool().Draw(t, "lost")) },
			"idle": func(t *rapid.T) {
				idle := time.Duration(rapid.IntRange(1, 5).Draw(t, "idle")) * time.Second
				w.setIdle(idle)
			},
			"wait": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "wait")) * 100 * time.Millisecond)
			},
			"wait idle": func(*rapid.T) { w.now = w.now.Add(w.idle) },
		})
		w.quiesce()
	})
}

// thorough makes rapid try more and longer histories than by default.
func thorough(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": "2000", "rapid.steps": "60"} {
		f := flag.Lookup(name)
		before := f.Value.String()
		if before != f.DefValue {
			continue // given on the command line
		}
		if err := f.Value.Set(value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
}

// TestFaultsAreFound breaks one rule at a time: each must cost a flow its
// backend, or the runs above prove nothing.
func TestFaultsAreFound(t *testing.T) {
	for _, fault := range []string{"settled ignored", "nothing remembered", "settled early", "cleared blindly"} {
		t.Run(fault, func(t *testing.T) {
			type found struct{}
			defer func() {
				if r := recover(); r != nil {
					if _, ok := r.(found); !ok {
						panic(r)
					}
				}
			}()
			w := newWorld(1, 300, 1000, 61, func(string, ...any) { panic(found{}) })
			w.fault = fault
			w.run(500_000)
			t.Error("no check noticed")
		})
	}
}
