package xdp

import (
	"fmt"
	"structs"
	"time"

	"github.com/cilium/ebpf"

	"steelyard/dataplane"
)

// xdpMd is struct xdp_md of linux/bpf.h: the context of a test run.
type xdpMd struct {
	_              structs.HostLayout
	Data           uint32
	DataEnd        uint32
	DataMeta       uint32
	IngressIfindex uint32
	RxQueueIndex   uint32
	EgressIfindex  uint32
}

// Ran is the outcome of Run.
type Ran struct {
	Verdict dataplane.Verdict
	Action  uint32 // XDP_* of linux/bpf.h
	Frame   []byte // as it left the program
	// Ifindex is where the frame would go; valid iff Verdict is Redirect.
	Ifindex uint32
}

// Run sends one frame (at least 14 bytes) through the program as if it came in
// by the device, without sending anything. Needs Options.Test.
func (b *Balancer) Run(ifindex uint32, frame []byte) (Ran, error) {
	out := make([]byte, len(frame)+256)
	opts := &ebpf.RunOptions{
		Data:    frame,
		DataOut: out,
		Context: &xdpMd{DataEnd: uint32(len(frame)), IngressIfindex: ifindex},
	}
	action, err := b.objs.Balancer.Run(opts)
	if err != nil {
		return Ran{}, fmt.Errorf("run program: %w", err)
	}
	var verdict, out32 uint32
	if err := b.objs.TestVerdict.Get(&verdict); err != nil {
		return Ran{}, fmt.Errorf("read verdict: %w", err)
	}
	if err := b.objs.TestIfindex.Get(&out32); err != nil {
		return Ran{}, fmt.Errorf("read device: %w", err)
	}
	r := Ran{Verdict: dataplane.Verdict(verdict), Action: action, Frame: opts.DataOut}
	if r.Verdict == dataplane.Redirect {
		r.Ifindex = out32
	}
	return r, nil
}

// SetTestClock sets the program's time since boot. Needs Options.Test.
func (b *Balancer) SetTestClock(sinceBoot time.Duration) error {
	if err := b.objs.TestClockNs.Set(uint64(sinceBoot)); err != nil {
		return fmt.Errorf("set test clock: %w", err)
	}
	return nil
}
