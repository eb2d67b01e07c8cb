package reconcile

import (
	"cmp"
	"maps"
	"slices"
)

// table is what one table of the packet path is known to hold.
type table[K comparable, V comparable] map[K]V

// puts returns the entries of want that are missing or different.
func (t table[K, V]) puts(want map[K]V) map[K]V {
	put := make(map[K]V)
	for k, v := range want {
		if have, ok := t[k]; !ok || have != v {
			put[k] = v
		}
	}
	return put
}

// deletes returns the keys that want does not have.
func (t table[K, V]) deletes(want map[K]V) []K {
	var gone []K
	for k := range t {
		if _, ok := want[k]; !ok {
			gone = append(gone, k)
		}
	}
	return gone
}

// put writes the difference. After an error it is not known what was written:
// the entries count as present with another value, so that they are written
// again, or deleted if they are not wanted any more.
func (t table[K, V]) put(want map[K]V, write func(map[K]V) error) (int, error) {
	put := t.puts(want)
	if len(put) == 0 {
		return 0, nil
	}
	err := write(put)
	for k, v := range put {
		if err != nil {
			var unknown V
			v = unknown
		}
		t[k] = v
	}
	return len(put), err
}

// remove deletes what is not wanted.
func (t table[K, V]) remove(want map[K]V, erase func([]K) error) (int, error) {
	gone := t.deletes(want)
	if len(gone) == 0 {
		return 0, nil
	}
	if err := erase(gone); err != nil {
		return 0, err
	}
	for _, k := range gone {
		delete(t, k)
	}
	return len(gone), nil
}

// sortedKeys makes the order of writes the same in every run.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
