package bench

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
	"steelyard/testenv/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tiny is long enough to go through everything once.
func tiny(t *testing.T) Options {
	return Options{
		Rounds: 1, Packets: 2000, Flows: []int{1, 100},
		Progress: func(line string) { t.Log(line) },
	}
}

func newTestRig(t *testing.T) *rig {
	t.Helper()
	netns.RequireRoot(t)
	r, err := newRig(t.Context())
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestGeneratedFrames looks at what comes to the gateway: every frame must be
// whole, also those made in memory that carried another one before.
func TestGeneratedFrames(t *testing.T) {
	r := newTestRig(t)
	for _, traffic := range traffics() {
		t.Run(traffic.String(), func(t *testing.T) {
			c, err := r.env.Host("gateway").Capture("front")
			if err != nil {
				t.Fatal(err)
			}
			traffic.Flows = 3
			const packets = 300
			if err := r.send(t.Context(), traffic, 1, packets); err != nil {
				t.Fatal(err)
			}
			made := func() (frames [][]byte) {
				for _, f := range c.Frames() {
					if bytes.Equal(f.Data[:6], frontMAC[:]) {
						frames = append(frames, f.Data)
					}
				}
				return frames
			}
			netns.WaitFor(t, func() bool { return len(made()) >= packets }, "the frames")
			distinct := make(map[string]int)
			for _, f := range made() {
				if err := packet.VerifyChecksums(f); err != nil {
					t.Fatalf("frame %x: %v", f, err)
				}
				distinct[string(f)]++
			}
			if len(distinct) != traffic.Flows {
				t.Errorf("%d different frames, want %d: one of each flow", len(distinct), traffic.Flows)
			}
			if _, err := c.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSubjects checks that every program forwards every frame, since one that
// drops some is fast for nothing.
func TestSubjects(t *testing.T) {
	r := newTestRig(t)
	tables, err := r.loadTables(1000)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := tables.close(); err != nil {
			t.Error(err)
		}
	})
	g, err := r.newGateway(1000)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	stop, err := countTime()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	for _, traffic := range traffics() {
		traffic.Flows = 100
		subjects := g.subjects(traffic)
		if !traffic.IPv6 && !traffic.Reply {
			subjects = append(subjects, r.tableSubjects(tables)...)
		}
		for _, s := range subjects {
			t.Run(traffic.String()+" "+s.name, func(t *testing.T) {
				const packets = 1000
				got, err := r.run(t.Context(), s, load{traffic: traffic, cpus: len(r.cpus), packets: packets})
				if err != nil {
					t.Fatal(err)
				}
				// Others may send into the world too (IPv6 neighbours),
				// and a system call that was interrupted is repeated.
				want := uint64(packets * len(r.cpus))
				if got.runs < want || got.received < want {
					t.Errorf("ran %d times and %d frames arrived, want %d", got.runs, got.received, want)
				}
				if got.spent <= 0 {
					t.Errorf("took %v in all", got.spent)
				}
			})
		}
	}
}

func TestTablesRemember(t *testing.T) {
	r := newTestRig(t)
	g, err := r.newGateway(1000)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	traffic := Traffic{Proto: dataplane.UDP, Flows: 100}
	for _, track := range traffic.tracks() {
		want := map[dataplane.Track]int{dataplane.TrackMoved: 0, dataplane.TrackAlways: traffic.Flows}[track]
		t.Run(track.String(), func(t *testing.T) {
			if _, err := r.run(t.Context(), g.subject(traffic, track), load{traffic, len(r.cpus), 1000}); err != nil {
				t.Fatal(err)
			}
			n := 0
			for range g.balancer.Flows() {
				n++
			}
			if n != want {
				t.Errorf("%d flows remembered, want %d", n, want)
			}
		})
	}
}

func TestProduct(t *testing.T) {
	netns.RequireRoot(t)
	o := tiny(t)
	report, err := Product(t.Context(), o)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	want := 0
	for _, traffic := range traffics() {
		want += len(o.Flows) * len(traffic.tracks())
	}
	if got := len(report.Time); got != want {
		t.Errorf("%d times, want %d", got, want)
	}
	for _, f := range report.Time {
		if f.BareNs <= 0 {
			t.Errorf("%+v: the bare program took no time", f)
		}
	}
	for _, f := range report.Rate {
		if f.PacketsPerSecond <= 0 || f.Ratio <= 0 {
			t.Errorf("%+v: nothing arrived", f)
		}
	}
	if report.Program.Instructions == 0 || report.Program.MachineBytes == 0 {
		t.Errorf("the program is %+v", report.Program)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", text.String())
}

func TestTables(t *testing.T) {
	netns.RequireRoot(t)
	o := tiny(t)
	report, err := Tables(t.Context(), o)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	for _, c := range report.Candidates {
		if want := len(report.Candidates[0].Costs); len(c.Costs) != want || want == 0 {
			t.Errorf("%s has %d figures, want %d", c.Name, len(c.Costs), want)
		}
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", text.String())
}
