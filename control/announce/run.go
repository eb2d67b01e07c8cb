package announce

import (
	"context"
	"math/rand/v2"
	"time"
)

// Run announces until ctx ends and returns nil then. A failing sender never
// ends it: see Stats and the log. Only one Run may be active.
func (a *Announcer) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if due, ok := a.nextDue(); ok && !due.After(time.Now()) {
			// The place in the rate is taken before the entry is picked:
			// what is most urgent after the wait goes first.
			if err := a.limiter.Wait(ctx); err != nil {
				<-ctx.Done() // Wait gives up early where a deadline is too near
				return nil
			}
			a.announceNext(ctx)
			continue
		} else if ok {
			timer.Reset(time.Until(due))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		}
	}
}

func (a *Announcer) nextDue() (due time.Time, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return time.Time{}, false
	}
	return a.queue[0].due, true
}

// announceNext sends the most urgent announcement, if any is due, and plans
// that VIP's next one.
func (a *Announcer) announceNext(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if len(a.queue) == 0 || a.queue[0].due.After(now) {
		return
	}
	e := a.queue[0]
	err := a.sender.Announce(ctx, e.addr.Ifindex, e.addr.MAC, e.addr.Addr)
	if err != nil && ctx.Err() != nil {
		return // the daemon is ending: not the link's fault
	}
	if err != nil {
		a.failed(e, err, now)
		return
	}
	a.sent(e, now)
}

func (a *Announcer) sent(e *entry, now time.Time) {
	if e.lastErr != nil {
		a.log.Info("announcing again", "vip", e.addr.Addr, "ifindex", e.addr.Ifindex)
	}
	e.sent++
	e.lastSent, e.lastErr, e.backoff = now, nil, 0
	e.left = max(0, e.left-1)
	if e.left > 0 {
		a.queue.put(e, now.Add(a.timing.Spacing))
	} else if next, ok := a.refreshAt(now); ok {
		a.queue.put(e, next)
	} else {
		a.queue.remove(e)
	}
}

// failed plans another try and, after it, a whole burst: while the device was
// in trouble its neighbours heard nothing.
func (a *Announcer) failed(e *entry, err error, now time.Time) {
	if e.lastErr == nil || e.lastErr.Error() != err.Error() {
		a.log.Warn("cannot announce", "vip", e.addr.Addr, "ifindex", e.addr.Ifindex, "err", err)
	}
	e.failed++
	e.lastErr = err
	e.left = a.timing.Burst
	if e.backoff == 0 {
		e.backoff = max(minBackoff, a.timing.Spacing)
	} else {
		e.backoff *= 2
	}
	e.backoff = min(e.backoff, maxBackoff)
	a.queue.put(e, now.Add(e.backoff))
}

// refreshAt returns the time of the next refresh, 10 % around the configured
// interval so that VIPs set together drift apart. False if there is none.
func (a *Announcer) refreshAt(now time.Time) (time.Time, bool) {
	if a.timing.Refresh <= 0 {
		return time.Time{}, false
	}
	return now.Add(time.Duration(float64(a.timing.Refresh) * (0.9 + 0.2*rand.Float64()))), true
}
