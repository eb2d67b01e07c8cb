package xdp_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model/cases"
)

// checkCounters compares all counters.
func (m *machine) checkCounters() {
	m.tb.Helper()
	got, err := m.program.Counters()
	m.must(err)
	for v := range got.Verdicts {
		if got.Verdicts[v] != m.box.Counters.Verdicts[v] {
			m.tb.Errorf("verdict %s counted %+v, want %+v", dataplane.Verdict(v), got.Verdicts[v], m.box.Counters.Verdicts[v])
		}
	}
	for id := range m.box.Backends {
		got, err := m.program.BackendCount(id)
		m.must(err)
		if want := m.box.BackendCounts[id]; got != want {
			m.tb.Errorf("backend %d counted %+v, want %+v", id, got, want)
		}
	}
	if m.opts.Flows >= plentyOfFlows && got.Flows != m.box.Counters.Flows {
		m.tb.Errorf("flow table counted %+v, want %+v", got.Flows, m.box.Counters.Flows)
	}
}

// plentyOfFlows is a flow table that no test here fills.
const plentyOfFlows = 20000

// listing is the program's flow table in the oracle's order.
func (m *machine) listing() []dataplane.Flow {
	return slices.SortedFunc(m.program.Flows(), compareFlows)
}

func compareFlows(a, b dataplane.Flow) int {
	if c := a.Client.Compare(b.Client); c != 0 {
		return c
	}
	return int(int64(scopeOf(a)) - int64(scopeOf(b)))
}

func scopeOf(f dataplane.Flow) uint32 {
	switch f.Kind {
	case dataplane.FlowReply:
		return dataplane.ScopeReply | f.Origin
	case dataplane.FlowDirect:
		return dataplane.ScopeDirect | f.Origin
	}
	return uint32(f.Service)
}

// checkFlows compares the flow tables, entry by entry.
func (m *machine) checkFlows() {
	m.tb.Helper()
	got, want := m.listing(), m.box.ListFlows()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			m.tb.Fatalf("flow %+v is not in the table", want[i])
		case i >= len(want):
			m.tb.Fatalf("flow %+v should not be in the table", got[i])
		case got[i] != want[i]:
			m.tb.Fatalf("flow %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// listen opens the port that the box itself listens on, for every address of
// both families.
func listen(tb testing.TB) {
	tb.Helper()
	port := strconv.Itoa(cases.ListenPort)
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	tcp, err := config.Listen(tb.Context(), "tcp", ":"+port)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = tcp.Close() })
	udp, err := config.ListenPacket(tb.Context(), "udp", ":"+port)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = udp.Close() })
}

// listens is what listen makes true.
func listens(_ dataplane.Protocol, vip, _ netip.AddrPort) bool { return vip.Port() == cases.ListenPort }

// seedFor returns the seed of a random test, from STEELYARD_SEED or the clock,
// and logs it.
func seedFor(tb testing.TB) int64 {
	tb.Helper()
	seed := time.Now().UnixNano()
	if text := os.Getenv("STEELYARD_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseInt(text, 10, 64); err != nil {
			tb.Fatalf("read STEELYARD_SEED: %v", err)
		}
	}
	tb.Logf("STEELYARD_SEED=%d", seed)
	return seed
}
