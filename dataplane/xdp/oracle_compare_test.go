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

// syncTable makes the oracle forget what the program's table evicted or did
// not take, after checking that it was allowed to, and returns those entries.
// before is the table as it was before the last packet.
func (m *machine) syncTable(before []dataplane.Flow) (evicted, refused []dataplane.Flow) {
	m.tb.Helper()
	is, was := map[flowID]dataplane.Flow{}, map[flowID]dataplane.Flow{}
	for f := range m.program.Flows() {
		is[idOf(f)] = f
	}
	for _, f := range before {
		was[idOf(f)] = f
	}
	for _, f := range m.box.ListFlows() {
		got, ok := is[idOf(f)]
		old, known := was[idOf(f)]
		delete(is, idOf(f))
		switch {
		case ok && got == f:
			continue
		case ok && remade(old, got, f):
			evicted = append(evicted, f)
			m.box.Learn(got)
			continue
		case ok:
			m.tb.Fatalf("the table has %+v, want %+v", got, f)
		case !known:
			refused = append(refused, f)
		case old.State == dataplane.FlowEstablished && f.State == dataplane.FlowEstablished:
			// Else it was unconfirmed, or this packet closed it.
			m.tb.Fatalf("confirmed flow %+v was evicted", old)
		default:
			evicted = append(evicted, f)
		}
		m.box.Forget(f)
	}
	for _, f := range is {
		m.tb.Fatalf("the table has %+v, which is nobody's", f)
	}
	return evicted, refused
}

// remade says whether an entry may be one that gave way to another of the same
// packet and was made anew: the same content, but unconfirmed as a first packet
// leaves it.
func remade(old, got, want dataplane.Flow) bool {
	same := got.Service == want.Service && got.Backend == want.Backend
	return same && old.Client.IsValid() && old.State != dataplane.FlowEstablished && got.State != dataplane.FlowEstablished
}

type flowID struct {
	client netip.AddrPort
	scope  uint32
}

func idOf(f dataplane.Flow) flowID { return flowID{f.Client, scopeOf(f)} }

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
