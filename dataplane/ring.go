package dataplane

// Slot is one place in a ring. The rules that use it are in DESIGN.md's table
// "State only where the ring has moved": bpf/pick.h and testenv/model.
type Slot struct {
	// Current is the backend of new flows; 0 = no backend.
	Current BackendID
	// Settled is the backend of flows from before the last change; equal
	// to Current where nothing moved. SettledInOld: look in the old ring.
	Settled BackendID
	// Ask is set while flows of this slot may belong to two backends: the
	// flow table is asked first and remembers.
	Ask bool
}

// SettledInOld in Slot.Settled says that the ring changed its size and the
// settled backend is found through the same hash in Ring.Old.
const SettledInOld BackendID = 1<<31 - 1

// Ring is a lookup table of a pool. It is immutable once published: a change
// is a new Ring.
type Ring struct {
	Slots []Slot
	// Old is the ring before the last change of size, while its flows may
	// live; nil otherwise. Rings do not chain further than one Old.
	Old []Slot
}

// Index returns the slot of a flow hash in a ring of n slots. It scales the
// upper 32 bits of the hash instead of dividing.
func Index(hash uint64, n int) int {
	return int((hash >> 32) * uint64(n) >> 32)
}

// SettledOf returns the backend that flows of hash lived on before the last
// change: an Ask slot's Settled, any other slot's Current.
func (r *Ring) SettledOf(hash uint64) BackendID {
	s := r.Slots[Index(hash, len(r.Slots))]
	if !s.Ask {
		return s.Current
	}
	if s.Settled != SettledInOld {
		return s.Settled
	}
	if len(r.Old) == 0 {
		return 0
	}
	old := r.Old[Index(hash, len(r.Old))]
	if old.Ask {
		return old.Settled
	}
	return old.Current
}
