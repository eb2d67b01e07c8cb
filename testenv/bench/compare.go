package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"steelyard/dataplane"
)

const (
	idle    = time.Minute      // of the flows measured; as IDLE_TICKS in tables.bpf.c
	closing = 30 * time.Second // of flows that were closed
)

// Options say how long and how wide a benchmark is.
type Options struct {
	// Rounds is how often each program is measured, in turn with the others.
	Rounds int
	// Packets is how many a CPU sends in one measurement.
	Packets int
	// Flows are the numbers of flows to measure with, ascending.
	Flows []int
	// Progress is called with a line about what comes next; may be nil.
	Progress func(string)
}

// Full takes four to five minutes.
func Full() Options {
	return Options{Rounds: 7, Packets: 200_000, Flows: []int{1, 10_000, 1_000_000}}
}

// Quick takes about half a minute at most; its figures are rough.
func Quick() Options {
	return Options{Rounds: 3, Packets: 50_000, Flows: []int{1, 10_000}}
}

func (o Options) say(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// largest is the number of flows that tables are made for.
func (o Options) largest() int { return slices.Max(o.Flows) }

// TableReport is the comparison of constructions of the flow table.
type TableReport struct {
	Machine Machine `json:"machine"`
	// Capacity is the flows that every table was made for.
	Capacity   int         `json:"capacity_flows"`
	Candidates []TableCost `json:"candidates"`
}

// TableCost is what one construction costs.
type TableCost struct {
	Name        string `json:"name"`
	MemoryBytes uint64 `json:"memory_bytes"`
	// Costs are in the order of the report's scenarios, the same for each
	// candidate.
	Costs []TableFigure `json:"costs"`
}

// TableFigure is the cost of one candidate in one scenario.
type TableFigure struct {
	Scenario string `json:"scenario"`
	CPUs     int    `json:"cpus"`
	// NetNs is the program's time a packet beyond the bare program's.
	NetNs float64 `json:"net_ns"`
}

// scenario is one column of the comparison.
type scenario struct {
	name string
	load load
	// before is run once and not measured: flows become known, or tables
	// full.
	before int // packets on each CPU
}

func (o Options) scenarios(cpus int) []scenario {
	udp := func(flows, packets int) load {
		return load{traffic: Traffic{Proto: dataplane.UDP, Flows: flows}, cpus: cpus, packets: packets}
	}
	var list []scenario
	for _, n := range o.Flows {
		// Twice, so that flows are confirmed.
		list = append(list, scenario{flowCount(n), udp(n, o.Packets), 2*n/cpus + batch})
	}
	capacity := o.largest()
	// All rounds together fill the tables to what they are made for.
	list = append(list, scenario{"new, room", udp(0, capacity/o.Rounds/cpus), 0})
	// A table per CPU has to be full on each.
	return append(list, scenario{"new, full", udp(0, o.Packets), capacity * placesPerFlow * 5 / 4})
}

// Tables compares constructions of the flow table by the time of a program that
// differs in nothing else. It needs root.
func Tables(ctx context.Context, o Options) (report *TableReport, err error) {
	r, err := newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	stop, err := countTime()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	report = &TableReport{Machine: thisMachine(r.cpus), Capacity: o.largest()}
	for _, c := range candidates() {
		report.Candidates = append(report.Candidates, TableCost{Name: c.name})
	}
	for cpus := 1; cpus <= min(2, len(r.cpus)); cpus++ {
		for _, s := range o.scenarios(cpus) {
			o.say("flow tables: %s, %s", s.name, plural(cpus, "CPU"))
			if err := r.measureScenario(ctx, o, s, report); err != nil {
				return nil, err
			}
		}
	}
	return report, nil
}

// measureScenario measures every candidate with tables of its own.
func (r *rig) measureScenario(ctx context.Context, o Options, s scenario, report *TableReport) (err error) {
	t, err := r.loadTables(o.largest())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	bytes, err := t.memory()
	if err != nil {
		return err
	}
	subjects := r.tableSubjects(t)
	if s.before > 0 {
		before := s.load
		before.packets = s.before
		if err := r.warm(ctx, subjects, before); err != nil {
			return err
		}
	}
	samples, err := r.compare(ctx, subjects, s.load, o.Rounds)
	if err != nil {
		return err
	}
	for i := range report.Candidates {
		c := &report.Candidates[i]
		c.MemoryBytes = bytes[i]
		c.Costs = append(c.Costs, TableFigure{Scenario: s.name, CPUs: s.load.cpus, NetNs: netNs(samples[0], samples[i+1])})
	}
	return nil
}
