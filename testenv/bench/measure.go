package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// subject is a program that can run in the gateway.
type subject struct {
	name string
	// attach starts it on the gateway's devices; detach ends that.
	attach func() (detach func() error, err error)
	// stats returns runs and time in all; see ebpf.Program.Stats.
	stats func() (runs uint64, spent time.Duration, err error)
}

// load is what a subject has to bear.
type load struct {
	traffic Traffic
	cpus    int
	packets int // on each CPU
}

// sample is one run of a subject.
type sample struct {
	runs     uint64 // of the program
	spent    time.Duration
	sent     uint64 // frames, at least
	received uint64 // frames at the far end
	elapsed  time.Duration
}

// nsPerPacket is valid iff the kernel counted time (countTime).
func (s sample) nsPerPacket() float64 {
	return float64(s.spent.Nanoseconds()) / float64(max(1, s.runs))
}

func (s sample) packetsPerSecond() float64 {
	return float64(s.received) / s.elapsed.Seconds()
}

// countTime makes the kernel count the time of BPF programs until stop is
// called. It makes each run some 50 ns longer.
func countTime() (stop func() error, err error) {
	closer, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, fmt.Errorf("switch on program statistics: %w", err)
	}
	return closer.Close, nil
}

// plain is a subject that is one program on the front device.
func (r *rig) plain(name string, p *ebpf.Program) subject {
	return subject{
		name: name,
		attach: func() (detach func() error, err error) {
			err = r.env.Host("gateway").Do(func() error {
				l, err := attachNative(p, r.front)
				if err == nil {
					detach = l.Close
				}
				return err
			})
			return detach, err
		},
		stats: func() (uint64, time.Duration, error) {
			s, err := p.Stats()
			if err != nil {
				return 0, 0, fmt.Errorf("read statistics of %s: %w", p, err)
			}
			return s.RunCount, s.Runtime, nil
		},
	}
}

func (r *rig) bare() subject { return r.plain("bare", r.objs.Bare) }

// run measures one subject once.
func (r *rig) run(ctx context.Context, s subject, l load) (got sample, err error) {
	detach, err := s.attach()
	if err != nil {
		return got, fmt.Errorf("run %s: %w", s.name, err)
	}
	defer func() { err = errors.Join(err, detach()) }()
	runs, spent, err := s.stats()
	if err != nil {
		return got, err
	}
	received, err := r.received()
	if err != nil {
		return got, err
	}
	start := time.Now()
	if err := r.send(ctx, l.traffic, l.cpus, l.packets); err != nil {
		return got, fmt.Errorf("run %s: %w", s.name, err)
	}
	got.elapsed = time.Since(start)
	got.sent = uint64(l.cpus) * uint64(l.packets)
	if got.runs, got.spent, err = s.stats(); err != nil {
		return got, err
	}
	if got.received, err = r.received(); err != nil {
		return got, err
	}
	got.runs, got.spent, got.received = got.runs-runs, got.spent-spent, got.received-received
	return got, nil
}

// compare runs the subjects in turn, rounds times, and returns each subject's
// samples. Sample i of all subjects was taken in the same round.
func (r *rig) compare(ctx context.Context, subjects []subject, l load, rounds int) ([][]sample, error) {
	all := make([][]sample, len(subjects))
	for range rounds {
		for i, s := range subjects {
			got, err := r.run(ctx, s, l)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], got)
		}
	}
	return all, nil
}

// median returns the middle of f over the indexes of n samples.
func median(n int, f func(i int) float64) float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = f(i)
	}
	slices.Sort(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// netNs is the median of what each round's run took longer than the bare
// program's in the same round.
func netNs(bare, s []sample) float64 {
	return median(len(s), func(i int) float64 { return s[i].nsPerPacket() - bare[i].nsPerPacket() })
}
