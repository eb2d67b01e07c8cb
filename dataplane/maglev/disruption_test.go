package maglev

import (
	"fmt"
	"slices"
	"testing"
)

// leave returns the share of slots that change when entry k leaves, and checks
// that its return restores the ring.
func leave(t *testing.T, seed uint64, size int, list []Entry, k int) float64 {
	t.Helper()
	before := Build(seed, size, list)
	after := Build(seed, size, slices.Delete(slices.Clone(list), k, k+1))
	moved := 0
	for i := range before {
		if before[i] != after[i] {
			moved++
		}
		if after[i] == list[k].ID {
			t.Fatalf("slot %d still belongs to the entry that left", i)
		}
	}
	return float64(moved) / float64(size)
}

// TestDisruption holds the published bound: when one of n leaves, 1/n of the
// slots and at most 2 % more change, at the size the product uses.
func TestDisruption(t *testing.T) {
	var worst, sum float64
	var at string
	var count int
	for n := 2; n <= 300; n += 1 + n/100 {
		list := entries(n, one)
		step := 1
		if n > 40 {
			step = n - 1 // rings of 16,381 slots and more: two leavers each
		}
		for k := 0; k < n; k += step {
			extra := leave(t, Seed("web"), Size(n), list, k) - 1/float64(n)
			sum += extra
			count++
			if extra > worst {
				worst, at = extra, fmt.Sprintf("%d of %d", k, n)
			}
			if extra > 0.02 {
				t.Errorf("%d of %d leaves: 1/n + %.2f %% of slots changed", k, n, 100*extra)
			}
		}
	}
	t.Logf("beyond 1/n: mean %.2f %%, worst %.2f %% (%s)", 100*sum/float64(count), 100*worst, at)
}

// With unequal weights the leaver's share is what has to change; beyond it about
// as much changes on average as with equal ones, but a single case may reach 4 %.
func TestDisruptionWeighted(t *testing.T) {
	var worst, sum float64
	var count int
	for n := 2; n <= 120; n += 1 + n/30 {
		list := entries(n, func(i int) int { return 1 + (i*7919+n*31)%100 })
		var total int
		for _, e := range list {
			total += e.Weight
		}
		for k := 0; k < n; k += 1 + n/20 {
			extra := leave(t, Seed("web"), Size(n), list, k) - float64(list[k].Weight)/float64(total)
			sum += extra
			count++
			worst = max(worst, extra)
			if extra > 0.04 {
				t.Errorf("%d of %d leaves: its share + %.2f %% of slots changed", k, n, 100*extra)
			}
		}
	}
	if mean := sum / float64(count); mean > 0.01 {
		t.Errorf("beyond the share %.2f %% of slots changed on average", 100*mean)
	}
	t.Logf("beyond the share: mean %.2f %%, worst %.2f %%", 100*sum/float64(count), 100*worst)
}

// A backend that leaves and comes back finds the ring it left: the layout has
// no history.
func TestComeBack(t *testing.T) {
	list := entries(25, func(i int) int { return 1 + i%3 })
	before := Build(3, 4093, list)
	rest := slices.Delete(slices.Clone(list), 7, 8)
	Build(3, 4093, rest)
	if !slices.Equal(before, Build(3, 4093, append(rest, list[7]))) {
		t.Error("adding the backend back gave another ring")
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, c := range []struct {
		name    string
		n, size int
		weight  func(int) int
	}{
		{"10x1021", 10, 1021, one},
		{"1000x65537", 1000, 65537, one},
		{"4000x655373", 4000, 655373, one},
		{"4000x655373/weighted", 4000, 655373, func(i int) int { return 1 + i*i%997 }},
		{"4000x655373/few-heavy", 4000, 655373, func(i int) int { return 1 + i%400/399*12000 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			list := entries(c.n, c.weight)
			for b.Loop() {
				Build(7, c.size, list)
			}
		})
	}
}
