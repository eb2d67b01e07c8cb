package maglev

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"steelyard/dataplane"
)

// entries returns n entries 10.0.0.0:80, 10.0.0.1:80 ... with IDs from 1.
func entries(n int, weight func(i int) int) []Entry {
	list := make([]Entry, n)
	for i := range list {
		list[i] = Entry{
			Name:   fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255),
			ID:     dataplane.BackendID(i + 1),
			Weight: weight(i),
		}
	}
	return list
}

func one(int) int { return 1 }

// entries6 returns n entries with IPv6 names.
func entries6(n int, weight func(i int) int) []Entry {
	list := entries(n, weight)
	for i := range list {
		list[i].Name = fmt.Sprintf("[2001:db8::%x]:8443", i+1)
	}
	return list
}

func slotsOf(ring []dataplane.BackendID) map[dataplane.BackendID]int {
	n := map[dataplane.BackendID]int{}
	for _, id := range ring {
		n[id]++
	}
	return n
}

func digest(ring []dataplane.BackendID) string {
	h := sha256.New()
	for _, id := range ring {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], uint32(id))
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// The layouts are for ever: a change here moves flows on every upgrade and
// between two boxes of different versions.
func TestGoldenSmall(t *testing.T) {
	got := fmt.Sprint(Build(Seed("web"), 31, []Entry{
		{Name: "192.0.2.1:80", ID: 1, Weight: 1},
		{Name: "192.0.2.2:80", ID: 2, Weight: 2},
		{Name: "[2001:db8::3]:80", ID: 3, Weight: 3},
		{Name: "192.0.2.4:80", ID: 4, Weight: 0},
	}))
	const want = "[1 3 3 3 2 3 1 3 3 3 2 2 1 3 3 3 2 2 1 3 3 3 2 2 3 2 3 3 2 2 1]"
	if got != want {
		t.Errorf("layout changed:\n got %s\nwant %s", got, want)
	}
}

func TestGoldenLarge(t *testing.T) {
	for _, c := range []struct {
		name    string
		seed    uint64
		size    int
		entries []Entry
		want    string
	}{
		{"1 backend", Seed("a"), 1021, entries(1, one), "8b1b3a0e85b8e7cf"},
		{"10 backends", Seed("web"), 1021, entries(10, one), "efb6489256c3e35c"},
		{"seed 0", 0, 1021, entries(10, one), "fb668d1cb9f5f9c7"},
		{"40 weighted", Seed("web"), 4093, entries(40, func(i int) int { return 1 + i%7 }), "0c9ea2eb3d7167a5"},
		{"IPv6", Seed("dns"), 16381, entries6(120, one), "3438eeecad4d5e42"},
		{"IPv6 weighted", Seed("dns"), 16381, entries6(120, func(i int) int { return i * 13 % 101 }), "2e4e068938e292c4"},
		{"1,000 backends", Seed("web"), 65537, entries(1000, one), "773cc15a2b432bfd"},
		{"4,000 backends", Seed("web"), 655373, entries(4000, one), "4b8df140eac99806"},
		{"4,000 weighted", Seed("web"), 655373, entries(4000, func(i int) int { return 1 + i*i%997 }), "50c3058f88e48858"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := digest(Build(c.seed, c.size, c.entries)); got != c.want {
				t.Errorf("layout changed: digest %s, want %s", got, c.want)
			}
		})
	}
}

func TestSeed(t *testing.T) {
	if got := Seed("web"); got != 0x3becb59c8f89d3a7 {
		t.Errorf("Seed(web) = %#x: it must never change", got)
	}
	if Seed("web") == Seed("dns") || Seed("") == 0 {
		t.Error("seeds do not differ")
	}
}

func TestSize(t *testing.T) {
	for _, c := range []struct {
		name           string
		backends, want int
	}{
		{"none", 0, 1021}, {"one", 1, 1021}, {"last of the first", 10, 1021}, {"first of the second", 11, 4093},
		{"40", 40, 4093}, {"41", 41, 16381}, {"163", 163, 16381}, {"164", 164, 65537}, {"655", 655, 65537},
		{"656", 656, 262139}, {"2621", 2621, 262139}, {"2622", 2622, 655373}, {"6553", 6553, 655373}, {"beyond", 20000, 655373},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Size(c.backends); got != c.want {
				t.Errorf("Size(%d) = %d, want %d", c.backends, got, c.want)
			}
		})
	}
	for _, size := range tableSizes {
		for d := 2; d*d <= size; d++ {
			if size%d == 0 {
				t.Errorf("size %d is no prime: divisible by %d", size, d)
			}
		}
	}
}

func TestBuildNobody(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []Entry
	}{
		{"no entries", nil},
		{"all drained", entries(3, func(int) int { return 0 })},
		{"negative weight", entries(3, func(int) int { return -1 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			ring := Build(1, 1021, c.entries)
			if len(ring) != 1021 || slotsOf(ring)[0] != 1021 {
				t.Errorf("ring of nobody has %d slots, %d of them empty", len(ring), slotsOf(ring)[0])
			}
		})
	}
}

// drawEntries draws entries with distinct names in random order.
func drawEntries(t *rapid.T, limit int) []Entry {
	names := rapid.SliceOfNDistinct(rapid.IntRange(0, 1<<20), 1, limit, rapid.ID).Draw(t, "names")
	style := rapid.SampledFrom([]int{1, 10, 1000, 1<<31 - 1}).Draw(t, "heaviest")
	list := make([]Entry, len(names))
	for i, n := range names {
		list[i] = Entry{
			Name:   fmt.Sprintf("[2001:db8::%x]:443", n),
			ID:     dataplane.BackendID(i + 1),
			Weight: rapid.IntRange(0, style).Draw(t, "weight"),
		}
	}
	return list
}

// The bound that Build states: ideal share rounded down or up. Hence the
// relative error is below 1 slot / ideal share, that is at most 1 % wherever
// the ideal share is 100 slots or more.
func TestShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := drawEntries(t, 30)
		size := rapid.SampledFrom([]int{31, 1021, 4093}).Draw(t, "size")
		got := slotsOf(Build(rapid.Uint64().Draw(t, "seed"), size, list))
		var total int
		for _, e := range list {
			total += e.Weight
		}
		if total == 0 {
			return
		}
		for _, e := range list {
			floor := size * e.Weight / total
			if n := got[e.ID]; n < floor || n > floor+1 || n > 0 && e.Weight == 0 {
				t.Errorf("weight %d of %d got %d of %d slots, ideal %d and a fraction", e.Weight, total, n, size, floor)
			}
		}
	})
}

func TestShareErrorEqualWeights(t *testing.T) {
	for n := 1; n <= 300; n++ {
		size := Size(n)
		for id, got := range slotsOf(Build(Seed("web"), size, entries(n, one))) {
			if ideal := float64(size) / float64(n); float64(got) > ideal*1.01 || float64(got) < ideal*0.99 {
				t.Errorf("backend %d of %d got %d of %d slots", id, n, got, size)
			}
		}
	}
}

// Layout depends on names, not on the order of entries or on their IDs.
func TestOrderAndIDsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := drawEntries(t, 30)
		seed := rapid.Uint64().Draw(t, "seed")
		shuffled := slices.Clone(list)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(list), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		for i := range shuffled {
			shuffled[i].ID += 5000
		}
		a, b := Build(seed, 1021, list), Build(seed, 1021, shuffled)
		for i := range a {
			if a[i] != 0 && a[i]+5000 != b[i] || a[i] == 0 && b[i] != 0 {
				t.Fatalf("slot %d: %d in one order, %d in another", i, a[i], b[i])
			}
		}
	})
}

// Scaling all weights alike moves nothing.
func TestScaledWeights(t *testing.T) {
	weight := func(i int) int { return 1 + i%5 }
	a := Build(1, 4093, entries(30, weight))
	b := Build(1, 4093, entries(30, func(i int) int { return 1000 * weight(i) }))
	if !slices.Equal(a, b) {
		t.Error("weights times 1000 gave another layout")
	}
}
