package reconcile

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"steelyard/dataplane"
)

const webMore = `
	interface wan eth0
	interface lan eth1
	vip 203.0.113.10
	pool web 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80
	service web 203.0.113.10 80/tcp web
`

func (w *world) ring(key string) *dataplane.Ring {
	return w.path.rings[w.path.services[keyOf(key)].Ring]
}

// asking counts slots that ask, and those of them whose window is open.
func asking(r *dataplane.Ring) (asks, open int) {
	for _, s := range r.Slots {
		if s.Ask {
			asks++
		}
		if s.Settled != s.Current {
			open++
		}
	}
	return asks, open
}

func TestAMovedSlotAsksUntilItsFlowsAreKnownAndNoneDisagrees(t *testing.T) {
	const key = "203.0.113.10:80/tcp"
	w := start(t, web)
	w.apply(webMore)
	asks, open := asking(w.ring(key))
	if asks == 0 || asks != open || w.rec.Status().Asking != asks {
		t.Fatalf("%d slots ask, %d open, status %d", asks, open, w.rec.Status().Asking)
	}
	w.pass(tcpIdle)
	if now, nowOpen := asking(w.ring(key)); now != asks || nowOpen != asks {
		t.Errorf("%d ask and %d are open after one idle time, want %d: the window has not ended", now, nowOpen, asks)
	}
	w.pass(scanEvery)
	if now, open := asking(w.ring(key)); now != asks || open != 0 {
		t.Errorf("%d ask and %d are open just after the window, want %d and 0", now, open, asks)
	}
	w.pass(scanEvery)
	if now, _ := asking(w.ring(key)); now != 0 {
		t.Errorf("%d ask after a scan that found nothing", now)
	}
}

// movedClient finds a client whose flow lives on the settled backend of an
// open slot.
func movedClient(t *testing.T, w *world, key dataplane.ServiceKey) (at netip.AddrPort, slot int) {
	t.Helper()
	ring := w.path.rings[w.path.services[key].Ring]
	for port := uint16(1024); port < 60000; port++ {
		at := netip.AddrPortFrom(client.Addr(), port)
		slot := dataplane.Index(dataplane.FlowHash(at, key), len(ring.Slots))
		if ring.Slots[slot].Ask {
			return at, slot
		}
	}
	t.Fatal("no slot asks")
	return
}

func TestAFlowElsewhereHoldsItsSlotsFlagUpAndNoOther(t *testing.T) {
	key := keyOf("203.0.113.10:80/tcp")
	w := start(t, web)
	w.apply(webMore)
	at, slot := movedClient(t, w, key)
	home := w.path.packet(at, key, false)
	for range 30 {
		w.pass(tcpIdle / 3)
		if got := w.path.packet(at, key, false); got != home {
			t.Fatalf("the flow moved from %d to %d", home, got)
		}
	}
	ring := w.path.rings[w.path.services[key].Ring]
	if asks, _ := asking(ring); asks != 1 || !ring.Slots[slot].Ask {
		t.Errorf("%d slots ask, slot %d %+v; want it alone", asks, slot, ring.Slots[slot])
	}
	w.pass(2 * tcpIdle)
	if asks, _ := asking(w.path.rings[w.path.services[key].Ring]); asks != 0 {
		t.Errorf("%d slots ask after the flow ended", asks)
	}
}

func TestAFlowOnADeadBackendHoldsNoFlagUp(t *testing.T) {
	key := keyOf("203.0.113.10:80/tcp")
	w := start(t, web)
	w.apply(webMore)
	at, _ := movedClient(t, w, key)
	home := w.path.backends[w.path.packet(at, key, false)].Addr
	for _, addr := range []string{"10.0.0.1:80", "10.0.0.2:80"} {
		if addr != home.String() {
			w.apply(`
				interface wan eth0
				interface lan eth1
				vip 203.0.113.10
				pool web ` + addr + ` 10.0.0.3:80
				service web 203.0.113.10 80/tcp web`)
		}
	}
	for _, f := range w.path.flows {
		f.until = w.now.Add(time.Hour)
	}
	w.pass(2 * tcpIdle)
	if asks, _ := asking(w.ring("203.0.113.10:80/tcp")); asks != 0 {
		t.Errorf("%d slots ask for a dead backend's flow", asks)
	}
}

func TestServicesThatAlwaysAskHoldNoFlagsUp(t *testing.T) {
	for _, track := range []string{"always", "never"} {
		t.Run(track, func(t *testing.T) {
			const key = "203.0.113.10:80/tcp"
			tracked := func(config string) string { return strings.TrimSpace(config) + " " + track }
			w := start(t, tracked(web))
			w.apply(tracked(webMore))
			svc := w.path.services[keyOf(key)]
			for id := range w.path.backends { // an entry for each backend
				at := netip.AddrPortFrom(client.Addr(), uint16(id))
				w.path.flows[flowKey{at, uint32(svc.ID)}] = &flowEntry{client: at, service: svc.ID, backend: id, until: w.now.Add(time.Hour)}
			}
			w.pass(2 * tcpIdle)
			if asks, _ := asking(w.ring(key)); asks != 0 {
				t.Errorf("%d slots ask for a service that tracks %s", asks, track)
			}
		})
	}
}

func TestRingsSettleWhileAnotherTableFails(t *testing.T) {
	w := start(t, web)
	w.apply(webMore)
	w.path.fails = func(call string) bool { return call == "PutServices" || call == "PutRoutes" }
	w.around.set(machine(gateway + "next 192.0.2.0/24 by 2"))
	w.store.Replace(want(webMore + `service more 203.0.113.10 81/udp other
		pool other 10.0.0.3:81`))
	w.pass(2 * tcpIdle)
	if asks, _ := asking(w.ring("203.0.113.10:80/tcp")); asks != 0 {
		t.Errorf("%d slots ask although their time is over", asks)
	}
}

// A ring that the packet path did not get is no ground to settle on: its
// window has not even begun.
func TestARingThatIsNotInForceDoesNotSettle(t *testing.T) {
	const key = "203.0.113.10:80/tcp"
	w := start(t, web)
	inForce := w.ring(key)
	blocked := &blockedRings{PacketPath: w.path, blocked: true}
	w.rec.path = blocked
	w.apply(webMore)
	w.pass(3 * tcpIdle)
	if w.ring(key) != inForce {
		t.Fatal("the ring got through")
	}
	blocked.blocked = false
	w.pass(retryMost)
	if asks, open := asking(w.ring(key)); asks == 0 || open != asks {
		t.Errorf("%d ask, %d open: the window began when the ring got through", asks, open)
	}
	w.pass(tcpIdle / 2)
	if asks, open := asking(w.ring(key)); asks == 0 || open != asks {
		t.Errorf("%d ask, %d open before one idle time was over", asks, open)
	}
	w.pass(tcpIdle)
	if asks, _ := asking(w.ring(key)); asks != 0 {
		t.Errorf("%d ask in the end", asks)
	}
}

// blockedRings takes no ring, and nothing of it.
type blockedRings struct {
	PacketPath
	blocked bool
}

func (b *blockedRings) ReplaceRing(id dataplane.RingID, r *dataplane.Ring) error {
	if b.blocked {
		return errInjected
	}
	return b.PacketPath.ReplaceRing(id, r)
}

// A packet on its way through the program with the ring before may make an
// entry that the scan of the same step has not seen.
func TestFlagsAreNeverClearedInTheStepThatPublishes(t *testing.T) {
	const key = "203.0.113.10:80/tcp"
	w := start(t, web)
	w.apply(webMore)
	w.pass(tcpIdle + scanEvery) // settled; the next scan would clear
	before, open := asking(w.ring(key))
	if before == 0 || open != 0 {
		t.Fatalf("%d ask, %d open", before, open)
	}
	w.setTime(w.now.Add(scanEvery)) // a scan is due in the very step
	w.apply(web)
	w.step() // would publish what the last one cleared
	if after, _ := asking(w.ring(key)); after < before {
		t.Errorf("%d slots ask after a step that published, %d before", after, before)
	}
}

// The packet path takes its time, and flows go on meanwhile: one that was heard
// just before its ring was there may be silent for an idle time from then on.
func TestAWindowBeginsWhenTheRingIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = tcpIdle / 2
		w := start(t, web)
		w.rec.path = slowRings{w.path, slow}
		w.apply(webMore)
		w.rec.path = w.path
		w.setTime(w.now.Add(slow))
		w.pass(tcpIdle)
		if asks, open := asking(w.ring("203.0.113.10:80/tcp")); asks == 0 || open != asks {
			t.Errorf("%d ask, %d open one idle time after the ring was there", asks, open)
		}
		w.pass(2 * scanEvery)
		if _, open := asking(w.ring("203.0.113.10:80/tcp")); open != 0 {
			t.Errorf("%d open in the end", open)
		}
	})
}

// slowRings takes a while for each ring.
type slowRings struct {
	PacketPath
	each time.Duration
}

func (s slowRings) ReplaceRing(id dataplane.RingID, r *dataplane.Ring) error {
	time.Sleep(s.each) // of the bubble's clock
	return s.PacketPath.ReplaceRing(id, r)
}

func TestDirectClientsAreForgottenWhenTheirFlowsEnd(t *testing.T) {
	w := start(t, web)
	w.pass(10 * time.Minute) // nothing waits for anything
	origin := keyOf("10.0.0.1:80/tcp")
	w.path.directClient(client, origin)
	w.pass(tcpIdle / 2)
	if !w.path.direct[origin] {
		t.Error("forgotten while the flow lives")
	}
	w.pass(scanIdle + tcpIdle)
	if w.path.direct[origin] {
		t.Error("not forgotten after the flow ended")
	}
	w.path.directClient(client, origin)
	w.path.fails = func(call string) bool { return call == "DirectOrigins" }
	w.pass(scanIdle + tcpIdle)
	w.wantProblems(t, "DirectOrigins: injected failure")
	w.path.fails = nil
	w.pass(2 * scanIdle)
	w.wantProblems(t)
	if w.path.direct[origin] {
		t.Error("not forgotten after a failure")
	}
}
