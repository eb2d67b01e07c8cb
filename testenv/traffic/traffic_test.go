package traffic

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"steelyard/testenv/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Addresses of the world's hosts.
const (
	client4, client4b = "192.0.2.2", "192.0.2.3"
	backend4          = "10.0.0.2"
	backend6          = "2001:db8:2::2"
)

// raise builds client - router - backend.
func raise(t *testing.T) (client, backend *netns.HostEnv) {
	t.Helper()
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	routes := func(via4, via6 string) []netns.Route {
		return []netns.Route{
			{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(via4)},
			{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr(via6)},
		}
	}
	env := netns.New(t, netns.World{
		Hosts: []netns.Host{
			{Name: "client", Routes: routes("192.0.2.1", "2001:db8:1::1")},
			{Name: "router", Forward: true},
			{Name: "backend", Routes: routes("10.0.0.1", "2001:db8:2::1")},
		},
		Links: []netns.Link{
			{
				A: netns.End{Host: "client", Device: "eth0", Addrs: prefixes(client4+"/24", client4b+"/24", "2001:db8:1::2/64")},
				B: netns.End{Host: "router", Device: "front", Addrs: prefixes("192.0.2.1/24", "2001:db8:1::1/64")},
			},
			{
				A: netns.End{Host: "router", Device: "back", Addrs: prefixes("10.0.0.1/24", "2001:db8:2::1/64")},
				B: netns.End{Host: "backend", Device: "eth0", Addrs: prefixes(backend4+"/24", backend6+"/64")},
			},
		},
	})
	return env.Host("client"), env.Host("backend")
}

func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

func TestRunsAgainstServer(t *testing.T) {
	netns.RequireRoot(t)
	client, backend := raise(t)
	server, _ := Serve(t, backend, "red", at(backend4, 53), at(backend6, 53))
	for _, target := range []netip.AddrPort{at(backend4, 53), at(backend6, 53)} {
		var progress Progress
		udp, err := UDPRun(t.Context(), client, UDPPlan{Target: target, Flows: 1000, Datagrams: 10_500, Progress: &progress})
		if err := errors.Join(err, udp.Err()); err != nil {
			t.Errorf("UDP to %s: %v", target, err)
		}
		if got, want := udp.Backends["red"], (Share{Flows: 1000, Messages: 10_500}); got != want || udp.Sent != want.Messages {
			t.Errorf("UDP to %s: share %+v of %d, want %+v", target, got, udp.Sent, want)
		}
		if got, want := progress.Counts(), (Counts{Sent: 10_500, Answered: 10_500}); got != want {
			t.Errorf("UDP to %s: progress %+v, want %+v", target, got, want)
		}
		tcp, err := TCPRun(t.Context(), client, TCPPlan{Target: target, Connections: 200, Messages: 3})
		if err := errors.Join(err, tcp.Err()); err != nil {
			t.Errorf("TCP to %s: %v", target, err)
		}
		if got, want := tcp.Backends["red"], (Share{Flows: 200, Messages: 600}); got != want || tcp.Completed != 200 {
			t.Errorf("TCP to %s: share %+v, %d completed, want %+v", target, got, tcp.Completed, want)
		}
	}
	if got, want := server.Served(), (Served{Datagrams: 21_000, Connections: 400, Lines: 1200}); got != want {
		t.Errorf("server counted %+v, want %+v", got, want)
	}
}

func TestUDPRunUntilToldToStop(t *testing.T) {
	netns.RequireRoot(t)
	client, backend := raise(t)
	Serve(t, backend, "red", at(backend4, 53))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type outcome struct {
		result UDPResult
		err    error
	}
	start := func(plan UDPPlan) chan outcome {
		done := make(chan outcome, 1)
		go func() {
			r, err := UDPRun(ctx, client, plan)
			done <- outcome{r, err}
		}()
		return done
	}
	var watched, slow Progress
	plan := UDPPlan{Target: at(backend4, 53), Flows: 10, Progress: &watched}
	endless := start(plan)
	plan.Datagrams, plan.Rate, plan.Progress = 1_000_000, 200, &slow
	limited := start(plan)
	netns.WaitFor(t, func() bool { return watched.Counts().Answered > 100 && slow.Counts().Answered > 3 }, "datagrams on both runs")
	cancel()
	got := <-endless
	if err := errors.Join(got.err, got.result.Err()); err != nil {
		t.Errorf("endless run: %v", err)
	}
	got = <-limited
	if !errors.Is(got.err, context.Canceled) || got.result.Err() != nil || got.result.Answered < 4 {
		t.Errorf("run cut short: %v, result %+v", got.err, got.result)
	}
}

func TestSourcesTakeTurns(t *testing.T) {
	netns.RequireRoot(t)
	client, backend := raise(t)
	target := at(backend4, 53)
	Serve(t, backend, "red", target)
	c, err := backend.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	sources := []netip.Addr{netip.MustParseAddr(client4), netip.MustParseAddr(client4b)}
	udp, err := UDPRun(t.Context(), client, UDPPlan{Target: target, Flows: 10, Datagrams: 10, Sources: sources})
	if err := errors.Join(err, udp.Err()); err != nil {
		t.Error(err)
	}
	tcp, err := TCPRun(t.Context(), client, TCPPlan{Target: target, Connections: 10, Sources: sources})
	if err := errors.Join(err, tcp.Err()); err != nil {
		t.Error(err)
	}
	frames, err := c.Stop()
	if err != nil {
		t.Error(err)
	}
	const eth, syn = 14, 2
	ports := map[string]map[string]bool{} // protocol and source address to ports
	for _, f := range frames {
		if d := f.Data; !f.Outgoing && len(d) > 48 && d[eth] == 0x45 && (d[eth+9] == 17 || d[eth+33]&syn != 0) {
			key := map[byte]string{6: "tcp ", 17: "udp "}[d[eth+9]] + netip.AddrFrom4([4]byte(d[eth+12:])).String()
			if ports[key] == nil {
				ports[key] = map[string]bool{}
			}
			ports[key][string(d[eth+20:eth+22])] = true
		}
	}
	for _, key := range []string{"udp " + client4, "udp " + client4b, "tcp " + client4, "tcp " + client4b} {
		if len(ports[key]) != 5 {
			t.Errorf("%s: %d source ports, want 5", key, len(ports[key]))
		}
	}
}
