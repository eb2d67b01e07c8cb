package vip

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink/nl"

	"steelyard/control/model"
)

const (
	// coalesce is how long changes are collected before they are read.
	coalesce = 20 * time.Millisecond
	// costShare bounds what mirroring costs: after a reading that took d,
	// the next one waits for costShare x d. A routing table that changes
	// all the time then takes a tenth of one CPU and no more.
	costShare = 10
	// resyncEvery is the interval of reading everything without a cause,
	// should an event ever have been missed.
	resyncEvery = 30 * time.Second
	// readRetry is the wait after a listing that failed.
	readRetry = time.Second
)

// Watcher mirrors the kernel's links, addresses, routes and neighbours into a
// model.Topology and keeps neighbours resolved. Its methods may be called from
// any goroutine.
type Watcher struct {
	log    *slog.Logger
	conn   *conn
	events *nl.NetlinkSocket
	close  sync.Once
	closed chan struct{} // closed by Close
	kick   chan struct{} // capacity 1: something below has changed
	stale  atomic.Uint32 // set of listing: what has to be read again

	mu       sync.Mutex
	carriers map[string]bool
	resolve  []netip.Addr
	topology *model.Topology
	changed  chan struct{} // closed when topology is replaced

	// Used by Run only.
	state  state
	prober *prober
	failed string // the last error that was logged
}

// NewWatcher opens netlink sockets in the network namespace of the calling
// thread. Run does the work. log may be nil for slog.Default.
func NewWatcher(log *slog.Logger) (*Watcher, error) {
	if log == nil {
		log = slog.Default()
	}
	c, err := openConn()
	if err != nil {
		return nil, err
	}
	events, err := subscribe()
	if err != nil {
		c.close()
		return nil, err
	}
	return &Watcher{
		log: log, conn: c, events: events,
		closed:   make(chan struct{}),
		kick:     make(chan struct{}, 1),
		topology: &model.Topology{},
		changed:  make(chan struct{}),
		prober:   newProber(),
	}, nil
}

// Close closes the sockets and thereby stops a Run that has not ended.
func (w *Watcher) Close() {
	w.close.Do(func() {
		close(w.closed)
		w.events.Close()
		w.conn.close()
	})
}

// Topology returns the latest; never nil, with Revision 0 while nothing is
// known. It is not to be changed.
func (w *Watcher) Topology() *model.Topology {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.topology
}

// Changed returns a channel that is closed when Topology has something newer
// than at the time of the call. Take it before Topology so as to miss nothing.
func (w *Watcher) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// SetCarriers says which devices carry the packet path's program, by name. Only
// ways over these (or a VLAN or bond of them) become next hops.
func (w *Watcher) SetCarriers(names []string) {
	carriers := make(map[string]bool, len(names))
	for _, name := range names {
		carriers[name] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.carriers = carriers
	w.signal()
}

// Resolve sets the addresses that are about to get packets: the neighbours on
// the way to them (they themselves, or their gateway) are kept resolved without
// waiting for such a packet. Gateways of routes over carriers always are.
func (w *Watcher) Resolve(addrs []netip.Addr) {
	addrs = slices.Clone(addrs)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resolve = addrs
	w.signal()
}

func (w *Watcher) signal() {
	select {
	case w.kick <- struct{}{}:
	default: // Run has yet to see the last signal and will see this change too
	}
}

// Run mirrors and resolves until ctx ends, and returns nil then; it closes the
// sockets. It errors only when they are closed under it.
func (w *Watcher) Run(ctx context.Context) error {
	listening := make(chan error, 1)
	go func() {
		listening <- w.listen()
		close(listening)
	}()
	err := w.mirror(ctx, listening)
	w.Close() // ends listen, if that is not what ended mirror
	for range listening {
	}
	return err
}

// mirror returns nil when ctx ends, and the error that listen ended with.
func (w *Watcher) mirror(ctx context.Context, listening <-chan error) error {
	resync := time.NewTicker(resyncEvery)
	defer resync.Stop()
	w.markStale(listAll)
	for {
		start := time.Now()
		again := w.refresh()
		pause := max(coalesce, costShare*time.Since(start))
		timer := time.NewTimer(max(again, pause))
		if again == 0 {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-listening:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watch network: %w", err)
		case <-resync.C:
			w.markStale(listAll)
		case <-w.kick:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
		case <-timer.C:
		}
		timer.Stop()
	}
}

// refresh reads what is stale, publishes the outcome where it is new, and asks
// for neighbours. It returns when it wants to be called again without a cause;
// 0 = not.
func (w *Watcher) refresh() time.Duration {
	select {
	case <-w.kick: // what it was about is read now
	default:
	}
	if err := w.read(listing(w.stale.Swap(0))); err != nil {
		if w.failed != err.Error() {
			w.failed = err.Error()
			w.log.Error("cannot read the network's state", "err", err)
		}
		return readRetry
	}
	w.failed = ""
	w.mu.Lock()
	carriers, addrs := maps.Clone(w.carriers), w.resolve
	w.mu.Unlock()
	v := resolve(&w.state, carriers)
	w.publish(v.topology)

	use, again := w.prober.plan(time.Now(), v, addrs)
	for _, h := range use {
		if err := w.conn.useNeighbour(h.ifindex, h.addr); err != nil {
			// Most likely the link has just gone; an event will tell.
			w.log.Debug("cannot ask for neighbour", "addr", h.addr, "ifindex", h.ifindex, "err", err)
		}
	}
	return again
}

func (w *Watcher) publish(t model.Topology) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.topology.Revision > 0 && sameTopology(&t, w.topology) {
		return
	}
	for _, text := range t.Limits {
		if !slices.Contains(w.topology.Limits, text) {
			w.log.Warn("network cannot be mirrored completely", "limit", text)
		}
	}
	t.Revision = w.topology.Revision + 1
	w.topology = &t
	close(w.changed)
	w.changed = make(chan struct{})
}

// sameTopology compares all but the revision.
func sameTopology(a, b *model.Topology) bool {
	return slices.Equal(a.Routes, b.Routes) && slices.Equal(a.Limits, b.Limits) &&
		slices.EqualFunc(a.Links, b.Links, func(x, y model.Link) bool {
			return x.Index == y.Index && x.Name == y.Name && x.MAC == y.MAC && x.Up == y.Up && x.MTU == y.MTU &&
				x.Physical == y.Physical && x.VLAN == y.VLAN && slices.Equal(x.Addrs, y.Addrs)
		})
}
