package reconcile

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProblemsShowInStatusAndGoAway(t *testing.T) {
	var log bytes.Buffer
	w := start(t, web)
	w.rec.log = slog.New(slog.NewTextHandler(&log, nil))
	w.path.fails = func(call string) bool { return call == "PutRoutes" || call == "DeleteVIPs" }
	w.around.set(machine("link 2 eth0 203.0.113.2/24\nlink 3 eth1\nnext 0.0.0.0/0 by 3"))
	w.store.Replace(want("interface wan eth0\ninterface lan eth1\ninterface dmz eth2"))
	for range 3 {
		w.step()
		w.wantProblems(t, "interface dmz: no device eth2", "PutRoutes: injected failure", "DeleteVIPs: injected failure")
	}
	if got := strings.Count(log.String(), "cannot reach the desired state"); got != 3 {
		t.Errorf("%d warnings, want one for each problem:\n%s", got, log.String())
	}
	w.path.fails = nil
	w.store.Replace(want("interface wan eth0\ninterface lan eth1"))
	w.step()
	w.wantProblems(t)
	if !strings.Contains(log.String(), "desired state reached") {
		t.Errorf("no word of success:\n%s", log.String())
	}
}

func TestManyFailuresOfOneKindAreCounted(t *testing.T) {
	w := newWorld(t.Errorf)
	w.around.set(machine(gateway))
	w.path.fails = func(call string) bool { return call == "ResetBackendCount" }
	w.store.Replace(want(`
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		pool web 10.0.0.1:80 10.0.0.1:81 10.0.0.1:82 10.0.0.1:83 10.0.0.1:84 10.0.0.1:85 10.0.0.1:86
		service web 203.0.113.10 80/tcp web`))
	w.step()
	got := w.rec.Status().Problems
	if len(got) != fewErrors+1 || got[fewErrors] != "and 2 more like these" {
		t.Errorf("problems %q", got)
	}
}

func TestFailedStepsAreTriedAgainLessAndLessOften(t *testing.T) {
	w := start(t, web)
	w.path.fails = func(call string) bool { return call == "PutRoutes" }
	w.around.set(machine(gateway + "next 192.0.2.0/24 by 2"))
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		if wait := w.step(); wait > want*time.Second {
			t.Errorf("failure %d: wait %v", i, wait)
		}
		if got := w.rec.retry.at.Sub(w.now); got != want*time.Second {
			t.Errorf("failure %d: tried again after %v, want %d s", i, got, want)
		}
		w.setTime(w.rec.retry.at)
	}
	w.path.fails = nil
	if w.step(); w.rec.retry != (retry{}) {
		t.Errorf("%+v after a success", w.rec.retry)
	}
}

func TestChangesDoNotMakeRetriesRare(t *testing.T) {
	w := start(t, web)
	w.path.fails = func(call string) bool { return call == "PutRoutes" }
	w.around.set(machine(gateway + "next 192.0.2.0/24 by 2"))
	for range 20 { // events one after the other
		w.setTime(w.now.Add(10 * time.Millisecond))
		if wait := w.step(); wait > retryFirst {
			t.Fatalf("wait %v", wait)
		}
	}
	for range 10 { // time alone
		w.setTime(w.now.Add(w.step()))
	}
	if wait := w.step(); wait <= retryFirst {
		t.Fatalf("wait %v after many failures", wait)
	}
	w.store.Replace(want(web))
	if wait := w.step(); wait != retryFirst {
		t.Errorf("wait %v for another config, want %v", wait, retryFirst)
	}
}

// running starts Run, and stops it when the test ends.
func running(t *testing.T, w *world) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.rec.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRunFollowsTheConfigAndTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Errorf)
		stop := running(t, w)
		defer stop()
		synctest.Wait()
		if s := w.rec.Status(); s.Revision != 0 {
			t.Errorf("status %+v without a config", s)
		}
		w.around.set(machine(gateway))
		synctest.Wait()
		w.store.Replace(want(web))
		synctest.Wait()
		if s := w.rec.Status(); s.Revision != 1 || len(s.Services) != 1 || len(s.Problems) > 0 {
			t.Errorf("status %+v after a config", s)
		}
		w.around.set(machine("link 3 eth1"))
		synctest.Wait()
		if s := w.rec.Status(); len(s.Problems) != 2 {
			t.Errorf("problems %q without the device", s.Problems)
		}
		w.around.set(machine(gateway))
		synctest.Wait()
		if s := w.rec.Status(); len(s.Problems) > 0 {
			t.Errorf("problems %q with the device", s.Problems)
		}
	})
}

func TestRunRetriesByItselfAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Errorf)
		var mu sync.Mutex
		failures := 3
		w.path.fails = func(call string) bool {
			mu.Lock()
			defer mu.Unlock()
			if call == "PutServices" && failures > 0 {
				failures--
				return true
			}
			return false
		}
		w.around.set(machine(gateway))
		w.store.Replace(want(web))
		stop := running(t, w)
		synctest.Wait()
		if s := w.rec.Status(); s.Revision != 0 || !slices.Contains(s.Problems, "PutServices: injected failure") {
			t.Errorf("status %+v while it fails", s)
		}
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		if s := w.rec.Status(); s.Revision != 1 || len(s.Problems) > 0 {
			t.Errorf("status %+v after the retries", s)
		}
		stop()
		if len(w.path.services) != 1 || len(w.claims()) != 1 || len(w.path.attached) != 2 {
			t.Error("the end of Run changed the packet path")
		}
	})
}

func TestStatusMayBeReadAtAnyTime(t *testing.T) {
	w := newWorld(t.Errorf)
	w.around.set(machine(gateway))
	stop := running(t, w)
	defer stop()
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 200 {
				for _, s := range w.rec.Status().Services {
					_ = s.Backends[0].Next
				}
			}
		})
	}
	for i := range 50 {
		if i%2 == 0 {
			w.store.Replace(want(web))
		} else {
			w.store.Replace(want(webOne))
		}
		w.around.set(machine(gateway))
	}
	readers.Wait()
}

func TestStatusListsServicesInOrder(t *testing.T) {
	w := start(t, `
		interface wan eth0
		interface lan eth1
		vip 203.0.113.9
		vip 203.0.113.10
		pool web 10.0.0.1:80
		service web 203.0.113.9,203.0.113.10 80/tcp,443/tcp,443/udp web
		service app 203.0.113.10 9/tcp web`)
	var got []string
	for _, s := range w.rec.Status().Services {
		got = append(got, s.Name+" "+s.Key.String()+" "+s.Backends[0].Name)
	}
	want := []string{
		"app 203.0.113.10:9/tcp 10.0.0.1:80",
		"web 203.0.113.9:80/tcp 10.0.0.1:80", "web 203.0.113.9:443/tcp 10.0.0.1:80", "web 203.0.113.9:443/udp 10.0.0.1:80",
		"web 203.0.113.10:80/tcp 10.0.0.1:80", "web 203.0.113.10:443/tcp 10.0.0.1:80", "web 203.0.113.10:443/udp 10.0.0.1:80",
	}
	if !slices.Equal(got, want) {
		t.Errorf("services %q, want %q", got, want)
	}
}
