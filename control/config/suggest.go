package config

import (
	"fmt"
	"iter"
	"strings"
)

// maxGuesses bounds the words compared for one file. Without it a file of
// thousands of names and thousands of misspellings would take minutes.
const maxGuesses = 200_000

// suggest returns `did you mean "x"?` for the candidate nearest to word, or ""
// if none is near. Of equally near ones it takes the first by alphabet.
func (r *report) suggest(word string, candidates iter.Seq[string]) string {
	best, bestAt := "", maxDistance(word)+1
	lower := strings.ToLower(word)
	for c := range candidates {
		if r.guesses == 0 {
			return ""
		}
		r.guesses--
		if c == word {
			continue
		}
		d := difference(lower, strings.ToLower(c), bestAt)
		if d < bestAt || d == bestAt && best != "" && c < best {
			best, bestAt = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// maxDistance is how many slips of the finger a word of this length may hold
// and still be recognised.
func maxDistance(word string) int {
	return min(1+len(word)/4, 3, max(len(word)-1, 0))
}

// difference is the distance of two words, but at most that of a slip where
// one is the start of the other, as in "warn" and "warning". Beyond limit it
// may be anything larger.
func difference(a, b string, limit int) int {
	if short := min(len(a), len(b)); short >= 3 && a[:short] == b[:short] {
		return min(maxDistance(a), abs(len(a)-len(b)))
	}
	if abs(len(a)-len(b)) > limit { // a lower bound
		return limit + 1
	}
	return distance(a, b)
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to get from a to b ("optimal string alignment").
func distance(a, b string) int {
	if len(a) > 2*maxQuoted || len(b) > 2*maxQuoted {
		return 2 * maxQuoted // nobody's name: not worth the product
	}
	before := make([]int, len(b)+1)
	above := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

func abs(n int) int { return max(n, -n) }
