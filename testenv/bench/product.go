package bench

import (
	"context"
	"errors"

	"steelyard/dataplane"
)

// Report is what the product's packet path costs.
type Report struct {
	Machine Machine `json:"machine"`
	Program Program `json:"program"`
	// Time is the program's own time; Rate is what a gateway forwards with
	// it, the kernel's work on each frame included.
	Time []TimeFigure `json:"time"`
	Rate []RateFigure `json:"rate"`
}

// Program is the loaded program; 0 where the kernel does not tell.
type Program struct {
	Instructions int `json:"instructions"`
	Verified     int `json:"verified_instructions"`
	MachineBytes int `json:"machine_bytes"`
}

// TimeFigure is the program's time for a packet of one kind.
type TimeFigure struct {
	Traffic string `json:"traffic"`
	Flows   int    `json:"flows"`
	Track   string `json:"track"`
	// BareNs is the bare program's time a packet, the kernel's cost of
	// taking time included; NetNs is what the product takes beyond it.
	BareNs float64 `json:"bare_ns"`
	NetNs  float64 `json:"net_ns"`
}

// RateFigure is what comes out at the far end.
type RateFigure struct {
	Traffic string `json:"traffic"`
	Flows   int    `json:"flows"`
	Track   string `json:"track"`
	CPUs    int    `json:"cpus"`
	// PacketsPerSecond and those of the bare program are medians; Ratio is
	// the median of the ratios within each round.
	PacketsPerSecond float64 `json:"packets_per_second"`
	BarePerSecond    float64 `json:"bare_packets_per_second"`
	Ratio            float64 `json:"ratio"`
	// Lost is the share of the generator's frames that did not come to the
	// far end, in all rounds.
	Lost float64 `json:"lost"`
}

// Product measures the product's program. It needs root.
func Product(ctx context.Context, o Options) (report *Report, err error) {
	r, err := newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	g, err := r.newGateway(o.largest())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	info, err := g.balancer.ProgramInfo()
	if err != nil {
		return nil, err
	}
	report = &Report{
		Machine: thisMachine(r.cpus),
		Program: Program{Instructions: info.Instructions, Verified: info.Verified, MachineBytes: info.MachineBytes},
	}
	if report.Time, err = g.times(ctx, o); err != nil {
		return nil, err
	}
	report.Rate, err = g.rates(ctx, o)
	return report, err
}

// times measures on one CPU.
func (g *gateway) times(ctx context.Context, o Options) (list []TimeFigure, err error) {
	stop, err := countTime()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, t := range traffics() {
		for _, flows := range o.Flows {
			t.Flows = flows
			o.say("time a packet: %s, %s", t, flowCount(flows))
			samples, err := g.measure(ctx, o, load{traffic: t, cpus: 1, packets: o.Packets})
			if err != nil {
				return nil, err
			}
			bare := samples[0]
			for i, track := range t.tracks() {
				list = append(list, TimeFigure{
					Traffic: t.String(), Flows: flows, Track: track.String(),
					BareNs: median(len(bare), func(i int) float64 { return bare[i].nsPerPacket() }),
					NetNs:  netNs(bare, samples[i+1]),
				})
			}
		}
	}
	return list, nil
}

// rates measures without taking time, so that only the frames' way counts.
func (g *gateway) rates(ctx context.Context, o Options) (list []RateFigure, err error) {
	// The start of a run is not to count.
	o.Packets *= 3
	for cpus := 1; cpus <= len(g.rig.cpus); cpus *= 2 {
		for _, flows := range o.Flows {
			t := Traffic{Proto: dataplane.UDP, Flows: flows}
			o.say("packets a second: %s, %s, %s", t, flowCount(flows), plural(cpus, "CPU"))
			samples, err := g.measure(ctx, o, load{traffic: t, cpus: cpus, packets: o.Packets})
			if err != nil {
				return nil, err
			}
			for i, track := range t.tracks() {
				f := rate(samples[0], samples[i+1])
				f.Traffic, f.Flows, f.Track, f.CPUs = t.String(), flows, track.String(), cpus
				list = append(list, f)
			}
		}
	}
	return list, nil
}

func rate(bare, s []sample) (f RateFigure) {
	f.PacketsPerSecond = median(len(s), func(i int) float64 { return s[i].packetsPerSecond() })
	f.BarePerSecond = median(len(s), func(i int) float64 { return bare[i].packetsPerSecond() })
	f.Ratio = median(len(s), func(i int) float64 { return s[i].packetsPerSecond() / bare[i].packetsPerSecond() })
	var sent, received uint64
	for _, one := range s {
		sent, received = sent+one.sent, received+one.received
	}
	f.Lost = max(0, 1-float64(received)/float64(sent))
	return f
}

// measure compares the bare program and the product under a load whose flows
// the table knows.
func (g *gateway) measure(ctx context.Context, o Options, l load) ([][]sample, error) {
	g.balancer.ForgetFlows()
	subjects := g.subjects(l.traffic)
	// Twice, so that flows are confirmed.
	before := l
	before.packets = 2*l.traffic.Flows/l.cpus + batch
	if err := g.rig.warm(ctx, subjects[len(subjects)-1:], before); err != nil {
		return nil, err
	}
	return g.rig.compare(ctx, subjects, l, o.Rounds)
}
