package reconcile

import (
	"net/netip"
	"testing"
	"time"

	"steelyard/dataplane"
)

func TestADirectClientIsRememberedAsLongAsTheLongestIdleTime(t *testing.T) {
	snap := want(`
		interface wan eth0
		vip 203.0.113.10
		pool dns 10.0.0.1:53
		service a 203.0.113.10 53/udp dns
		service b 203.0.113.10 54/udp dns
		service c 203.0.113.10 55/udp dns`)
	snap.Services[1].UDPIdle = time.Hour
	w := start(t, "interface wan eth0")
	w.store.Replace(snap)
	w.step()
	if o := w.path.origins[keyOf("10.0.0.1:53/udp")]; !o.Shared || o.Idle != time.Hour {
		t.Errorf("origin %+v", o)
	}
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
