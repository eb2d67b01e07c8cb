package reconcile

// ids gives dense numbers, from 1, to keys. A key that is dropped gives up its
// number for good: if it comes back it gets a new one, so that what the flow
// table remembers of its former life does not match. A number is given out
// again only after release found that nothing names it any more.
type ids[K comparable, ID ~uint32] struct {
	byKey   map[K]ID
	retired map[ID]struct{}
	free    []ID
	last    ID
}

func newIDs[K comparable, ID ~uint32]() *ids[K, ID] {
	return &ids[K, ID]{byKey: make(map[K]ID), retired: make(map[ID]struct{})}
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
			s.retired[id] = struct{}{}
		}
	}
}

// release frees the retired numbers that nothing names.
func (s *ids[K, ID]) release(named func(ID) bool) {
	for id := range s.retired {
		if !named(id) {
			delete(s.retired, id)
			s.free = append(s.free, id)
		}
	}
}
