package xdp_test

import (
	"math/rand"
	"testing"
	"time"

	"steelyard/testenv/model/cases"
	"steelyard/testenv/netns"
	"steelyard/testenv/packet"
)

// FuzzPackets gives raw frames to the program and the oracle, each twice: the
// second time the flow may be known. Every input starts with an empty flow
// table, so that one that fails fails again.
func FuzzPackets(f *testing.F) {
	gw := newGateway(f)
	rng := rand.New(rand.NewSource(1))
	var m *machine
	var d cases.Devices
	inGateway(f, gw, func() {
		listen(f)
		d = quietDevices(f)
		town := newTown(rng, d)
		m = newMachine(f, town.box, 100)
		for i := range 400 {
			frame := packet.Random(rng, town.world)
			if i%2 == 0 {
				frame = packet.Mutate(rng, frame)
			}
			f.Add(uint8(i), frame)
		}
	})
	f.Fuzz(func(t *testing.T, device uint8, frame []byte) {
		// What a test run takes: an Ethernet header and up to a page.
		if len(frame) < 14 || len(frame) > 3000 {
			return
		}
		inGateway(t, gw, func() {
			m.tb = t
			m.program.ForgetFlows()
			m.box.ForgetFlows()
			m.advance(time.Hour)
			for range 2 {
				_, disagree := m.send([]uint32{d.Outside, d.Inside, d.Stray}[device%3], frame)
				if disagree != "" {
					t.Fatalf("%s\nin:\n%s", disagree, packet.String(frame))
				}
			}
			m.checkFlows()
		})
	})
}

// inGateway runs f inside the host. The thread stays on its CPU afterwards:
// one CPU is all that a fuzzing process has use for.
func inGateway(tb testing.TB, gw *netns.HostEnv, f func()) {
	tb.Helper()
	err := gw.Do(func() error {
		stayOnOneCPU(tb)
		f()
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}
