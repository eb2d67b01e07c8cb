// Package announce knows which VIPs this node answers for and says so to
// their links: a burst when a VIP is new or has moved, then again at long
// intervals. It never decides who holds a VIP, never adds an address to a
// device, and builds and sends no frame itself.
package announce

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// DefaultRate is the most announcements per second over all VIPs: 1,000 VIPs
// are all announced within 5 s, and a switch that sends such frames to its
// own CPU sees no more than a few hundred a second.
const DefaultRate = 200

// maxBackoff is the longest wait after a failed announcement. A device that
// comes back is announced on within this time.
const maxBackoff = 10 * time.Second

// minBackoff is the shortest such wait, where the burst has no spacing.
const minBackoff = 100 * time.Millisecond

// Sender sends one announcement: that addr is at mac on the link of interface
// ifindex. It returns soon, whatever state the device is in.
type Sender interface {
	Announce(ctx context.Context, ifindex uint32, mac dataplane.MAC, addr netip.Addr) error
}

// Address is a VIP and where it lives.
type Address struct {
	Addr    netip.Addr
	Ifindex uint32 // the interface that holds Addr
	MAC     dataplane.MAC
}

// Stats is what happened to one VIP since it was first set.
type Stats struct {
	Address Address
	Sent    uint64 // announcements that were sent
	Failed  uint64 // announcements that were not
	// LastSent is the time of the last that was sent; zero = none yet.
	LastSent time.Time
	// LastError is why the last announcement failed; nil if it was sent.
	LastError error
}

// Options are the settings that stay for an Announcer's life. The zero value
// is usable.
type Options struct {
	// Rate is the most announcements per second; 0 = DefaultRate.
	Rate float64
	Log  *slog.Logger // nil = slog.Default()
}

// Announcer repeats the announcements of a set of VIPs. Its methods may be
// called from any goroutine.
type Announcer struct {
	sender  Sender
	log     *slog.Logger
	limiter *rate.Limiter
	wake    chan struct{} // capacity 1: the queue or the timing has changed

	// mu is also held while the sender runs. That makes Set's promise
	// true: once it returns, what it removed is not announced any more.
	mu      sync.Mutex
	timing  model.Announce
	entries map[netip.Addr]*entry
	queue   queue
}

// New returns an Announcer without addresses; Run does the work.
func New(sender Sender, timing model.Announce, opts Options) *Announcer {
	perSecond := cmp.Or(opts.Rate, DefaultRate)
	log := opts.Log
	if log == nil {
		log = slog.Default()
	}
	return &Announcer{
		sender:  sender,
		log:     log,
		limiter: rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10))),
		wake:    make(chan struct{}, 1),
		timing:  timing,
		entries: make(map[netip.Addr]*entry),
	}
}

// Set replaces the set of VIPs. Those that are new, or have another interface
// or MAC than before, get a burst that starts at once; those that are gone are
// not announced any more when Set returns. A VIP lives in one place: of two
// with one Addr the later counts. Where the burst is configured as 0, one
// announcement is sent all the same.
func (a *Announcer) Set(addrs []Address) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := make(map[netip.Addr]Address, len(addrs))
	for _, addr := range addrs {
		wanted[addr.Addr] = addr
	}
	for key, e := range a.entries {
		if _, ok := wanted[key]; !ok {
			a.queue.remove(e)
			delete(a.entries, key)
		}
	}
	for key, addr := range wanted {
		e, known := a.entries[key]
		if known && e.addr == addr {
			continue
		}
		if !known {
			e = &entry{index: notQueued}
			a.entries[key] = e
		}
		e.addr = addr
		e.lastErr, e.backoff = nil, 0
		e.left = a.timing.Burst
		// The zero time sorts before everything that is merely late.
		a.queue.put(e, time.Time{})
	}
	a.signal()
}

// SetTiming changes burst, spacing and refresh from the next announcement of
// each VIP on. It starts no burst.
func (a *Announcer) SetTiming(timing model.Announce) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if timing == a.timing {
		return
	}
	a.timing = timing
	now := time.Now()
	for _, e := range a.entries {
		switch next, ok := a.refreshAt(now); {
		case e.left > 0 || e.lastErr != nil:
			e.left = min(e.left, timing.Burst)
		case ok:
			a.queue.put(e, next)
		default:
			a.queue.remove(e)
		}
	}
	a.signal()
}

// Stats returns one entry for each VIP of the current set, sorted by address.
func (a *Announcer) Stats() []Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	stats := make([]Stats, 0, len(a.entries))
	for _, e := range a.entries {
		stats = append(stats, Stats{
			Address: e.addr, Sent: e.sent, Failed: e.failed,
			LastSent: e.lastSent, LastError: e.lastErr,
		})
	}
	slices.SortFunc(stats, func(x, y Stats) int { return x.Address.Addr.Compare(y.Address.Addr) })
	return stats
}

func (a *Announcer) signal() {
	select {
	case a.wake <- struct{}{}:
	default: // Run has yet to see the last signal and will see this change too
	}
}
