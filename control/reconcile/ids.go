package reconcile

import "time"

// ids gives dense numbers, from 1, to keys. A key that is dropped gives up its
// number for good: if it comes back it gets a new one, so that what the flow
// table remembers of its former life does not match. A number is given out
// again only after it has left the packet path's tables and a later scan of the
// flow table found nothing that names it.
type ids[K comparable, ID ~uint32] struct {
	byKey map[K]ID
	// retired holds when a number left the tables; the zero time means
	// that it may still be there.
	retired map[ID]time.Time
	free    []ID
	last    ID
}

func newIDs[K comparable, ID ~uint32]() *ids[K, ID] {
	return &ids[K, ID]{byKey: make(map[K]ID), retired: make(map[ID]time.Time)}
}

// get returns the key's number; fresh is true the first time.
func (s *ids[K, ID]) get(k K) (id ID, fresh bool) {
	if id, ok := s.byKey[k]; ok {
		return id, false
	}
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.last++
		id = s.last
	}
	s.byKey[k] = id
	return id, true
}

// keep drops every key that want does not hold.
func (s *ids[K, ID]) keep(want func(K) bool) {
	for k, id := range s.byKey {
		if !want(k) {
			delete(s.byKey, k)
			s.retired[id] = time.Time{}
		}
	}
}

// left notes that the packet path's tables hold no retired number any more.
func (s *ids[K, ID]) left(now time.Time) {
	for id, at := range s.retired {
		if at.IsZero() {
			s.retired[id] = now
		}
	}
}

// release frees the retired numbers that a scan of the flow table, begun at
// now, did not find. Those that left the tables just before it stay retired: a
// packet that was on its way may have remembered one since.
func (s *ids[K, ID]) release(now time.Time, named func(ID) bool) {
	for id, at := range s.retired {
		if !at.IsZero() && now.Sub(at) >= settleTime && !named(id) {
			delete(s.retired, id)
			s.free = append(s.free, id)
		}
	}
}
