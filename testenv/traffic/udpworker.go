package traffic

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/time/rate"
)

// udpFlow is one source port. It belongs to one worker.
type udpFlow struct {
	id      int
	conn    *net.UDPConn
	quota   int // datagrams to send; endless = until ctx ends
	seq     int // of the next datagram
	backend string
	moved   bool
	lost    map[int]bool // datagrams given up, until a late answer comes
}

// udpWorker sends for its flows in turn, one datagram at a time. The number
// of workers therefore bounds what is in flight, and with it what a socket
// buffer anywhere has to hold.
type udpWorker struct {
	plan    UDPPlan
	limit   *rate.Limiter
	flows   []*udpFlow
	result  UDPResult
	tally   tally
	sent    []byte // payload waiting for its answer
	compare []byte // payload of an older datagram
	answer  []byte
}

func newUDPWorker(plan UDPPlan, limit *rate.Limiter) *udpWorker {
	return &udpWorker{plan: plan, limit: limit, tally: newTally(), answer: make([]byte, maxDatagram)}
}

func (w *udpWorker) run(ctx context.Context) {
	for busy := true; busy; {
		busy = false
		for _, f := range w.flows {
			if f.seq == f.quota {
				continue
			}
			if ctx.Err() != nil || w.limit.Wait(ctx) != nil {
				return
			}
			w.exchange(f)
			busy = true
		}
	}
}

// exchange sends one datagram and accounts for its answer. It does not look at
// ctx: an answer under way when the run ends is not lost.
func (w *udpWorker) exchange(f *udpFlow) {
	w.sent = payload(w.sent, f.id, f.seq, w.plan.Size)
	w.result.Sent++
	w.plan.Progress.sent.Add(1)
	good := false
	if _, err := f.conn.WriteToUDPAddrPort(w.sent, w.plan.Target); err != nil {
		w.result.Unsent++
		w.tally.reasons["send: "+cause(err)]++
	} else {
		good = w.await(f)
	}
	f.seq++
	if good {
		w.plan.Progress.answered.Add(1)
	} else {
		w.plan.Progress.failed.Add(1)
	}
}

// await reads until the datagram just sent has come to an end, and says
// whether it was a good one.
func (w *udpWorker) await(f *udpFlow) bool {
	deadline := time.Now().Add(w.plan.Wait)
	if err := f.conn.SetReadDeadline(deadline); err != nil {
		w.lose(f, err)
		return false
	}
	for {
		n, from, err := f.conn.ReadFromUDPAddrPort(w.answer)
		if err != nil {
			w.lose(f, err)
			return false
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if from != w.plan.Target {
			w.result.WrongSource++
			w.tally.reasons["answer from "+from.String()]++
			return false
		}
		name, echo, _ := bytes.Cut(w.answer[:n], []byte(" "))
		if bytes.Equal(echo, w.sent) {
			w.result.Answered++
			w.credit(f, name)
			return true
		}
		if !w.old(f, echo) {
			w.result.Corrupt++
			w.tally.reasons["answer with another payload"]++
			return false
		}
	}
}

func (w *udpWorker) lose(f *udpFlow, err error) {
	w.result.Lost++
	if f.lost == nil {
		f.lost = map[int]bool{}
	}
	f.lost[f.seq] = true
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		w.tally.reasons["receive: "+cause(err)]++
	}
}

// old says whether an answer belongs to an earlier datagram of the flow, and
// counts it.
func (w *udpWorker) old(f *udpFlow, echo []byte) bool {
	seq, ok := sequence(echo, f.id)
	if !ok || seq < 0 || seq >= f.seq {
		return false
	}
	w.compare = payload(w.compare, f.id, seq, w.plan.Size)
	if !bytes.Equal(echo, w.compare) {
		return false
	}
	if f.lost[seq] {
		delete(f.lost, seq)
		w.result.Late++
	} else {
		w.result.Duplicated++
	}
	return true
}

// credit books a good answer to the backend that gave it.
func (w *udpWorker) credit(f *udpFlow, name []byte) {
	share := w.tally.share(name)
	share.Messages++
	if f.backend == string(name) {
		return
	}
	if f.backend == "" {
		share.Flows++
	} else {
		w.tally.moves[[2]string{f.backend, string(name)}]++
		if !f.moved {
			f.moved = true
			w.result.Moved++
		}
	}
	f.backend = string(name)
}
