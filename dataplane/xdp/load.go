package xdp

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"

	"steelyard/dataplane"
)

// Errors of Load and Attach that callers may test for.
var (
	// ErrNotPermitted means that the process lacks CAP_BPF or CAP_NET_ADMIN.
	ErrNotPermitted = errors.New("not permitted to load BPF programs")
	// ErrNotSupported means that the kernel lacks something the program needs.
	ErrNotSupported = errors.New("kernel does not support the program")
	// ErrNoSpace means that a table sized at load is full.
	ErrNoSpace = errors.New("no space in table")
)

// Sizes bounds the tables. All are entries; the kernel allocates them at load.
type Sizes struct {
	Flows    int // flows remembered
	Services int // service ids go from 1 to Services
	VIPs     int
	Origins  int
	Backends int // backend ids go from 1 to Backends
	Rings    int // ring ids go from 1 to Rings
	Slots    int // slots of all rings and one more each, including those being replaced
	Routes   int
}

// Options is what Load needs to know. Zero times take the defaults below.
type Options struct {
	Sizes
	// Closing is how long a TCP flow that was closed, or whose handshake
	// was not confirmed, may be silent. Default 30s.
	Closing time.Duration
	// LongestIdle is the longest Service.Idle that will be used. Default 2h.
	LongestIdle time.Duration
	// AnswersPerSecond bounds the ICMP errors each CPU sends; at least 10.
	// Default 1000.
	AnswersPerSecond int
	// Test makes the program take its time from SetTestClock and report
	// its verdicts to Run. Never set it on a program that carries traffic.
	Test bool
}

// A flow needs two ways of the table's sets in all, so that sets seldom fill
// before the table does: half of them are free at capacity.
const waysPerFlow = 2

// MaxIfindex is the largest ifindex a device may have.
const MaxIfindex = 1<<16 - 1

// maxTxDevices bounds the devices that frames can be redirected to.
const maxTxDevices = 1024

// maxFragments bounds the fragmented packets on their way at one time; beyond
// that the oldest lose their later fragments.
const maxFragments = 1 << 14

// Balancer is a loaded packet path. Its methods may be called concurrently,
// except that changes to one table must be serialised by the caller.
type Balancer struct {
	objs     balancerObjects
	opts     Options
	slots    *slotSpace
	rings    []balancerRing    // mapped memory of the rings map
	backends []balancerBackend // mapped memory of the backends map
	flows    []balancerFlowBucket
	mapped   [][]byte
	devices  devices
}

// Load puts the program and its tables into the kernel. It is attached to
// nothing yet. Returns ErrNotPermitted or ErrNotSupported where they apply;
// an error from the verifier prints its log with %+v.
func Load(opts Options) (b *Balancer, err error) {
	opts.setDefaults()
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise memory lock limit: %w: %w", ErrNotPermitted, err)
	}
	spec, err := loadBalancer()
	if err != nil {
		return nil, fmt.Errorf("read embedded object: %w", err)
	}
	buckets, err := configure(spec, opts)
	if err != nil {
		return nil, err
	}
	b = &Balancer{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
			b = nil
		}
	}()
	if err := spec.LoadAndAssign(&b.objs, nil); err != nil {
		return b, explainLoad(err)
	}
	if err := b.mapTables(buckets); err != nil {
		return b, err
	}
	b.devices.init()
	return b, nil
}

func (o *Options) setDefaults() {
	if o.Closing == 0 {
		o.Closing = 30 * time.Second
	}
	if o.LongestIdle == 0 {
		o.LongestIdle = 2 * time.Hour
	}
	if o.AnswersPerSecond == 0 {
		o.AnswersPerSecond = 1000
	}
	o.AnswersPerSecond = max(o.AnswersPerSecond, 10)
	for _, n := range []*int{&o.Flows, &o.Services, &o.VIPs, &o.Origins, &o.Backends, &o.Rings, &o.Slots, &o.Routes} {
		*n = max(*n, 1)
	}
}

// configure sets the sizes and constants of the spec and returns the number of
// flow buckets.
func configure(spec *ebpf.CollectionSpec, o Options) (int, error) {
	var maps balancerMapSpecs
	var vars balancerVariableSpecs
	if err := spec.Assign(&maps); err != nil {
		return 0, fmt.Errorf("read embedded maps: %w", err)
	}
	if err := spec.Assign(&vars); err != nil {
		return 0, fmt.Errorf("read embedded variables: %w", err)
	}
	ways := len(balancerFlowBucket{}.Flow)
	buckets := max(1, (o.Flows*waysPerFlow+ways-1)/ways)
	for spec, n := range map[*ebpf.MapSpec]int{
		maps.Services:      o.Services,
		maps.ServiceKeys:   o.Services + 1,
		maps.Vips:          o.VIPs,
		maps.Origins:       o.Origins,
		maps.Backends:      o.Backends + 1,
		maps.BackendCounts: o.Backends + 1,
		maps.Rings:         o.Rings + 1,
		maps.Slots:         o.Slots,
		maps.Routes:        o.Routes,
		maps.FlowBuckets:   buckets,
		maps.Interfaces:    MaxIfindex + 1,
		maps.TxDevices:     maxTxDevices,
		maps.Fragments:     maxFragments,
	} {
		spec.MaxEntries = uint32(n)
	}
	test := uint8(0)
	if o.Test {
		test = 1
	}
	return buckets, errors.Join(
		vars.CfgFlowBuckets.Set(uint32(buckets)),
		vars.CfgClosingTicks.Set(dataplane.Ticks(o.Closing)),
		vars.CfgLongestIdleTicks.Set(dataplane.Ticks(o.LongestIdle)),
		vars.CfgAnswersPerSecond.Set(uint32(o.AnswersPerSecond)),
		vars.CfgTest.Set(test),
	)
}

// explainLoad names what a failed load lacks.
func explainLoad(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, errPermission):
		return fmt.Errorf("load BPF program: %w: %w", ErrNotPermitted, err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("load BPF program: %w: %w", ErrNotSupported, err)
	case errors.As(err, &verifier):
		if missing := probe(); missing != nil {
			return fmt.Errorf("load BPF program: %w: %w", ErrNotSupported, missing)
		}
	}
	return fmt.Errorf("load BPF program: %w", err)
}

// probe looks for the newest things the program uses (Linux 5.11 and 5.18).
func probe() error {
	return errors.Join(
		features.HaveProgramHelper(ebpf.XDP, funcKtimeGetCoarseNs),
		features.HaveProgramHelper(ebpf.XDP, funcSkcLookupTCP),
		features.HaveV3ISA(),
	)
}

// Close detaches the program everywhere and frees its tables.
func (b *Balancer) Close() error {
	err := b.devices.close()
	for _, m := range b.mapped {
		err = errors.Join(err, unmap(m))
	}
	b.mapped = nil
	return errors.Join(err, b.objs.Close())
}
