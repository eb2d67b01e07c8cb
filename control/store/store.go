// Package store holds the desired state that is in force. It is the only
// writer of it: readers get an immutable Snapshot and never wait.
package store

import (
	"sync"
	"sync/atomic"

	"steelyard/control/model"
)

// Store holds the current Snapshot. The zero value is empty and ready.
type Store struct {
	current atomic.Pointer[model.Snapshot]

	mu       sync.Mutex // serialises writers and guards watchers
	watchers map[chan struct{}]struct{}
}

// Current returns the snapshot in force, or nil before the first Replace.
func (s *Store) Current() *model.Snapshot { return s.current.Load() }

// Replace puts a snapshot in force and returns it with its revision, one above
// the last. snap itself is not changed.
func (s *Store) Replace(snap *model.Snapshot) *model.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *snap
	next.Revision = 1
	if last := s.current.Load(); last != nil {
		next.Revision = last.Revision + 1
	}
	s.current.Store(&next)
	for w := range s.watchers {
		select {
		case w <- struct{}{}:
		default: // it has a signal waiting, which covers this change too
		}
	}
	return &next
}

// Watch returns a channel that gets a value after each Replace, several of
// them merged into one, and a function that ends the watch.
func (s *Store) Watch() (<-chan struct{}, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan struct{}, 1)
	if s.watchers == nil {
		s.watchers = make(map[chan struct{}]struct{})
	}
	s.watchers[w] = struct{}{}
	return w, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, w)
	}
}
