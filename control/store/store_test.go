package store

import (
	"sync"
	"testing"

	"steelyard/control/model"
)

func TestReplaceCountsRevisions(t *testing.T) {
	var s Store
	if s.Current() != nil {
		t.Fatal("a new store is not empty")
	}
	for want := uint64(1); want <= 3; want++ {
		given := &model.Snapshot{Node: "gw"}
		got := s.Replace(given)
		if got.Revision != want || s.Current() != got || given.Revision != 0 {
			t.Errorf("replace %d: revision %d, given %d", want, got.Revision, given.Revision)
		}
	}
}

func TestWatchMergesChanges(t *testing.T) {
	var s Store
	changed, stop := s.Watch()
	s.Replace(&model.Snapshot{})
	s.Replace(&model.Snapshot{})
	<-changed
	select {
	case <-changed:
		t.Error("two changes that were not waited for gave two signals")
	default:
	}
	stop()
	s.Replace(&model.Snapshot{})
	select {
	case <-changed:
		t.Error("a signal after the watch ended")
	default:
	}
}

func TestConcurrentReplaceLosesNoRevision(t *testing.T) {
	var s Store
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { s.Replace(&model.Snapshot{}) })
	}
	wg.Wait()
	if got := s.Current().Revision; got != 50 {
		t.Errorf("revision %d after 50 changes", got)
	}
}
