package reconcile

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// large is a snapshot of many services, each on a small pool of its own, and
// one service on a large pool; with the machine it runs on.
func large(services, backends int) (*model.Snapshot, model.Topology) {
	snap := want("interface wan eth0\ninterface lan eth1")
	topo := machine("link 2 eth0 203.0.113.2/24\nlink 3 eth1 10.0.0.1/8\nnext 0.0.0.0/0 by 2")
	neighbour := func(a netip.Addr) {
		n := dataplane.NextHop{Kind: dataplane.NextHopNeighbor, Ifindex: 3, Dst: dataplane.MAC{2, 1}}
		topo.Routes = append(topo.Routes, model.Route{Prefix: netip.PrefixFrom(a, 32), Next: n})
	}
	for i := range services {
		vip := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		name := fmt.Sprintf("s%05d", i)
		pool := model.Pool{Name: name}
		for j := range 2 + i%2 {
			a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(1 + j)})
			neighbour(a)
			pool.Backends = append(pool.Backends, model.Backend{Name: a.String(), Addr: netip.AddrPortFrom(a, 80), Weight: 1})
		}
		snap.Pools = append(snap.Pools, pool)
		snap.VIPs = append(snap.VIPs, model.VIP{Name: name, Addr: vip})
		topo.Links[0].Addrs = append(topo.Links[0].Addrs, netip.PrefixFrom(vip, 32)) // as after it was claimed
		snap.Services = append(snap.Services, model.Service{
			Name: name, VIPs: []netip.Addr{vip}, Mode: dataplane.ModeNAT, Pool: name, UDPIdle: udpIdle,
			Ports: []model.Port{{Port: 80, Proto: dataplane.TCP}},
		})
	}
	pool := model.Pool{Name: "large"}
	for i := range backends {
		a := netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i)})
		pool.Backends = append(pool.Backends, model.Backend{Name: a.String(), Addr: netip.AddrPortFrom(a, 80), Weight: 1})
	}
	vip := netip.MustParseAddr("203.1.0.1")
	snap.Pools = append(snap.Pools, pool)
	snap.VIPs = append(snap.VIPs, model.VIP{Name: "large", Addr: vip})
	snap.Services = append(snap.Services, model.Service{
		Name: "large", VIPs: []netip.Addr{vip}, Mode: dataplane.ModeNAT, Pool: "large", UDPIdle: udpIdle,
		Ports: []model.Port{{Port: 80, Proto: dataplane.TCP}},
	})
	return snap, topo
}

func largeWorld(services, backends int) (*world, model.Topology) {
	w := newWorld(nil)
	w.claim.complete = func(netip.Addr) []dataplane.ServiceKey { return nil }
	w.path.native[2], w.path.native[3] = true, true
	snap, topo := large(services, backends)
	w.around.set(topo)
	w.store.Replace(snap)
	return w, topo
}

func TestTenThousandServices(t *testing.T) {
	w, topo := largeWorld(10_000, 4000)
	w.step()
	s := w.rec.Status()
	if len(s.Problems) > 0 || len(s.Services) != 10_001 || len(w.claims()) != 10_001 {
		t.Fatalf("problems %q, %d services, %d claims", s.Problems, len(s.Services), len(w.claims()))
	}
	topo.Routes[5000].Next.Dst = dataplane.MAC{2, 9}
	w.around.set(topo)
	w.path.changes()
	w.step()
	wantChanges(t, w.path.changes(), map[string]int{"PutRoutes": 1, "PutBackends": 1})
}

func BenchmarkFirstStep(b *testing.B) {
	for b.Loop() {
		w, _ := largeWorld(10_000, 4000)
		began := time.Now()
		w.step()
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/step")
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc>>20), "MiB-heap")
		runtime.KeepAlive(w)
	}
}

func BenchmarkStepOfOneNeighbour(b *testing.B) {
	w, topo := largeWorld(10_000, 4000)
	w.step()
	for i := 0; b.Loop(); i++ {
		topo.Routes[5000].Next.Dst = dataplane.MAC{2, 9, byte(i)}
		w.around.set(topo)
		w.step()
	}
}

func BenchmarkStepOfOneWeight(b *testing.B) {
	w, _ := largeWorld(10_000, 4000)
	w.step()
	snap := w.store.Current()
	for i := 0; b.Loop(); i++ {
		next := *snap
		next.Pools = append([]model.Pool(nil), snap.Pools...)
		members := append([]model.Backend(nil), next.Pools[7].Backends...)
		members[0].Weight = 1 + i%5
		next.Pools[7].Backends = members
		w.store.Replace(&next)
		w.rec.Step(context.Background(), w.now)
	}
}

func BenchmarkStatus(b *testing.B) {
	w, _ := largeWorld(10_000, 4000)
	w.step()
	for b.Loop() {
		w.rec.Status()
	}
}

func BenchmarkScanOfAMillionFlows(b *testing.B) {
	w, _ := largeWorld(100, 100)
	w.step()
	w.rec.path = millionFlows{w.path}
	for b.Loop() {
		w.rec.scan()
	}
}

// millionFlows is a packet path whose flow table is full.
type millionFlows struct{ PacketPath }

func (millionFlows) Flows() iter.Seq[dataplane.Flow] {
	return func(yield func(dataplane.Flow) bool) {
		client := netip.MustParseAddr("198.51.100.1")
		for i := range 1_000_000 {
			f := dataplane.Flow{Client: netip.AddrPortFrom(client, uint16(i)), Service: dataplane.ServiceID(1 + i%100), Backend: dataplane.BackendID(1 + i%300)}
			if !yield(f) {
				return
			}
		}
	}
}
