package reconcile

import (
	"net/netip"
	"testing"
	"time"

	"steelyard/dataplane"
)

var client = netip.MustParseAddrPort("198.51.100.7:40000")

const webOne = `
	interface wan eth0
	interface lan eth1
	vip 203.0.113.10
	pool web 10.0.0.1:80
	service web 203.0.113.10 80/tcp web
`

func TestABackendThatComesBackHasANewNumber(t *testing.T) {
	w := start(t, web)
	before, _ := w.backend("10.0.0.2:80")
	w.apply(webOne)
	if _, alive := w.backend("10.0.0.2:80"); alive {
		t.Error("a removed backend is alive")
	}
	w.apply(web)
	after, alive := w.backend("10.0.0.2:80")
	if !alive || after.ID == before.ID {
		t.Errorf("number %d before, %d after", before.ID, after.ID)
	}
	if w.path.resets[after.ID] != 1 {
		t.Errorf("the counter of number %d was reset %d times", after.ID, w.path.resets[after.ID])
	}
}

func TestANumberIsUsedAgainOnlyWhenNoFlowNamesIt(t *testing.T) {
	w := start(t, web)
	gone, _ := w.backend("10.0.0.2:80")
	entry := &flowEntry{client: client, service: w.path.services[keyOf("203.0.113.10:80/tcp")].ID, backend: gone.ID, until: w.now.Add(tcpIdle)}
	w.path.flows[flowKey{client, uint32(entry.service)}] = entry
	w.apply(webOne)
	w.pass(tcpIdle / 2)
	w.apply(web)
	if b, _ := w.backend("10.0.0.2:80"); b.ID == gone.ID {
		t.Fatal("a number came back that a flow still names")
	}
	w.apply(webOne)
	w.pass(2 * tcpIdle)
	w.apply(web)
	if b, _ := w.backend("10.0.0.2:80"); int(b.ID) > 3 {
		t.Errorf("number %d: none was freed", b.ID)
	}
	if b, _ := w.backend("10.0.0.2:80"); w.path.resets[b.ID] != 2 {
		t.Errorf("the counter of number %d was reset %d times, want once for each life", b.ID, w.path.resets[b.ID])
	}
}

func TestANumberIsNotUsedAgainWhileThePathMayHoldIt(t *testing.T) {
	w := start(t, web)
	gone, _ := w.backend("10.0.0.2:80")
	w.path.fails = func(call string) bool { return call == "ReplaceRing" }
	w.apply(webOne)
	w.pass(5 * time.Minute)
	if _, retired := w.rec.backends.retired[gone.ID]; !retired {
		t.Error("a number was freed that the ring in force may still name")
	}
	w.path.fails = nil
	w.pass(5 * time.Minute)
	if _, retired := w.rec.backends.retired[gone.ID]; retired {
		t.Error("a number that nothing names is not freed")
	}
}

// A packet on its way through the program may remember a backend just after it
// has left the tables.
func TestANumberIsNotFreedByAScanOfTheSameMoment(t *testing.T) {
	w := start(t, web)
	gone, _ := w.backend("10.0.0.2:80")
	w.pass(scanIdle) // the next step scans
	w.apply(webOne)
	if _, retired := w.rec.backends.retired[gone.ID]; !retired {
		t.Error("freed by the scan of the step that removed it")
	}
}

func TestACounterThatCannotBeResetIsResetLater(t *testing.T) {
	w := newWorld(t.Errorf)
	w.around.set(machine(gateway))
	w.path.fails = func(call string) bool { return call == "ResetBackendCount" }
	w.store.Replace(want(web))
	w.step()
	w.path.fails = nil
	w.path.resets = map[dataplane.BackendID]int{}
	w.step()
	w.step()
	for id, n := range w.path.resets {
		if n != 1 {
			t.Errorf("number %d was reset %d times", id, n)
		}
	}
	if len(w.path.resets) != 2 {
		t.Errorf("resets %v, want both", w.path.resets)
	}
}

func TestWeightZeroLivesOutsideTheRing(t *testing.T) {
	w := start(t, web)
	before, _ := w.backend("10.0.0.2:80")
	w.apply(`
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		pool web 10.0.0.1:80 10.0.0.2:80*0
		service web 203.0.113.10 80/tcp web`)
	after, alive := w.backend("10.0.0.2:80")
	if !alive || before.ID != after.ID {
		t.Fatalf("before %+v, after %+v alive %v", before, after, alive)
	}
	for i, s := range w.path.rings[w.path.services[keyOf("203.0.113.10:80/tcp")].Ring].Slots {
		if s.Current == after.ID {
			t.Fatalf("slot %d gives new flows to a backend of weight 0", i)
		}
	}
	if _, ok := w.path.origins[keyOf("10.0.0.2:80/tcp")]; !ok {
		t.Error("replies of its flows are not known any more")
	}
}

// The flows of a service that moves to another pool are remembered with
// backends that are not its own any more.
func TestAServiceOnAnotherPoolHasANewNumber(t *testing.T) {
	const two = web + `
		pool other 10.0.0.3:80
		service other 203.0.113.10 81/tcp other`
	w := start(t, two)
	key := keyOf("203.0.113.10:80/tcp")
	before := w.path.services[key]
	w.apply(`
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		pool web 10.0.0.1:80 10.0.0.2:80
		pool other 10.0.0.3:80
		service web 203.0.113.10 80/tcp other
		service other 203.0.113.10 81/tcp web`)
	if after := w.path.services[key]; after.ID == before.ID || after.Ring == before.Ring {
		t.Errorf("before %+v, after %+v", before, after)
	}
	w.wantProblems(t)
}

func TestABackendOfTwoServicesIsShared(t *testing.T) {
	const shared = web + `
		service again 203.0.113.10 81/tcp web`
	a, b, origin := keyOf("203.0.113.10:80/tcp"), keyOf("203.0.113.10:81/tcp"), keyOf("10.0.0.1:80/tcp")
	w := start(t, shared)
	for _, key := range []dataplane.ServiceKey{a, b} {
		if s := w.path.services[key]; !s.SharedReplies || s.Track != dataplane.TrackAlways {
			t.Errorf("%s: %+v", key, s)
		}
	}
	if o := w.path.origins[origin]; !o.Shared || o.Service != (dataplane.ServiceKey{}) || o.ServiceID != 0 || o.Backend != 0 {
		t.Errorf("origin %+v", o)
	}
	w.apply(web)
	if o := w.path.origins[origin]; o.Shared || o.Service != a || o.ServiceID != w.path.services[a].ID {
		t.Errorf("origin %+v after one service went", o)
	}
	w.pass(time.Minute)
	if s := w.path.services[a]; s.SharedReplies || s.Track != dataplane.TrackMoved {
		t.Errorf("%+v after one service went", s)
	}
	if got, want := w.dump(), start(t, web).dump(); got != want {
		t.Errorf("afterwards:\n%s\nwant\n%s", got, want)
	}
}

// One backend for TCP and UDP is not ambiguous: the protocols tell them apart.
func TestABackendOfTwoProtocolsIsNotShared(t *testing.T) {
	w := start(t, `
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		pool dns 10.0.0.1:53
		service dns 203.0.113.10 53/tcp,53/udp dns`)
	for key, s := range w.path.services {
		if s.SharedReplies || s.Track != dataplane.TrackMoved {
			t.Errorf("%s: %+v", key, s)
		}
	}
	if tcp, udp := w.path.services[keyOf("203.0.113.10:53/tcp")], w.path.services[keyOf("203.0.113.10:53/udp")]; tcp.Idle != tcpIdle || udp.Idle != udpIdle {
		t.Errorf("idle times %v and %v", tcp.Idle, udp.Idle)
	}
}

// A service that tracked every flow may hold flows that live elsewhere than
// the quiet ring says. It goes on asking until they are gone.
func TestAServiceStopsTrackingOnlyWhenItsRingSaysTheSame(t *testing.T) {
	key := keyOf("203.0.113.10:80/tcp")
	w := start(t, web+"service more 203.0.113.10 81/tcp web")
	var to dataplane.BackendID
	at := client
	for port := uint16(40000); to == 0; port++ { // a client of the second backend
		at = netip.AddrPortFrom(client.Addr(), port)
		if id := w.path.packet(at, key, true); w.path.backends[id].Addr == netip.MustParseAddrPort("10.0.0.2:80") {
			to = id
		}
	}
	// Drain it and let the windows close: only the flow's entry knows now.
	const drained = `
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		pool web 10.0.0.1:80 10.0.0.2:80*0
		service web 203.0.113.10 80/tcp web
	`
	w.apply(drained + "service more 203.0.113.10 81/tcp web")
	talk := func(d time.Duration) {
		for end := w.now.Add(d); w.now.Before(end); w.pass(tcpIdle / 4) {
			if got := w.path.packet(at, key, false); got != to {
				t.Fatalf("the flow moved from %d to %d", to, got)
			}
		}
	}
	talk(4 * tcpIdle)
	if got := w.rec.Status().Asking; got != 0 {
		t.Fatalf("%d slots ask for services that ask always", got)
	}
	w.apply(drained)
	talk(4 * tcpIdle)
	if got := w.path.services[key].Track; got != dataplane.TrackAlways {
		t.Errorf("track %s while a flow lives elsewhere", got)
	}
	w.pass(2 * tcpIdle)
	if got := w.path.services[key].Track; got != dataplane.TrackMoved {
		t.Errorf("track %s after the flow ended", got)
	}
}

func TestAPoolOfBothFamiliesHasARingForEach(t *testing.T) {
	w := start(t, `
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		vip 2001:db8:1::10
		pool web 10.0.0.1:80 [fd00::1]:80 [fd00::2]:80
		service web 203.0.113.10,2001:db8:1::10 80/tcp web`)
	v4, v6 := w.path.services[keyOf("203.0.113.10:80/tcp")], w.path.services[keyOf("[2001:db8:1::10]:80/tcp")]
	if v4.Ring == v6.Ring || v4.SharedReplies || v6.SharedReplies {
		t.Fatalf("IPv4 %+v, IPv6 %+v", v4, v6)
	}
	for ring, want := range map[dataplane.RingID]int{v4.Ring: 1, v6.Ring: 2} {
		ids := w.path.namedBy(w.path.rings[ring])
		if len(ids) != want {
			t.Errorf("ring %d names %v, want %d", ring, ids, want)
		}
		for id := range ids {
			if w.path.backends[id].Addr.Addr().Is4() != (ring == v4.Ring) {
				t.Errorf("ring %d names %s", ring, w.path.backends[id].Addr)
			}
		}
	}
	if claims := w.claims(); len(claims) != 2 {
		t.Errorf("claims %v", claims)
	}
	// Backends of a family that no service uses are not written.
	w.apply(`
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		pool web 10.0.0.1:80 [fd00::1]:80 [fd00::2]:80
		service web 203.0.113.10 80/tcp web`)
	if _, alive := w.backend("[fd00::1]:80"); alive || len(w.path.rings) != 1 {
		t.Errorf("rings %d, IPv6 backend alive %v", len(w.path.rings), alive)
	}
}

func TestAServiceWithoutBackendsHasAnEmptyRing(t *testing.T) {
	w := start(t, `
		interface wan eth0
		vip 203.0.113.10
		pool web
		service web 203.0.113.10 80/tcp web`)
	w.wantProblems(t)
	if got := w.path.packet(client, keyOf("203.0.113.10:80/tcp"), true); got != 0 {
		t.Errorf("a packet went to %d", got)
	}
	if _, ok := w.path.services[keyOf("203.0.113.10:80/tcp")]; !ok {
		t.Error("the service is not there")
	}
}
