package announce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

var testTiming = model.Announce{Burst: 5, Spacing: 1100 * time.Millisecond, Refresh: time.Minute}

type sent struct {
	after time.Duration // since the wire was made
	addr  Address
}

// wire stands for the links: it keeps what was announced and fails on demand.
type wire struct {
	start time.Time
	mu    sync.Mutex
	log   []sent
	fail  error
}

func (w *wire) Announce(_ context.Context, ifindex uint32, mac dataplane.MAC, addr netip.Addr) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	w.log = append(w.log, sent{time.Since(w.start), Address{addr, ifindex, mac}})
	return nil
}

func (w *wire) setFail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

// take returns what was announced since the last take.
func (w *wire) take() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// run runs test in fake time beside a running Announcer, and waits for that to
// end: a goroutine left behind fails the test.
func run(t *testing.T, timing model.Announce, opts Options, test func(*testing.T, *Announcer, *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{start: time.Now()}
		a := New(w, timing, opts)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		test(t, a, w)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

// pass lets d go by and all work that falls due in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func vip(n int) Address {
	return Address{
		Addr:    netip.AddrFrom4([4]byte{203, 0, byte(n >> 8), byte(n)}),
		Ifindex: 2,
		MAC:     dataplane.MAC{2, 0, 0, 0, 0, 1},
	}
}

func TestBurstAndRefresh(t *testing.T) {
	run(t, testTiming, Options{}, func(t *testing.T, a *Announcer, w *wire) {
		pass(time.Second)
		a.Set([]Address{vip(1)})
		pass(20 * time.Second)
		got := w.take()
		if len(got) != testTiming.Burst {
			t.Fatalf("burst of %d announcements, want %d: %v", len(got), testTiming.Burst, got)
		}
		for i, s := range got {
			if want := time.Second + time.Duration(i)*testTiming.Spacing; s.after != want || s.addr != vip(1) {
				t.Errorf("announcement %d: %v at %v, want %v at %v", i, s.addr, s.after, vip(1), want)
			}
		}
		last := got[len(got)-1].after
		pass(10 * time.Minute)
		got = w.take()
		if len(got) < 9 || len(got) > 12 {
			t.Errorf("%d refreshes in 10 minutes", len(got))
		}
		for _, s := range got {
			if gap := s.after - last; gap < 54*time.Second || gap > 66*time.Second {
				t.Errorf("refresh after %v, want 60s within 10 %%", gap)
			}
			last = s.after
		}
	})
}

func TestRefreshZeroIsNever(t *testing.T) {
	run(t, model.Announce{Burst: 2, Spacing: time.Second}, Options{}, func(t *testing.T, a *Announcer, w *wire) {
		a.Set([]Address{vip(1)})
		pass(24 * time.Hour)
		if got := w.take(); len(got) != 2 {
			t.Errorf("announced %v, want the burst of 2 only", got)
		}
	})
}

func TestSetAgainChangesNothing(t *testing.T) {
	run(t, testTiming, Options{}, func(t *testing.T, a *Announcer, w *wire) {
		a.Set([]Address{vip(1)})
		pass(20 * time.Second)
		w.take()
		a.Set([]Address{vip(1)})
		pass(10 * time.Second)
		if got := w.take(); len(got) != 0 {
			t.Errorf("announced %v for a set that did not change", got)
		}
	})
}

func TestMovedAddressIsAnnouncedAgain(t *testing.T) {
	newMAC, newLink := vip(1), vip(1)
	newMAC.MAC[5], newLink.Ifindex = 9, 7
	for name, moved := range map[string]Address{"MAC": newMAC, "interface": newLink} {
		t.Run(name, func(t *testing.T) {
			run(t, testTiming, Options{}, func(t *testing.T, a *Announcer, w *wire) {
				a.Set([]Address{vip(1), vip(2)})
				pass(20 * time.Second)
				w.take()
				a.Set([]Address{moved, vip(2)})
				pass(20 * time.Second)
				got := w.take()
				if len(got) != testTiming.Burst {
					t.Fatalf("burst of %d, want %d", len(got), testTiming.Burst)
				}
				for _, s := range got {
					if s.addr != moved {
						t.Errorf("announced %v, want %v", s.addr, moved)
					}
				}
			})
		})
	}
}

func TestRemovedAddressStops(t *testing.T) {
	run(t, testTiming, Options{}, func(t *testing.T, a *Announcer, w *wire) {
		a.Set([]Address{vip(1), vip(2)})
		pass(testTiming.Spacing + time.Millisecond)
		a.Set([]Address{vip(2)})
		w.take()
		pass(time.Hour)
		for _, s := range w.take() {
			if s.addr == vip(1) {
				t.Errorf("announced at %v after its removal", s.after)
			}
		}
		a.Set(nil)
		pass(time.Hour)
		if got := w.take(); len(got) != 0 || len(a.Stats()) != 0 {
			t.Errorf("announced %v with no address set; stats %v", got, a.Stats())
		}
	})
}

func TestSenderFailsAndRecovers(t *testing.T) {
	var text bytes.Buffer
	opts := Options{Log: slog.New(slog.NewTextHandler(&text, nil))}
	run(t, testTiming, opts, func(t *testing.T, a *Announcer, w *wire) {
		broken := errors.New("network is down")
		w.setFail(broken)
		a.Set([]Address{vip(1)})
		pass(5 * time.Minute)
		s := a.Stats()[0]
		if !errors.Is(s.LastError, broken) || s.Sent != 0 || s.Failed < 20 || s.Failed > 40 {
			t.Errorf("after five minutes of trouble: %+v", s)
		}
		if n := strings.Count(text.String(), "cannot announce"); n != 1 {
			t.Errorf("one trouble logged %d times:\n%s", n, &text)
		}
		w.setFail(errors.New("no such device"))
		pass(time.Minute)
		if n := strings.Count(text.String(), "cannot announce"); n != 2 {
			t.Errorf("two kinds of trouble logged %d times:\n%s", n, &text)
		}
		w.setFail(nil)
		pass(maxBackoff + 20*time.Second)
		if got := w.take(); len(got) != testTiming.Burst {
			t.Errorf("recovered with %d announcements, want a burst of %d", len(got), testTiming.Burst)
		}
		if s := a.Stats()[0]; s.LastError != nil || s.Sent != uint64(testTiming.Burst) || s.LastSent.IsZero() {
			t.Errorf("after recovery: %+v", s)
		}
		if n := strings.Count(text.String(), "announcing again"); n != 1 {
			t.Errorf("recovery logged %d times:\n%s", n, &text)
		}
	})
}

func TestOneFailingAddressHoldsUpNoOther(t *testing.T) {
	run(t, testTiming, Options{Log: slog.New(slog.DiscardHandler)}, func(t *testing.T, a *Announcer, w *wire) {
		a.sender = failFor{w, vip(1).Addr}
		a.Set([]Address{vip(1), vip(2)})
		pass(20 * time.Second)
		if got := w.take(); len(got) != testTiming.Burst {
			t.Errorf("the healthy address was announced %d times, want %d", len(got), testTiming.Burst)
		}
	})
}

type failFor struct {
	*wire
	addr netip.Addr
}

func (f failFor) Announce(ctx context.Context, ifindex uint32, mac dataplane.MAC, addr netip.Addr) error {
	if addr == f.addr {
		return fmt.Errorf("announce %s: no such device", addr)
	}
	return f.wire.Announce(ctx, ifindex, mac, addr)
}

func TestManyAddressesKeepToTheRate(t *testing.T) {
	run(t, testTiming, Options{}, func(t *testing.T, a *Announcer, w *wire) {
		var addrs []Address
		for n := range 1000 {
			addrs = append(addrs, vip(n))
		}
		a.Set(addrs)
		pass(40 * time.Second)
		got := w.take()
		if len(got) != 5*len(addrs) {
			t.Errorf("%d announcements, want %d", len(got), 5*len(addrs))
		}
		// The limiter lets a tenth of a second's worth through at once.
		const inSecond = DefaultRate + DefaultRate/10
		for i := range got {
			if j := i + inSecond; j < len(got) && got[j].after-got[i].after < time.Second {
				t.Fatalf("more than %d announcements in the second from %v", inSecond, got[i].after)
			}
		}
		// Every address is heard once before any is heard twice.
		heard := make(map[netip.Addr]bool)
		for _, s := range got[:len(addrs)] {
			heard[s.addr.Addr] = true
		}
		if len(heard) != len(addrs) {
			t.Errorf("the first %d announcements are of %d addresses only", len(addrs), len(heard))
		}
	})
}

func TestNewAddressOvertakesLateRefreshes(t *testing.T) {
	timing := model.Announce{Burst: 1, Refresh: time.Second} // 1,000 of these are five times the rate
	run(t, timing, Options{}, func(t *testing.T, a *Announcer, w *wire) {
		var addrs []Address
		for n := range 1000 {
			addrs = append(addrs, vip(n))
		}
		a.Set(addrs)
		pass(30 * time.Second)
		w.take()
		a.Set(append(addrs, vip(5000)))
		pass(100 * time.Millisecond)
		found := false
		for _, s := range w.take() {
			found = found || s.addr == vip(5000)
		}
		if !found {
			t.Error("a new address waits behind late refreshes")
		}
	})
}

func TestSetTiming(t *testing.T) {
	run(t, testTiming, Options{}, func(t *testing.T, a *Announcer, w *wire) {
		a.Set([]Address{vip(1)})
		pass(20 * time.Second)
		w.take()
		a.SetTiming(model.Announce{Burst: 3, Spacing: time.Second, Refresh: 10 * time.Second})
		pass(12 * time.Second)
		if got := w.take(); len(got) != 1 {
			t.Errorf("%d announcements within the shorter refresh, want 1", len(got))
		}
		a.SetTiming(model.Announce{Burst: 3, Spacing: time.Second})
		pass(time.Hour)
		if got := w.take(); len(got) != 0 {
			t.Errorf("announced %v after the refresh was switched off", got)
		}
		a.SetTiming(testTiming)
		pass(67 * time.Second)
		if got := w.take(); len(got) != 1 {
			t.Errorf("%d announcements after the refresh was switched on, want 1", len(got))
		}
	})
}
