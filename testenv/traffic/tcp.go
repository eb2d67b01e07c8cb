package traffic

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"steelyard/testenv/netns"
)

// TCPPlan says what TCPRun sends.
type TCPPlan struct {
	Target netip.AddrPort
	// Sources are the client's addresses, used in turn; empty: the kernel
	// picks one.
	Sources     []netip.Addr
	Connections int
	Messages    int           // lines sent on each connection
	Concurrency int           // most connections at once; 0 = 32
	Size        int           // bytes of a line at least; 0 = 32
	Wait        time.Duration // how long connecting or an answer may take; 0 = 5 s
	Progress    *Progress     // counts connections: sent = tried, answered = completed; nil: nobody watches
}

// TCPResult accounts for every connection: Tried = Completed + Failed.
type TCPResult struct {
	Tried     int
	Completed int // greeted, and every line answered by the same backend
	Failed    int
	Messages  int // lines answered as they should be
	Backends  map[string]Share
	Failures  []Reason
	Duration  time.Duration
}

// Err returns nil if every connection was completed.
func (r *TCPResult) Err() error {
	if r.Failed == 0 {
		return nil
	}
	return fmt.Errorf("of %d connections %d failed: %v", r.Tried, r.Failed, r.Failures)
}

// tcpWait leaves room for TCP's own repeats of a lost SYN: after 1 s and 3 s
// (RFC 6298, Section 2).
const tcpWait = 5 * time.Second

func (p TCPPlan) withDefaults() (TCPPlan, error) {
	if !p.Target.IsValid() || p.Connections <= 0 || p.Messages < 0 {
		return p, fmt.Errorf("check TCP plan: target %v, %d connections, %d messages", p.Target, p.Connections, p.Messages)
	}
	if p.Concurrency <= 0 {
		p.Concurrency = 32
	}
	if p.Size <= 0 {
		p.Size = 32
	}
	if p.Wait <= 0 {
		p.Wait = tcpWait
	}
	if p.Progress == nil {
		p.Progress = &Progress{}
	}
	p.Concurrency = min(p.Concurrency, p.Connections)
	return p, nil
}

// source returns the client address of connection id, or the zero Addr.
func source(sources []netip.Addr, id int) netip.Addr {
	if len(sources) == 0 {
		return netip.Addr{}
	}
	return sources[id%len(sources)]
}

// TCPRun makes connections as planned from host, each closed when its lines
// are answered. If ctx ends before all are made, it returns the result so far
// and ctx's error.
func TCPRun(ctx context.Context, host *netns.HostEnv, plan TCPPlan) (result TCPResult, err error) {
	if plan, err = plan.withDefaults(); err != nil {
		return TCPResult{}, err
	}
	if err := allowFiles(plan.Concurrency); err != nil {
		return TCPResult{}, fmt.Errorf("run TCP connections: %w", err)
	}
	workers := make([]tcpWorker, plan.Concurrency)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range workers {
		w := &workers[i]
		w.host, w.plan, w.tally = host, plan, newTally()
		wg.Go(func() {
			for id := i; id < plan.Connections && ctx.Err() == nil; id += len(workers) {
				w.connection(ctx, id)
			}
		})
	}
	wg.Wait()
	all := newTally()
	for _, w := range workers {
		result.Tried += w.result.Tried
		result.Completed += w.result.Completed
		result.Failed += w.result.Failed
		result.Messages += w.result.Messages
		all.add(w.tally)
	}
	result.Backends, result.Failures = all.backends(), all.reasonList()
	result.Duration = time.Since(start)
	if result.Tried < plan.Connections {
		return result, fmt.Errorf("make connections: %w", context.Cause(ctx))
	}
	return result, nil
}

// tcpWorker makes connections one after the other.
type tcpWorker struct {
	host   *netns.HostEnv
	plan   TCPPlan
	result TCPResult
	tally  tally
}

// connection makes one connection and books how it went. A connection under
// way when ctx ends is completed.
func (w *tcpWorker) connection(ctx context.Context, id int) {
	w.result.Tried++
	w.plan.Progress.sent.Add(1)
	if err := w.talk(context.WithoutCancel(ctx), id); err != nil {
		w.result.Failed++
		w.plan.Progress.failed.Add(1)
		w.tally.reasons[reason(err)]++
		return
	}
	w.result.Completed++
	w.plan.Progress.answered.Add(1)
}

func (w *tcpWorker) talk(ctx context.Context, id int) error {
	c, err := dial(ctx, w.host, id, source(w.plan.Sources, id), w.plan.Target, w.plan.Wait)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	share := w.tally.share([]byte(c.backend))
	share.Flows++
	for range w.plan.Messages {
		if err := c.exchange(w.plan.Size); err != nil {
			return err
		}
		share.Messages++
		w.result.Messages++
	}
	return nil
}
