package xdp_test

import (
	"encoding/hex"
	"math/rand"
	"testing"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/packet"
)

const oraclePackets = 250_000

// TestOracle sends random and broken packets through the loaded program and
// the oracle, while the box around them changes: every verdict, every byte,
// every counter and every flow entry must agree.
func TestOracle(t *testing.T) {
	seed := seedFor(t)
	onMachine(t, func(d cases.Devices) {
		listen(t)
		town := newTown(rand.New(rand.NewSource(seed)), d)
		m := newMachine(t, town.box, plentyOfFlows)
		for i := range oraclePackets {
			town.step(m, i)
		}
		m.checkCounters()
		m.checkFlows()
		for v := dataplane.VerdictContinue + 1; v < dataplane.VerdictCount; v++ {
			if town.seen[v] == 0 {
				t.Errorf("no packet of %d ended in %s", oraclePackets, v)
			}
			t.Logf("%-16s %d", v, town.seen[v])
		}
		for kind := range sentKinds {
			if town.sent[kind] < enoughSent {
				t.Errorf("only %d of %d packets were sent on that are: %s", town.sent[kind], oraclePackets, kind)
			}
			t.Logf("sent on: %-22s %d", kind, town.sent[kind])
		}
	})
}

// step sends the i-th packet, and does now and then what is not a packet.
func (t *town) step(m *machine, i int) {
	m.tb.Helper()
	switch {
	case i%(oraclePackets/3) == oraclePackets/3-1:
		m.checkCounters()
		m.restart()
	case i%20000 == 19999:
		m.checkCounters()
		m.program.ForgetFlows()
		m.box.ForgetFlows()
	case i%1000 == 999:
		m.checkFlows()
		t.clearDirect(m)
	case t.rng.Intn(40) == 0:
		t.stir()
		m.apply()
	case t.rng.Intn(4) == 0:
		m.advance(time.Duration(t.rng.Intn(int(20 * time.Millisecond))))
	}
	frame := t.nextFrame()
	if t.rng.Intn(5) < 2 {
		frame = packet.Mutate(t.rng, frame)
	}
	from := oneOf(t.rng, t.d.Outside, t.d.Inside)
	if t.rng.Intn(30) == 0 {
		from = t.d.Stray
	}
	t.sendFrom(m, i, from, frame)
}

func (t *town) sendFrom(m *machine, i int, from uint32, frame []byte) {
	m.tb.Helper()
	if len(frame) < 14 {
		return
	}
	// A sender usually knows the MAC of the device it sends to.
	if t.rng.Intn(20) > 0 && from != t.d.Stray {
		mac := t.box.Interfaces[from].MAC
		copy(frame, mac[:])
	}
	result, disagree := m.send(from, frame)
	t.seen[result.Verdict]++
	t.noteKind(frame, result)
	if packet.VerifyChecksums(frame) == nil && result.Frame != nil {
		if err := packet.VerifyChecksums(result.Frame); err != nil {
			m.tb.Fatalf("packet %d was right and is not afterwards: %v\nin:\n%s\nout:\n%s", i, err, packet.String(frame), packet.String(result.Frame))
		}
	}
	if disagree != "" {
		m.tb.Fatalf("packet %d from device %d: %s\nin:\n%s%s", i, from, disagree, packet.String(frame), hex.EncodeToString(frame))
	}
}

// clearDirect does what control does: origins without a direct client's entry
// need not ask for one.
func (t *town) clearDirect(m *machine) {
	m.tb.Helper()
	direct, err := m.program.DirectOrigins()
	m.must(err)
	needed := map[uint32]bool{}
	for _, f := range m.box.ListFlows() {
		needed[f.Origin] = needed[f.Origin] || f.Kind == dataplane.FlowDirect
	}
	for id, key := range direct {
		if !needed[id] {
			m.must(m.program.ClearDirect(key))
			m.box.ForgetDirect(id)
		}
	}
}
