package xdp

import (
	"fmt"
	"sort"
	"sync/atomic"
	"unsafe"

	"steelyard/dataplane"
)

// slotAsk is SLOT_ASK of bpf/abi.h. The enum has no variable of its type, so it
// is not in the object; a wrong number fails every ring test.
const slotAsk = uint32(1) << 31

// span is a run of slots: a ring's header and its slots. Zero size = none.
type span struct{ offset, size uint32 }

// ringSize is the number of slots without the header.
func (s span) ringSize() uint32 {
	if s.size == 0 {
		return 0
	}
	return s.size - 1
}

// published is what the program reads for one ring now.
type published struct {
	ring *dataplane.Ring
	now  span
	old  span
}

// slotSpace hands out runs of the slots array. A freed run is handed out again
// only after the program can no longer be reading it.
type slotSpace struct {
	slots  []balancerSlot
	free   []span // sorted by offset, never adjacent
	leave  []span // freed since the last wait for readers
	rings  map[dataplane.RingID]published
	inUse  uint32
	waited int // waits for readers, for tests
}

func newSlotSpace(slots []balancerSlot) *slotSpace {
	return &slotSpace{
		slots: slots,
		free:  []span{{0, uint32(len(slots))}},
		rings: make(map[dataplane.RingID]published),
	}
}

// alloc returns a run of n slots, or false.
func (s *slotSpace) alloc(n uint32) (span, bool) {
	got, ok := s.firstFit(n)
	if !ok && len(s.leave) > 0 {
		s.reclaim()
		got, ok = s.firstFit(n)
	}
	return got, ok
}

func (s *slotSpace) firstFit(n uint32) (span, bool) {
	for i, f := range s.free {
		if f.size < n {
			continue
		}
		if f.size == n {
			s.free = append(s.free[:i], s.free[i+1:]...)
		} else {
			s.free[i] = span{f.offset + n, f.size - n}
		}
		s.inUse += n
		return span{f.offset, n}, true
	}
	return span{}, false
}

// reclaim waits for the program's readers and merges what was freed.
func (s *slotSpace) reclaim() {
	waitReaders()
	s.waited++
	all := append(s.free, s.leave...)
	s.leave = nil
	sort.Slice(all, func(i, j int) bool { return all[i].offset < all[j].offset })
	s.free = all[:0]
	for _, f := range all {
		if n := len(s.free); n > 0 && s.free[n-1].offset+s.free[n-1].size == f.offset {
			s.free[n-1].size += f.size
			continue
		}
		s.free = append(s.free, f)
	}
}

func (s *slotSpace) release(r span) {
	if r.size > 0 {
		s.inUse -= r.size
		s.leave = append(s.leave, r)
	}
}

// write copies a ring into a fresh run: a header that says where the ring
// before the last change of size lies, and the slots.
func (s *slotSpace) write(slots []dataplane.Slot, old span) (span, error) {
	if len(slots) == 0 {
		return span{}, nil
	}
	r, ok := s.alloc(uint32(len(slots)) + 1)
	if !ok {
		return span{}, fmt.Errorf("%d slots for a ring, %d of %d in use: %w", len(slots), s.inUse, len(s.slots), ErrNoSpace)
	}
	to := s.slots[r.offset : r.offset+r.size]
	to[0] = balancerSlot{Current: old.offset, Settled: old.ringSize()}
	for i, slot := range slots {
		to[i+1] = toSlot(slot)
	}
	return r, nil
}

// sameSlots tells whether two slices are the same memory: rings are immutable,
// so that is the same ring.
func sameSlots(a, b []dataplane.Slot) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// ReplaceRing publishes a ring in the place of the one of that id, as a whole:
// a packet sees the ring before or the ring after. A nil ring removes it. It
// may wait for the program's readers (milliseconds) to reuse space. Returns
// ErrNoSpace where the slots of all rings do not fit; then nothing changed.
func (b *Balancer) ReplaceRing(id dataplane.RingID, r *dataplane.Ring) error {
	if id == 0 || int(id) >= len(b.rings) {
		return fmt.Errorf("replace ring %d: %w", id, ErrNoSpace)
	}
	s, before := b.slots, b.slots.rings[id]
	if r == nil {
		b.point(id, span{})
		delete(s.rings, id)
		s.release(before.now)
		s.release(before.old)
		return nil
	}
	after := published{ring: r}
	var err error
	switch {
	case len(r.Old) == 0:
	case before.ring != nil && sameSlots(r.Old, before.ring.Slots):
		after.old = before.now
	case before.ring != nil && sameSlots(r.Old, before.ring.Old):
		after.old = before.old
	default:
		if after.old, err = s.write(r.Old, span{}); err != nil {
			return fmt.Errorf("replace ring %d: %w", id, err)
		}
	}
	if after.now, err = s.write(r.Slots, after.old); err != nil {
		if after.old != before.now && after.old != before.old {
			s.release(after.old)
		}
		return fmt.Errorf("replace ring %d: %w", id, err)
	}
	b.point(id, after.now)
	s.rings[id] = after
	for _, gone := range []span{before.now, before.old} {
		if gone != after.old {
			s.release(gone)
		}
	}
	return nil
}

// point switches a ring over, by one store.
func (b *Balancer) point(id dataplane.RingID, now span) {
	word := (*uint64)(unsafe.Pointer(&b.rings[id].Offset))
	atomic.StoreUint64(word, uint64(now.offset)|uint64(now.ringSize())<<32)
}
