package main_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// hold opens TCP connections and keeps talking on them. The function it
// returns ends that.
func (b *bed) hold(vip netip.AddrPort, connections int) (h *traffic.Hold, end func()) {
	b.t.Helper()
	h, err := traffic.TCPHold(b.t.Context(), b.client, traffic.HoldPlan{Target: vip, Connections: connections})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
	b.t.Cleanup(end)
	return h, end
}

// moreRounds waits until every connection that is well has exchanged lines
// from now on.
func (b *bed) moreRounds(h *traffic.Hold) {
	b.t.Helper()
	before := h.Rounds()
	netns.WaitFor(b.t, func() bool { return h.Rounds() >= before+3 }, "lines on every held connection")
}

// sendUDP sends datagrams on many flows until the function it returns is
// called.
func (b *bed) sendUDP(vip netip.AddrPort, flows int) (p *traffic.Progress, end func() traffic.UDPResult) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	p = &traffic.Progress{}
	var result traffic.UDPResult
	done := make(chan error, 1)
	go func() {
		var err error
		result, err = traffic.UDPRun(ctx, b.client, traffic.UDPPlan{Target: vip, Flows: flows, Rate: 5000, Progress: p})
		done <- err
	}()
	ended := false
	wait := func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	}
	b.t.Cleanup(wait)
	return p, func() traffic.UDPResult {
		wait()
		return result
	}
}

// moreDatagrams waits until n more have been answered.
func (b *bed) moreDatagrams(p *traffic.Progress, n int) {
	b.t.Helper()
	before := p.Counts().Answered
	netns.WaitFor(b.t, func() bool { return p.Counts().Answered >= before+n }, "datagrams that are answered")
}

// memberList names backends in both families.
func memberList(indexes ...int) []site.Member {
	var list []site.Member
	for _, i := range indexes {
		list = append(list, site.Member{Index: i, Weight: 1})
	}
	return list
}

// onlyBackendFailed fails where a connection of another backend broke.
func onlyBackendFailed(t *testing.T, h *traffic.Hold, gone string) {
	t.Helper()
	broken := map[string]int{}
	for _, c := range h.Conns() {
		if c.Err != nil {
			broken[c.Backend]++
		}
	}
	delete(broken, gone)
	if len(broken) > 0 {
		t.Errorf("connections of backends that stayed broke: %v; %v", broken, h.Err())
	}
}

// TestChangeUnderTraffic takes one backend out and another in under live TCP
// connections and UDP flows: those of the others do not notice.
func TestChangeUnderTraffic(t *testing.T) {
	t.Parallel()
	const connections, flows = 500, 400
	tests := []struct {
		name    string
		track   string
		members []site.Member // after the change, from b1 to b4
		gone    string
		fresh   string
	}{
		{"replace one", "moved", memberList(1, 2, 3, 5), "b4", "b5"},
		{"replace one, every flow tracked", "always", memberList(1, 2, 3, 5), "b4", "b5"},
		{"add one", "moved", memberList(1, 2, 3, 4, 5), "", "b5"},
		{"remove one", "moved", memberList(2, 3, 4), "b1", ""},
	}
	b := raise(t, site.World(5))
	b.serve(5)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := site.Config{Track: tt.track, Backends: memberList(1, 2, 3, 4)}
			if i == 0 {
				b.start(config.String())
			} else {
				b.stop()
				b.start(config.String())
			}
			vip := vips()[i%2]
			held, endHold := b.hold(vip, connections)
			if got := slices.Sorted(maps.Keys(held.Backends())); len(got) != 4 {
				t.Errorf("connections are on %v, want four backends", got)
			}
			progress, endUDP := b.sendUDP(vip, flows)
			b.moreRounds(held)
			b.moreDatagrams(progress, 5*flows)
			config.Backends = tt.members
			b.reload(config.String())
			b.moreRounds(held)
			b.moreDatagrams(progress, 5*flows)
			onlyBackendFailed(t, held, tt.gone)
			endHold()
			checkMoves(t, endUDP(), tt.gone)
			b.newConnections(t, vip, tt.gone, tt.fresh)
		})
	}
}

// checkMoves judges UDP over a change: only flows of the backend that is gone
// move, and only what was on its way to or from it is lost.
func checkMoves(t *testing.T, r traffic.UDPResult, gone string) {
	t.Helper()
	for _, m := range r.Moves {
		if m.From != gone {
			t.Errorf("%d times a flow moved from %s to %s; only those of %q may", m.Count, m.From, m.To, gone)
		}
	}
	missed := r.Sent - r.Answered
	if r.Corrupt > 0 || r.Duplicated > 0 || missed > r.Backends[gone].Flows {
		t.Errorf("%v; %d flows were on the backend that is gone", r.Err(), r.Backends[gone].Flows)
	}
}

// newConnections checks that new connections go where the config says.
func (b *bed) newConnections(t *testing.T, vip netip.AddrPort, gone, fresh string) {
	t.Helper()
	tcp, err := traffic.TCPRun(t.Context(), b.client, traffic.TCPPlan{Target: vip, Connections: 100, Messages: 1})
	if err := errors.Join(err, tcp.Err()); err != nil {
		t.Error(err)
	}
	if tcp.Backends[gone].Flows > 0 || fresh != "" && tcp.Backends[fresh].Flows == 0 {
		t.Errorf("new connections went to %v, want none on %q and some on %q", tcp.Backends, gone, fresh)
	}
}

// TestWeightZero: what is there stays, nothing new comes.
func TestWeightZero(t *testing.T) {
	t.Parallel()
	b := raiseServing(t, 2, site.Config{})
	vip := vips()[0]
	held, end := b.hold(vip, 100)
	config := site.Config{Backends: []site.Member{{Index: 1, Weight: 0}, {Index: 2, Weight: 1}}}
	b.reload(config.String())
	b.moreRounds(held)
	b.newConnections(t, vip, "b1", "b2")
	end()
	if err := held.Err(); err != nil {
		t.Error(err)
	}
	if n := held.Backends()["b1"].Flows; n == 0 {
		t.Error("no connection was on b1: nothing was tried")
	}
	// With nothing left that takes new flows they are dropped by name. (UDP
	// has no first packet: its flows may be old ones for one idle time.)
	config.Backends[1].Weight = 0
	b.reload(config.String())
	ctx, cancel := context.WithCancel(t.Context())
	dialled := make(chan error, 1)
	go func() {
		conn, err := b.client.Dial(ctx, "tcp", vip.String())
		if err == nil {
			conn.Close()
		}
		dialled <- err
	}()
	netns.WaitFor(t, func() bool { return b.verdict("no-backend") > 0 }, "a SYN that is dropped")
	cancel()
	if err := <-dialled; err == nil {
		t.Error("a backend of weight 0 took a new connection")
	}
}

// refuses checks that a new connection is dropped and counted under a reason.
func (b *bed) refuses(vip netip.AddrPort, reason string, before uint64) {
	b.t.Helper()
	udp, err := traffic.UDPRun(b.t.Context(), b.client, traffic.UDPPlan{Target: vip, Flows: 5, Datagrams: 5})
	if err != nil {
		b.t.Fatal(err)
	}
	if got := b.verdict(reason) - before; udp.Answered > 0 || got != 5 {
		b.t.Errorf("%d of 5 datagrams were answered, %d dropped as %s, want all dropped", udp.Answered, got, reason)
	}
}

// TestFewBackends: none at all is a config like any other.
func TestFewBackends(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(1))
	b.serve(1)
	none := site.Config{Backends: []site.Member{}}
	b.start(none.String())
	for _, vip := range vips() {
		b.refuses(vip, "no-backend", b.verdict("no-backend"))
	}
	b.reload(site.Config{Backends: site.Members(1)}.String())
	for _, vip := range vips() {
		udp, err := traffic.UDPRun(t.Context(), b.client, traffic.UDPPlan{Target: vip, Flows: 50, Datagrams: 200})
		if err := errors.Join(err, udp.Err()); err != nil {
			t.Errorf("with one backend: %v", err)
		}
		b.newConnections(t, vip, "", "b1")
	}
	b.reload(none.String())
	for _, vip := range vips() {
		b.refuses(vip, "no-backend", b.verdict("no-backend"))
	}
}
