package xdp

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

const (
	funcKtimeGetCoarseNs = asm.FnKtimeGetCoarseNs
	funcSkcLookupTCP     = asm.FnSkcLookupTcp

	errPermission = unix.EPERM
	errTooBig     = unix.E2BIG
	errNoSpace    = unix.ENOSPC
)

// mapTables maps the tables that are read and written without system calls.
func (b *Balancer) mapTables(buckets int) error {
	slots, err := mapArray[balancerSlot](b, b.objs.Slots, b.opts.Slots)
	if err != nil {
		return err
	}
	if b.rings, err = mapArray[balancerRing](b, b.objs.Rings, b.opts.Rings+1); err != nil {
		return err
	}
	if b.backends, err = mapArray[balancerBackend](b, b.objs.Backends, b.opts.Backends+1); err != nil {
		return err
	}
	if b.flows, err = mapArray[balancerFlowBucket](b, b.objs.FlowBuckets, buckets); err != nil {
		return err
	}
	b.slots = newSlotSpace(slots)
	return nil
}

// mapArray maps a BPF_F_MMAPABLE array of n values of type T (whose size is a
// multiple of 8, as the kernel lays them out) for as long as b is open.
func mapArray[T any](b *Balancer, m *ebpf.Map, n int) ([]T, error) {
	var zero T
	page := unix.Getpagesize()
	length := (n*int(unsafe.Sizeof(zero)) + page - 1) / page * page
	mem, err := unix.Mmap(m.FD(), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map memory of %s: %w", m, err)
	}
	b.mapped = append(b.mapped, mem)
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[0])), n), nil
}

func unmap(mem []byte) error {
	if err := unix.Munmap(mem); err != nil {
		return fmt.Errorf("unmap table: %w", err)
	}
	return nil
}

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL of linux/membarrier.h.
const membarrierGlobal = 1

// waitReaders returns when no run of the program that started before the call
// is still going. Programs run inside an RCU read side, and the global memory
// barrier waits for all of those (membarrier(2): it is one grace period).
// Where the kernel refuses it (nohz_full), time is what is left: a run takes
// microseconds.
func waitReaders() {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		time.Sleep(100 * time.Millisecond)
	}
}
