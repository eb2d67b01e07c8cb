package xdp_test

import (
	"slices"
	"testing"
	"time"

	"steelyard/testenv/model"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/packet"
)

// TestCases runs the rules that testenv/model states through the program. The
// oracle runs beside it: its own test holds that it agrees with the list.
func TestCases(t *testing.T) {
	onMachine(t, func(d cases.Devices) {
		listen(t)
		all := cases.All(d)
		slices.SortStableFunc(all, func(a, b cases.Case) int { return int(a.Box.AnswersPerSecond) - int(b.Box.AnswersPerSecond) })
		m := newMachine(t, all[0].Box, plentyOfFlows)
		for _, c := range all {
			// The rate of answers is set at load; all else can be
			// changed, and a load takes long.
			if c.Box.AnswersPerSecond != m.box.AnswersPerSecond {
				m.close()
				m = newMachine(t, c.Box, plentyOfFlows)
			}
			m.takeOver(c.Box)
			runCase(t, m, d, c)
		}
	})
}

// takeOver goes on with another box, whose time is so much later that the
// program's answers are all there again.
func (m *machine) takeOver(box *model.Box) {
	box.Now = m.box.Now + time.Hour
	m.box = box
	m.program.ForgetFlows()
}

func runCase(t *testing.T, m *machine, d cases.Devices, c cases.Case) {
	for i, s := range c.Steps {
		if s.Change != nil {
			s.Change(m.box)
		}
		m.box.Now += s.Wait
		m.apply()
		from := s.From
		if from == 0 {
			from = d.Outside
		}
		in := packet.Build(s.In...)
		want, disagree := m.send(from, in)
		switch {
		case disagree != "":
			t.Errorf("%s: step %d: %s\nin:\n%s", c.Name, i, disagree, packet.String(in))
		case want.Verdict != s.Verdict || packet.Diff(s.WantFrame(), want.Frame) != "":
			t.Errorf("%s: step %d: program and oracle agree on %s, but the case says %s", c.Name, i, want.Verdict, s.Verdict)
		}
	}
}
