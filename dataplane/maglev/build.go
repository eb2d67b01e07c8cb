package maglev

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"steelyard/dataplane"
)

// Entry is one backend that wants a share of a ring.
type Entry struct {
	// Name is the backend's address:port text; no two entries of a ring
	// share one. Name and Weight decide the layout.
	Name string
	// ID is what the ring holds; it has no say in the layout, so that two
	// boxes that number backends differently agree.
	ID dataplane.BackendID
	// Weight is the share in relation to the others', below 2^31. 0 (or
	// less) gets no slots.
	Weight int
}

// Seed returns the seed of a pool's ring. It depends on the name alone and is
// the same in every version: a different seed would move every flow.
func Seed(pool string) uint64 {
	sum := sha256.Sum256([]byte("steelyard maglev pool\x00" + pool))
	return binary.LittleEndian.Uint64(sum[:8])
}

// Build lays out a ring of size slots, a prime: each slot holds the ID of its
// backend. The number of slots an entry gets is its ideal share rounded down
// or up. The layout depends on seed, size and the entries' names and weights,
// not on their order or IDs. Without an entry of positive weight all slots
// are 0.
func Build(seed uint64, size int, entries []Entry) []dataplane.BackendID {
	ring := make([]dataplane.BackendID, size)
	if turns := newTurns(seed, size, entries); len(turns) > 0 {
		fill(ring, turns)
	}
	return ring
}

// turn is one entry while the ring is being filled. It is kept small: with
// thousands of entries the whole array is walked over and over.
type turn struct {
	id   dataplane.BackendID
	pos  uint32 // next slot of the entry's permutation
	skip uint32 // distance to the one after it
	left uint32 // slots it is still to get
	// credit and pace are 32.32 fixed point: probes saved up, and probes
	// earned per round.
	credit uint64
	pace   uint64
}

// keyed is a turn with what it is worked out from.
type keyed struct {
	order  uint64 // place among the entries
	name   string // decides between equal places
	weight uint64
	turn   turn
}

// newTurns gives each entry its permutation (offset and skip, NSDI 2016,
// section 3.4), its quota and its pace, in an order that only names decide.
func newTurns(seed uint64, size int, entries []Entry) []turn {
	all := make([]keyed, 0, len(entries))
	var total, divisor uint64
	for i := range entries {
		e := &entries[i]
		if e.Weight <= 0 {
			continue
		}
		total += uint64(e.Weight)
		divisor = gcd(divisor, uint64(e.Weight))
		offset, skip, order := permutation(seed, size, e.Name)
		all = append(all, keyed{
			order: order, name: e.Name, weight: uint64(e.Weight),
			turn: turn{id: e.ID, pos: offset, skip: skip},
		})
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.name, b.name))
	})

	shareOut(all, uint64(size), total)
	shift := paceShift(total, divisor, len(all))
	for i := range all {
		all[i].turn.pace = all[i].weight / divisor << shift
	}
	turns := make([]turn, len(all))
	for i := range all {
		turns[i] = all[i].turn
	}
	return turns
}

// shareOut sets the quotas: the ideal shares rounded down, and the slots that
// leaves over to those who lost most by the rounding.
func shareOut(all []keyed, size, total uint64) {
	byRest := make([]*keyed, len(all))
	spare := size
	for i := range all {
		k := &all[i]
		share := size * k.weight / total
		k.turn.left = uint32(share)
		spare -= share
		byRest[i] = k
	}
	rest := func(k *keyed) uint64 { return size * k.weight % total }
	slices.SortStableFunc(byRest, func(a, b *keyed) int { return cmp.Compare(rest(b), rest(a)) })
	for _, k := range byRest[:spare] {
		k.turn.left++
	}
}

// paceShift returns the shift that turns a weight, divided by the weights'
// common divisor, into a pace: one to two probes per round on average. A power
// of two keeps the relative times of all probes when an entry comes or goes.
func paceShift(total, divisor uint64, entries int) int {
	return 32 + 1 - bits.Len64(total/divisor/uint64(entries))
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// permutation derives an entry's walk over the ring, and its place among the
// entries, from its name.
func permutation(seed uint64, size int, name string) (offset, skip uint32, order uint64) {
	buf := make([]byte, 8, 64)
	binary.LittleEndian.PutUint64(buf, seed)
	sum := sha256.Sum256(append(buf, name...))
	offset = uint32(binary.LittleEndian.Uint64(sum[0:]) % uint64(size))
	skip = uint32(binary.LittleEndian.Uint64(sum[8:])%uint64(size-1)) + 1
	return offset, skip, binary.LittleEndian.Uint64(sum[16:])
}

// fill hands out the slots. Entries probe in rounds: at each probe an entry
// takes the next slot of its permutation if that is free, and moves on either
// way, until it has its quota. In the Maglev paper an entry searches until it
// finds a free slot; then one entry's absence shifts the moment at which
// all others reach every later slot. With probes those moments do not depend
// on the others, and about half as many slots of remaining entries move.
func fill(ring []dataplane.BackendID, turns []turn) {
	f := filling{ring: ring, taken: make([]uint64, (len(ring)+63)/64), left: uint32(len(ring))}
	for f.left > uint32(len(ring)/tailDivisor) {
		for i := range turns {
			f.probe(&turns[i])
		}
	}
	for f.left > 0 {
		for i := range turns {
			f.search(&turns[i])
		}
	}
}

// tailDivisor ends the probing when 1/64 of the ring is left. Probes for the
// last slots nearly always miss: going on to the end doubles the time and more
// and spares hardly any move.
const tailDivisor = 64

// filling is a ring that is being filled.
type filling struct {
	ring  []dataplane.BackendID
	taken []uint64 // one bit per slot: small enough to stay in cache
	left  uint32   // free slots
}

// probe gives an entry the probes it earns in one round.
func (f *filling) probe(t *turn) {
	if t.left == 0 {
		return
	}
	t.credit += t.pace
	n := uint32(t.credit >> 32)
	t.credit &= 1<<32 - 1
	size, pos := uint32(len(f.ring)), t.pos
	for ; n > 0 && t.left > 0; n-- {
		if f.taken[pos>>6]&(1<<(pos&63)) == 0 {
			f.take(t, pos)
		}
		if pos += t.skip; pos >= size {
			pos -= size
		}
	}
	t.pos = pos
}

// search gives an entry that lacks slots the next free one.
func (f *filling) search(t *turn) {
	if t.left == 0 {
		return
	}
	size, pos := uint32(len(f.ring)), t.pos
	for f.taken[pos>>6]&(1<<(pos&63)) != 0 {
		if pos += t.skip; pos >= size {
			pos -= size
		}
	}
	f.take(t, pos)
	t.pos = pos
}

func (f *filling) take(t *turn, pos uint32) {
	f.taken[pos>>6] |= 1 << (pos & 63)
	f.ring[pos] = t.id
	f.left--
	t.left--
}
