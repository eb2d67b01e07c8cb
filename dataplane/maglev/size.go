package maglev

// tableSizes are the ring sizes in use: primes about a factor of four apart.
// Far apart, because a change of size moves every slot; primes, because a
// permutation by offset and skip reaches every slot only if the skip has no
// factor in common with the size.
var tableSizes = [...]int{1021, 4093, 16381, 65537, 262139, 655373}

// Size returns the number of slots for a pool with so many configured
// backends: the smallest table of at least 100 slots each, which keeps the
// share error below 1 %, and at most 655,373 slots. It depends on nothing else,
// so that boxes with different histories agree. Callers pass the number of
// configured backends, not of living ones: health must not change the size.
func Size(backends int) int {
	for _, size := range tableSizes {
		if size >= 100*backends {
			return size
		}
	}
	return tableSizes[len(tableSizes)-1]
}
