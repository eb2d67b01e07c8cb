package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// table is what one table of the packet path is known to hold.
type table[K comparable, V comparable] struct {
	have map[K]V
	// doubt holds the keys whose last write or delete failed. Any part of
	// it may have happened, so they are written, or deleted, again.
	doubt map[K]struct{}
}

func newTable[K comparable, V comparable]() table[K, V] {
	return table[K, V]{have: make(map[K]V), doubt: make(map[K]struct{})}
}

// known returns what the packet path holds for a key; false where it holds
// nothing, or a write failed and nobody knows.
func (t table[K, V]) known(k K) (v V, ok bool) {
	if _, doubt := t.doubt[k]; doubt {
		return v, false
	}
	v, ok = t.have[k]
	return v, ok
}

// changes returns the entries of want that differ from what is there, and
// those that are not there.
func (t table[K, V]) changes(want map[K]V) (changed, added map[K]V) {
	changed, added = make(map[K]V), make(map[K]V)
	for k, v := range want {
		have, ok := t.have[k]
		_, doubt := t.doubt[k]
		switch {
		case !ok:
			added[k] = v
		case doubt || have != v:
			changed[k] = v
		}
	}
	return changed, added
}

// deletes returns the keys that want does not have.
func (t table[K, V]) deletes(want map[K]V) []K {
	var gone []K
	for k := range t.have {
		if _, ok := want[k]; !ok {
			gone = append(gone, k)
		}
	}
	for k := range t.doubt {
		_, listed := t.have[k]
		if _, ok := want[k]; !ok && !listed {
			gone = append(gone, k)
		}
	}
	return gone
}

// put writes the difference. What is there already is changed first: where
// there is no room for more, it follows its changes all the same.
func (t table[K, V]) put(want map[K]V, write func(map[K]V) error) (writes int, err error) {
	changed, added := t.changes(want)
	for _, batch := range []map[K]V{changed, added} {
		if len(batch) == 0 {
			continue
		}
		writes += len(batch)
		if err := write(batch); err != nil {
			t.suspect(maps.Keys(batch))
			return writes, err
		}
		for k, v := range batch {
			t.have[k] = v
			delete(t.doubt, k)
		}
	}
	return writes, nil
}

// putEach is put for tables that are written one entry at a time. An entry
// that fails does not stop the others.
func putEach[K cmp.Ordered, V comparable](t table[K, V], want map[K]V, write func(K, V) error) (writes int, err error) {
	changed, added := t.changes(want)
	var errs []error
	for _, batch := range []map[K]V{changed, added} {
		for _, k := range slices.Sorted(maps.Keys(batch)) {
			writes++
			if err := write(k, batch[k]); err != nil {
				t.doubt[k] = struct{}{}
				errs = append(errs, err)
				continue
			}
			t.have[k] = batch[k]
			delete(t.doubt, k)
		}
	}
	return writes, joinFew(errs)
}

// remove deletes what is not wanted.
func (t table[K, V]) remove(want map[K]V, erase func([]K) error) (int, error) {
	gone := t.deletes(want)
	if len(gone) == 0 {
		return 0, nil
	}
	if err := erase(gone); err != nil {
		t.suspect(slices.Values(gone))
		return len(gone), err
	}
	for _, k := range gone {
		delete(t.have, k)
		delete(t.doubt, k)
	}
	return len(gone), nil
}

func (t table[K, V]) suspect(keys func(func(K) bool)) {
	for k := range keys {
		t.doubt[k] = struct{}{}
	}
}

// fewErrors is how many failures of one kind are told one by one.
const fewErrors = 5

// joinFew joins errors; of many it names the first and counts the others.
func joinFew(errs []error) error {
	if more := len(errs) - fewErrors; more > 0 {
		errs = append(errs[:fewErrors:fewErrors], fmt.Errorf("and %d more like these", more))
	}
	return errors.Join(errs...)
}
