package model_test

import (
	"testing"

	"steelyard/dataplane"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/packet"
)

func TestCases(t *testing.T) {
	d := cases.Devices{Outside: 2, Inside: 3, Stray: 4}
	var seen [dataplane.VerdictCount]bool
	for _, c := range cases.All(d) {
		t.Run(c.Name, func(t *testing.T) {
			for i, s := range c.Steps {
				runStep(t, c, i, d)
				seen[s.Verdict] = true
			}
		})
	}
	for v := dataplane.VerdictContinue + 1; v < dataplane.VerdictCount; v++ {
		if !seen[v] {
			t.Errorf("no case ends in %s", v)
		}
	}
}

func runStep(t *testing.T, c cases.Case, i int, d cases.Devices) {
	t.Helper()
	s := c.Steps[i]
	c.Box.Now += s.Wait
	if s.Change != nil {
		s.Change(c.Box)
	}
	from := s.From
	if from == 0 {
		from = d.Outside
	}
	in := packet.Build(s.In...)
	got := c.Box.Process(from, in)
	if got.Verdict != s.Verdict {
		t.Fatalf("step %d: verdict %s, want %s", i, got.Verdict, s.Verdict)
	}
	if diff := packet.Diff(s.WantFrame(), got.Frame); diff != "" {
		t.Errorf("step %d:\n%s", i, diff)
	}
	if got.Ifindex != s.To {
		t.Errorf("step %d: leaves by %d, want %d", i, got.Ifindex, s.To)
	}
	if string(in) != string(packet.Build(s.In...)) {
		t.Errorf("step %d: the frame that came in was changed", i)
	}
}
