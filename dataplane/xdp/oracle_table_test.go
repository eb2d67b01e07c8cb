package xdp_test

import (
	"math/rand"
	"net/netip"
	"testing"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/packet"
)

// tableBox is a box with one service that remembers every flow, and, shared,
// with two whose replies need an entry as well. The backend's number is none of
// a service's.
func tableBox(d cases.Devices, shared bool) *model.Box {
	b := model.New()
	b.Now, b.Closing, b.AnswersPerSecond, b.Listens = 9*time.Hour, historyClosing, 10, listens
	b.Devices[d.Outside], b.Devices[d.Inside] = true, true
	b.Interfaces[d.Outside] = dataplane.Interface{Ifindex: d.Outside, MAC: townOutside}
	b.Interfaces[d.Inside] = dataplane.Interface{Ifindex: d.Inside, MAC: townInside}
	vip, at := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddrPort("10.0.0.9:8080")
	b.VIPs[vip] = true
	b.Backends[9] = dataplane.Backend{ID: 9, Alive: true, Addr: at, Next: dataplane.NextHop{Kind: dataplane.NextHopNeighbor, Ifindex: d.Inside}}
	b.Rings[1] = &dataplane.Ring{Slots: []dataplane.Slot{{Current: 9, Settled: 9}}}
	for i, port := range []uint16{443, 8443} {
		key := dataplane.ServiceKey{Addr: vip, Port: port, Proto: dataplane.TCP}
		b.Services[key] = dataplane.Service{
			ID: dataplane.ServiceID(i + 1), Ring: 1, Mode: dataplane.ModeNAT, Track: dataplane.TrackAlways, Idle: historyIdle, SharedReplies: shared,
		}
	}
	b.Origins[dataplane.OriginKey{Addr: at.Addr(), Port: at.Port(), Proto: dataplane.TCP}] = dataplane.Origin{ID: 5, Shared: shared, Idle: historyIdle}
	return b
}

func tableFrame(source netip.AddrPort, port uint16, flags string) []byte {
	return packet.Build(
		packet.Ether{Dst: townOutside},
		packet.IP{Src: source.Addr(), Dst: netip.MustParseAddr("203.0.113.1")},
		packet.TCP{Src: source.Port(), Dst: port, Flags: flags},
	)
}

// TestSharedFlowsInFullTable fills a table of four buckets with flows that need
// two entries each: one may push out the other, but none may end up with the
// other's content.
func TestSharedFlowsInFullTable(t *testing.T) {
	rng := rand.New(rand.NewSource(seedFor(t)))
	onMachine(t, func(d cases.Devices) {
		m := newMachine(t, tableBox(d, true), 14)
		evictions := 0
		for range 30_000 {
			m.advance(time.Duration(rng.Intn(60)) * time.Millisecond)
			client := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.9"), uint16(30000+rng.Intn(60)))
			before := m.box.ListFlows()
			_, disagree := m.send(d.Outside, tableFrame(client, oneOf[uint16](rng, 443, 443, 443, 8443), oneOf(rng, "S", "S", "A", "FA")))
			if disagree != "" {
				t.Fatalf("client %s: %s", client, disagree)
			}
			evicted, _ := m.syncTable(before)
			evictions += len(evicted)
		}
		if evictions < 1000 {
			t.Errorf("only %d entries were evicted", evictions)
		}
	})
}

// TestTableHashPlacesFlows holds dataplane.TableHash against the program: in a
// table with room, entries lie in the order of the buckets that it says.
func TestTableHashPlacesFlows(t *testing.T) {
	onMachine(t, func(d cases.Devices) {
		m := newMachine(t, tableBox(d, false), plentyOfFlows)
		const ways, flows = 7, 1000
		for i := range flows {
			client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), 9}), uint16(i*61+1))
			if _, disagree := m.send(d.Outside, tableFrame(client, 443, "S")); disagree != "" {
				t.Fatal(disagree)
			}
		}
		buckets, last, seen := m.program.FlowCapacity()/ways, 0, 0
		for f := range m.program.Flows() {
			at := dataplane.Index(dataplane.TableHash(f.Client, scopeOf(f)), buckets)
			if at < last {
				t.Fatalf("flow %+v lies past bucket %d, its own is %d", f, last, at)
			}
			last, seen = at, seen+1
		}
		if seen != flows {
			t.Errorf("%d flows, want %d", seen, flows)
		}
	})
}
