package xdp

import (
	"iter"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"steelyard/dataplane"
)

// ticksNow returns the packet path's clock.
func (b *Balancer) ticksNow() uint32 {
	if b.opts.Test {
		var ns uint64
		if err := b.objs.TestClockNs.Get(&ns); err == nil {
			return uint32(ns / uint64(dataplane.TickDuration))
		}
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		return 0 // cannot happen: the clock exists since 2.6.32
	}
	return uint32(uint64(ts.Nano()) / uint64(dataplane.TickDuration))
}

// Flows lists the live entries of the flow table, in no order, straight from
// the table's memory. It does not stop the packet path: entries that come or
// go meanwhile may or may not be listed, and one that is replaced at this
// instant is left out.
func (b *Balancer) Flows() iter.Seq[dataplane.Flow] {
	return func(yield func(dataplane.Flow) bool) {
		now := b.ticksNow()
		for i := range b.flows {
			bucket := &b.flows[i]
			for way := range bucket.Flow {
				f, ok := readFlow(bucket, way, now)
				if ok && !yield(f) {
					return
				}
			}
		}
	}
}

// readFlow copies one entry and checks that it was not replaced meanwhile: the
// program clears the scope's tag first and sets it last.
func readFlow(bucket *balancerFlowBucket, way int, now uint32) (dataplane.Flow, bool) {
	tag := bucket.Tag[way]
	if tag == 0 {
		return dataplane.Flow{}, false
	}
	scope := atomic.LoadUint32(&bucket.Flow[way].Scope)
	entry := bucket.Flow[way]
	left := int32(entry.ExpiresTicks - now)
	if left < 0 || atomic.LoadUint32(&bucket.Flow[way].Scope) != scope || bucket.Tag[way] != tag {
		return dataplane.Flow{}, false
	}
	f := fromFlow(&entry)
	f.Left = time.Duration(left) * dataplane.TickDuration
	return f, true
}

// FlowCapacity returns the places of the flow table.
func (b *Balancer) FlowCapacity() int {
	return len(b.flows) * len(balancerFlowBucket{}.Flow)
}

// ForgetFlows empties the flow table. Packets may run meanwhile; what they
// remember at this instant may be lost too.
func (b *Balancer) ForgetFlows() {
	for i := range b.flows {
		b.flows[i].Tag = [7]uint16{}
		atomic.StoreUint32(&b.flows[i].OverflowTicks, 0)
	}
}
