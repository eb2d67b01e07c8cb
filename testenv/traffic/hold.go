package traffic

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"steelyard/testenv/netns"
)

// HoldPlan says which connections TCPHold keeps.
type HoldPlan struct {
	Target netip.AddrPort
	// Sources are the client's addresses, used in turn; empty: the kernel
	// picks one.
	Sources     []netip.Addr
	Connections int
	Interval    time.Duration // between two lines of a connection; 0 = 100 ms
	Size        int           // bytes of a line at least; 0 = 32
	Wait        time.Duration // how long connecting or an answer may take; 0 = 5 s
}

// Hold is a set of long-lived connections.
type Hold struct {
	plan  HoldPlan
	conns []*held
}

// held is one connection. Run's goroutine for it owns the client.
type held struct {
	client   *client
	messages atomic.Int64
	failure  atomic.Pointer[error]
}

// HeldConn is how one connection is doing.
type HeldConn struct {
	Local    netip.AddrPort // the client's own address
	Backend  string
	Messages int   // lines answered as they should be
	Err      error // nil while the connection is well
}

// holdDialers is how many connections are made at once.
const holdDialers = 32

// TCPHold opens the planned connections from host and returns when each has
// been greeted. On an error none stays open. The caller calls Run or Close.
func TCPHold(ctx context.Context, host *netns.HostEnv, plan HoldPlan) (*Hold, error) {
	if !plan.Target.IsValid() || plan.Connections <= 0 {
		return nil, fmt.Errorf("check hold plan: target %v, %d connections", plan.Target, plan.Connections)
	}
	if plan.Interval <= 0 {
		plan.Interval = 100 * time.Millisecond
	}
	if plan.Size <= 0 {
		plan.Size = 32
	}
	if plan.Wait <= 0 {
		plan.Wait = tcpWait
	}
	if err := allowFiles(plan.Connections); err != nil {
		return nil, fmt.Errorf("hold connections: %w", err)
	}
	h := &Hold{plan: plan, conns: make([]*held, plan.Connections)}
	errs := make([]error, holdDialers)
	var wg sync.WaitGroup
	for d := range holdDialers {
		wg.Go(func() {
			for id := d; id < plan.Connections && errs[d] == nil; id += holdDialers {
				c, err := dial(ctx, host, id, source(plan.Sources, id), plan.Target, plan.Wait)
				if err != nil {
					errs[d] = fmt.Errorf("hold connection %d: %w", id, err)
					return
				}
				h.conns[id] = &held{client: c}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Close closes the connections; Run does so by itself.
func (h *Hold) Close() error {
	var errs []error
	for _, c := range h.conns {
		if c != nil {
			errs = append(errs, ignoreClosed(c.client.conn.Close()))
		}
	}
	return errors.Join(errs...)
}

// Run exchanges lines on every connection until ctx ends, finishes those under
// way and closes the connections. A connection that fails is left alone, the
// others go on; Err tells afterwards.
func (h *Hold) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i, c := range h.conns {
		// Spread over the interval, so that the load is even.
		first := h.plan.Interval * time.Duration(i) / time.Duration(len(h.conns))
		wg.Go(func() { c.run(ctx, first, h.plan) })
	}
	wg.Wait()
	return h.Close()
}

func (c *held) run(ctx context.Context, first time.Duration, plan HoldPlan) {
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := c.client.exchange(plan.Size); err != nil {
			c.failure.Store(&err)
			return
		}
		c.messages.Add(1)
		timer.Reset(plan.Interval)
	}
}

// Conns returns how every connection is doing, in the order they were made.
// It may be called at any time.
func (h *Hold) Conns() []HeldConn {
	out := make([]HeldConn, len(h.conns))
	for i, c := range h.conns {
		out[i] = HeldConn{Backend: c.client.backend, Messages: int(c.messages.Load())}
		if local, err := netip.ParseAddrPort(c.client.conn.LocalAddr().String()); err == nil {
			out[i].Local = local
		}
		if err := c.failure.Load(); err != nil {
			out[i].Err = *err
		}
	}
	return out
}

// Rounds returns the least number of lines that any well connection has had
// answered: when it has grown by two, each has exchanged at least one line
// from start to end.
func (h *Hold) Rounds() int {
	least, any := int64(0), false
	for _, c := range h.conns {
		if n := c.messages.Load(); c.failure.Load() == nil && (!any || n < least) {
			least, any = n, true
		}
	}
	return int(least)
}

// Backends returns the number of connections of each backend, failed ones
// included.
func (h *Hold) Backends() map[string]Share {
	out := map[string]Share{}
	for _, c := range h.Conns() {
		s := out[c.Backend]
		s.Flows++
		s.Messages += c.Messages
		out[c.Backend] = s
	}
	return out
}

// Err returns nil if no connection has failed, else how many did and why.
func (h *Hold) Err() error {
	t, failed := newTally(), 0
	for _, c := range h.Conns() {
		if c.Err != nil {
			failed++
			t.reasons[reason(c.Err)+" (backend "+c.Backend+")"]++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("of %d held connections %d failed: %v", len(h.conns), failed, t.reasonList())
}
