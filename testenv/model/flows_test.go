package model_test

import (
	"slices"
	"testing"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/packet"
)

// find returns a fresh case by its name.
func find(t *testing.T, d cases.Devices, name string) cases.Case {
	t.Helper()
	for _, c := range cases.All(d) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no case %q", name)
	return cases.Case{}
}

func play(t *testing.T, name string) *model.Box {
	t.Helper()
	d := cases.Devices{Outside: 2, Inside: 3, Stray: 4}
	c := find(t, d, name)
	for i := range c.Steps {
		runStep(t, c, i, d)
	}
	return c.Box
}

func TestListFlows(t *testing.T) {
	tests := []struct {
		name  string
		kinds []dataplane.FlowKind
		state dataplane.FlowState
	}{
		{"v4 quiet slot: the hash decides and nothing is remembered", nil, 0},
		{"v6 moved slot: a syn goes to current and stays there", []dataplane.FlowKind{dataplane.FlowService}, dataplane.FlowEstablished},
		{"v4 shared backend: the reply finds its service", []dataplane.FlowKind{dataplane.FlowService, dataplane.FlowReply}, dataplane.FlowNew},
		{"v6 track always: every flow is remembered", []dataplane.FlowKind{dataplane.FlowService}, dataplane.FlowEstablished},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := play(t, tt.name)
			flows := b.ListFlows()
			if len(flows) != len(tt.kinds) {
				t.Fatalf("%d flows: %+v", len(flows), flows)
			}
			for i, f := range flows {
				if f.Kind != tt.kinds[i] || f.State != tt.state || f.Left <= 0 {
					t.Errorf("flow %d: %+v", i, f)
				}
				b.Learn(f)
				if again := b.ListFlows(); !slices.Equal(again, flows[i:]) {
					t.Errorf("after learning %+v: %+v", f, again)
				}
				if !b.Forget(f) || b.Forget(f) {
					t.Errorf("forgetting %+v", f)
				}
			}
			if left := b.ListFlows(); len(left) != 0 {
				t.Errorf("still listed: %+v", left)
			}
		})
	}
}

func TestCountersCountFramesAsTheyCameIn(t *testing.T) {
	b := play(t, "v4 two vlan tags come off")
	d := cases.Devices{Outside: 2, Inside: 3, Stray: 4}
	size := uint64(len(packet.Build(find(t, d, "v4 two vlan tags come off").Steps[0].In...)))
	want := dataplane.Count{Packets: 1, Bytes: size}
	if got := b.Counters.Verdicts[dataplane.Redirect]; got != want {
		t.Errorf("verdict counted %+v, want %+v", got, want)
	}
	if got := b.BackendCounts[cases.Web].Forwarded; got != want {
		t.Errorf("backend counted %+v, want %+v", got, want)
	}
}

func TestRestartKeepsOnlyTheConfiguration(t *testing.T) {
	b := play(t, "v4 track always: every flow is remembered")
	b.Restart()
	if flows := b.ListFlows(); len(flows) != 0 {
		t.Errorf("flows after a restart: %+v", flows)
	}
	if (b.Counters != dataplane.Counters{}) || len(b.BackendCounts) != 0 {
		t.Errorf("counters after a restart: %+v", b.Counters)
	}
	if len(b.Services) == 0 || b.Now == 0 {
		t.Error("the configuration is gone")
	}
}
