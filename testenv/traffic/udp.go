package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"steelyard/testenv/netns"
)

// UDPPlan says what UDPRun sends.
type UDPPlan struct {
	Target netip.AddrPort
	// Sources are the client's addresses, used in turn; empty: the kernel
	// picks one.
	Sources []netip.Addr
	Flows   int // distinct source address:ports; each is an open file
	// Datagrams in all, spread evenly over the flows and over time; 0 = go
	// on until ctx ends.
	Datagrams int
	Window    int           // most datagrams without an answer at once; 0 = 32
	Rate      int           // most datagrams a second; 0 = as the window allows
	Size      int           // bytes of payload at least; 0 = 32
	Wait      time.Duration // how long an answer may take; 0 = 1 s
	Progress  *Progress     // nil: nobody watches
}

// UDPResult accounts for every datagram: Sent = Answered + Lost + WrongSource
// + Corrupt + Unsent.
type UDPResult struct {
	Sent        int // tried
	Answered    int // in time, from the target, with the same payload
	Lost        int // not answered in time; never sent again
	WrongSource int // answered from elsewhere than the target
	Corrupt     int // answered with another payload
	Unsent      int // refused by the client's own kernel

	Late       int // of Lost, those whose answer came after all, if the flow went on
	Duplicated int // answers beyond the first, if the flow went on
	Moved      int // flows answered by more than one backend

	Moves    []Move
	Backends map[string]Share
	Reasons  []Reason // what went wrong, for people
	Duration time.Duration
}

// Err returns nil if every datagram was answered as it should be and no flow
// moved. A change of backends that moves flows on purpose is judged by Moves.
func (r *UDPResult) Err() error {
	if r.Answered == r.Sent && r.Duplicated == 0 && r.Moved == 0 {
		return nil
	}
	return fmt.Errorf("of %d datagrams %d lost (%d late), %d from a wrong source, %d corrupt, %d unsent, %d duplicated; %d flows moved %v; %v",
		r.Sent, r.Lost, r.Late, r.WrongSource, r.Corrupt, r.Unsent, r.Duplicated, r.Moved, r.Moves, r.Reasons)
}

func (p UDPPlan) withDefaults() (UDPPlan, error) {
	if !p.Target.IsValid() || p.Flows <= 0 || p.Datagrams < 0 {
		return p, fmt.Errorf("check UDP plan: target %v, %d flows, %d datagrams", p.Target, p.Flows, p.Datagrams)
	}
	if p.Window <= 0 {
		p.Window = 32
	}
	if p.Size <= 0 {
		p.Size = 32
	}
	if p.Wait <= 0 {
		p.Wait = defaultWait
	}
	if p.Progress == nil {
		p.Progress = &Progress{}
	}
	p.Window = min(p.Window, p.Flows)
	return p, nil
}

// UDPRun sends as planned from host and returns when every answer is in or
// overdue. If ctx ends before a planned number is sent, it returns the result
// so far and ctx's error.
func UDPRun(ctx context.Context, host *netns.HostEnv, plan UDPPlan) (result UDPResult, err error) {
	if plan, err = plan.withDefaults(); err != nil {
		return UDPResult{}, err
	}
	flows, err := openFlows(ctx, host, plan)
	if err != nil {
		return UDPResult{}, fmt.Errorf("open UDP flows: %w", err)
	}
	limit := rate.NewLimiter(rate.Inf, 0)
	if plan.Rate > 0 {
		limit = rate.NewLimiter(rate.Limit(plan.Rate), 1)
	}
	workers := make([]*udpWorker, plan.Window)
	for i := range workers {
		workers[i] = newUDPWorker(plan, limit)
	}
	for i, f := range flows {
		w := workers[i%len(workers)]
		w.flows = append(w.flows, f)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { w.run(ctx) })
	}
	wg.Wait()
	result = sumUDP(workers)
	result.Duration = time.Since(start)
	for _, f := range flows {
		err = errors.Join(err, f.conn.Close())
	}
	if result.Sent < plan.Datagrams {
		err = errors.Join(err, fmt.Errorf("send datagrams: %w", context.Cause(ctx)))
	}
	return result, err
}

func sumUDP(workers []*udpWorker) UDPResult {
	sum, all := UDPResult{}, newTally()
	for _, w := range workers {
		r := &w.result
		sum.Sent += r.Sent
		sum.Answered += r.Answered
		sum.Lost += r.Lost
		sum.WrongSource += r.WrongSource
		sum.Corrupt += r.Corrupt
		sum.Unsent += r.Unsent
		sum.Late += r.Late
		sum.Duplicated += r.Duplicated
		sum.Moved += r.Moved
		all.add(w.tally)
	}
	sum.Backends, sum.Moves, sum.Reasons = all.backends(), all.moveList(), all.reasonList()
	return sum
}

// openFlows opens one socket per flow. None is connected, so that answers from
// anywhere are seen.
func openFlows(ctx context.Context, host *netns.HostEnv, plan UDPPlan) (flows []*udpFlow, err error) {
	if err := allowFiles(plan.Flows); err != nil {
		return nil, err
	}
	network := "udp4"
	if plan.Target.Addr().Is6() {
		network = "udp6"
	}
	defer func() {
		if err != nil {
			for _, f := range flows {
				f.conn.Close()
			}
		}
	}()
	err = host.Do(func() error {
		for id := range plan.Flows {
			local := ":0"
			if n := len(plan.Sources); n > 0 {
				local = netip.AddrPortFrom(plan.Sources[id%n], 0).String()
			}
			conn, err := new(net.ListenConfig).ListenPacket(ctx, network, local)
			if err != nil {
				return err
			}
			flows = append(flows, &udpFlow{id: id, conn: conn.(*net.UDPConn), quota: quota(plan, id)})
		}
		return nil
	})
	return flows, err
}

// endless is the quota of a flow that goes on until it is told to stop.
const endless = -1

// quota is how many datagrams a flow sends.
func quota(plan UDPPlan, id int) int {
	if plan.Datagrams == 0 {
		return endless
	}
	n := plan.Datagrams / plan.Flows
	if id < plan.Datagrams%plan.Flows {
		n++
	}
	return n
}

// payload is what a flow sends as its seq-th datagram: both numbers, each with
// a space behind it, and letters up to size.
func payload(buf []byte, id, seq, size int) []byte {
	buf = strconv.AppendInt(buf[:0], int64(id), 10)
	buf = append(buf, ' ')
	buf = strconv.AppendInt(buf, int64(seq), 10)
	buf = append(buf, ' ')
	for len(buf) < size {
		buf = append(buf, 'a'+byte((id+seq+len(buf))%26))
	}
	return buf
}

// sequence reads seq back from an answer to flow id.
func sequence(answer []byte, id int) (seq int, ok bool) {
	fields := bytes.SplitN(answer, []byte(" "), 3)
	if len(fields) < 3 || string(fields[0]) != strconv.Itoa(id) {
		return 0, false
	}
	seq, err := strconv.Atoi(string(fields[1]))
	return seq, err == nil
}
