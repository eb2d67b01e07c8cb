package xdp

import (
	"fmt"

	"github.com/cilium/ebpf"

	"steelyard/dataplane"
)

// Counters reads what the program counted since it was loaded, summed over
// CPUs.
func (b *Balancer) Counters() (c dataplane.Counters, err error) {
	for v := range c.Verdicts {
		var perCPU []balancerCount
		if err := b.objs.VerdictCounts.Lookup(uint32(v), &perCPU); err != nil {
			return c, fmt.Errorf("read counter of verdict %s: %w", dataplane.Verdict(v), err)
		}
		for _, n := range perCPU {
			c.Verdicts[v].Packets += n.Packets
			c.Verdicts[v].Bytes += n.Bytes
		}
	}
	var perCPU []balancerFlowTableCount
	if err := b.objs.FlowCounts.Lookup(uint32(0), &perCPU); err != nil {
		return c, fmt.Errorf("read flow table counters: %w", err)
	}
	for _, n := range perCPU {
		c.Flows.Inserted += n.Inserted
		c.Flows.Evicted += n.Evicted
		c.Flows.Refused += n.Refused
		c.Flows.Busy += n.Busy
	}
	return c, nil
}

// BackendCount reads what one backend got and sent, summed over CPUs.
func (b *Balancer) BackendCount(id dataplane.BackendID) (c dataplane.BackendCount, err error) {
	var perCPU []balancerBackendCount
	if err := b.objs.BackendCounts.Lookup(uint32(id), &perCPU); err != nil {
		return c, fmt.Errorf("read counters of backend %d: %w", id, err)
	}
	for _, n := range perCPU {
		c.Forwarded = addCount(c.Forwarded, fromCount(n.Forwarded))
		c.Returned = addCount(c.Returned, fromCount(n.Returned))
	}
	return c, nil
}

func addCount(a, b dataplane.Count) dataplane.Count {
	return dataplane.Count{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
}

// ResetBackendCount starts an id's counters anew, for its next owner.
func (b *Balancer) ResetBackendCount(id dataplane.BackendID) error {
	zero := make([]balancerBackendCount, ebpf.MustPossibleCPU())
	if err := b.objs.BackendCounts.Put(uint32(id), zero); err != nil {
		return fmt.Errorf("reset counters of backend %d: %w", id, err)
	}
	return nil
}
