package announce

import (
	"container/heap"
	"time"
)

// notQueued is entry.index while the entry is in no queue.
const notQueued = -1

// entry is one VIP. Guarded by Announcer.mu.
type entry struct {
	addr  Address
	left  int       // announcements of the burst still to come
	due   time.Time // valid iff index >= 0
	index int       // place in the queue

	backoff  time.Duration // valid iff lastErr != nil
	sent     uint64
	failed   uint64
	lastSent time.Time
	lastErr  error
}

// queue is a heap of entries, the earliest due first.
type queue []*entry

// put adds e, or moves it, to be due at the given time.
func (q *queue) put(e *entry, due time.Time) {
	e.due = due
	if e.index == notQueued {
		heap.Push(q, e)
		return
	}
	heap.Fix(q, e.index)
}

// remove takes e out; it does nothing where e is not in the queue.
func (q *queue) remove(e *entry) {
	if e.index != notQueued {
		heap.Remove(q, e.index)
	}
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.index = notQueued
	return e
}
