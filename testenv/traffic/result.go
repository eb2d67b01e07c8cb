package traffic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Share is what one backend got.
type Share struct {
	Flows    int // source ports, or connections, that it answered first
	Messages int // datagrams, or lines, that it answered
}

// Move counts the times that a flow's answers changed from one backend to
// another.
type Move struct {
	From, To string
	Count    int
}

// Reason counts one kind of failure.
type Reason struct {
	What  string
	Count int
}

// Progress lets the caller watch a run. The zero value is ready; one Progress
// serves one run.
type Progress struct {
	sent, answered, failed atomic.Int64
}

// Counts is one reading of a Progress.
type Counts struct {
	Sent     int // datagrams or lines
	Answered int // as they should be
	Failed   int // everything else that has come to an end
}

// Counts returns what has happened so far.
func (p *Progress) Counts() Counts {
	// Sent is read last: it is never behind the others.
	c := Counts{Answered: int(p.answered.Load()), Failed: int(p.failed.Load())}
	c.Sent = int(p.sent.Load())
	return c
}

// tally gathers what one worker saw; tallies of workers are added up.
type tally struct {
	shares  map[string]*Share
	moves   map[[2]string]int
	reasons map[string]int
}

func newTally() tally {
	return tally{shares: map[string]*Share{}, moves: map[[2]string]int{}, reasons: map[string]int{}}
}

// share returns the entry of a backend. It takes bytes so that looking up
// costs no allocation.
func (t *tally) share(backend []byte) *Share {
	s := t.shares[string(backend)]
	if s == nil {
		s = &Share{}
		t.shares[string(backend)] = s
	}
	return s
}

func (t *tally) add(o tally) {
	for name, s := range o.shares {
		sum := t.share([]byte(name))
		sum.Flows += s.Flows
		sum.Messages += s.Messages
	}
	for k, n := range o.moves {
		t.moves[k] += n
	}
	for k, n := range o.reasons {
		t.reasons[k] += n
	}
}

func (t *tally) backends() map[string]Share {
	out := map[string]Share{}
	for name, s := range t.shares {
		out[name] = *s
	}
	return out
}

// moveList is sorted by name.
func (t *tally) moveList() []Move {
	var out []Move
	for k, n := range t.moves {
		out = append(out, Move{From: k[0], To: k[1], Count: n})
	}
	slices.SortFunc(out, func(a, b Move) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return out
}

// reasonList is sorted by text.
func (t *tally) reasonList() []Reason {
	var out []Reason
	for _, what := range slices.Sorted(maps.Keys(t.reasons)) {
		out = append(out, Reason{What: what, Count: t.reasons[what]})
	}
	return out
}

// cause is the part of a socket error that does not name addresses, so that
// equal failures of different flows count together.
func cause(err error) string {
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}

// defaultWait is how long an answer may take, where the plan does not say.
const defaultWait = time.Second

// fileReserve is how many open files a process needs beside its flows.
const fileReserve = 256

// allowFiles makes sure that the process may have n more sockets.
func allowFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read limit of open files: %w", err)
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("count open files: %w", err)
	}
	need := uint64(len(open) + n + fileReserve)
	if limit.Cur >= need {
		return nil
	}
	raised := syscall.Rlimit{Cur: need, Max: max(need, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return fmt.Errorf("raise limit of open files from %d to %d: %w", limit.Cur, need, err)
	}
	return nil
}
