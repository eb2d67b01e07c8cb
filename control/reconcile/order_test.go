package reconcile

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"steelyard/dataplane"
)

// gateway is the machine of most tests: a side towards clients and one towards
// backends.
const gateway = `
	link 2 eth0 203.0.113.2/24 2001:db8:1::2/64
	link 3 eth1 10.0.0.254/24 fd00::fe/64
	local 203.0.113.2
	local 10.0.0.254
	unknown 10.0.0.0/24
	next 0.0.0.0/0 by 2
	next 10.0.0.1/32 by 3
	next 10.0.0.2/32 by 3
	next 10.0.0.3/32 by 3
`

// web is a service with two backends.
const web = `
	interface wan eth0
	interface lan eth1
	vip 203.0.113.10
	pool web 10.0.0.1:80 10.0.0.2:80
	service web 203.0.113.10 80/tcp web
`

func start(t *testing.T, config string) *world {
	t.Helper()
	w := newWorld(t.Errorf)
	w.path.native[2], w.path.native[3] = true, true
	w.around.set(machine(gateway))
	w.store.Replace(want(config))
	w.step()
	return w
}

// apply puts another config in force and returns what was written for it.
func (w *world) apply(config string) map[string]int {
	w.path.changes()
	w.store.Replace(want(config))
	w.step()
	return w.path.changes()
}

// backend returns what the packet path knows about a backend that is alive.
func (w *world) backend(addr string) (dataplane.Backend, bool) {
	for _, b := range w.path.backends {
		if b.Alive && b.Addr == netip.MustParseAddrPort(addr) {
			return b, true
		}
	}
	return dataplane.Backend{}, false
}

func (w *world) wantProblems(t *testing.T, want ...string) {
	t.Helper()
	if got := w.rec.Status().Problems; !slices.Equal(got, want) {
		t.Errorf("problems %q, want %q", got, want)
	}
}

func wantChanges(t *testing.T, got map[string]int, want map[string]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
}

// The rules that hold at every single write are checked by fakePath.check in
// all tests; here is one after the other what they have to see through.
func TestAPacketNeverMeetsSomethingThatIsNotThere(t *testing.T) {
	w := start(t, web)
	for _, config := range []string{
		web + `
			vip 203.0.113.11
			pool dns 10.0.0.3:53
			service dns 203.0.113.11,203.0.113.10 53/udp,53/tcp dns`,
		`interface wan eth0
			vip 203.0.113.11
			pool dns 10.0.0.2:53 10.0.0.3:53
			service dns 203.0.113.11 53/udp dns`,
		`interface wan eth0
			vip 203.0.113.11
			pool dns 10.0.0.1:53
			service dns 203.0.113.11 53/udp dns`,
		`interface wan eth0`,
		web,
	} {
		w.apply(config)
		w.wantProblems(t)
	}
	if got, want := w.dump(), start(t, web).dump(); got != want {
		t.Errorf("after it all:\n%s\nwant\n%s", got, want)
	}
}

func TestASecondStepWritesNothing(t *testing.T) {
	w := start(t, web)
	w.path.changes()
	w.step()
	wantChanges(t, w.path.changes(), map[string]int{})
	if got := w.rec.Status().Revision; got != 1 {
		t.Errorf("revision %d in force, want 1", got)
	}
}

func TestAChangeTouchesOnlyWhatChanged(t *testing.T) {
	const two = web + `
		vip 203.0.113.11
		pool dns 10.0.0.3:53
		service dns 203.0.113.11 53/udp dns`
	tests := []struct {
		name, config string
		want         map[string]int
	}{
		{"nothing", two, map[string]int{}},
		{"a weight", `
			interface wan eth0
			interface lan eth1
			vip 203.0.113.10
			vip 203.0.113.11
			pool web 10.0.0.1:80 10.0.0.2:80*2
			pool dns 10.0.0.3:53
			service web 203.0.113.10 80/tcp web
			service dns 203.0.113.11 53/udp dns`,
			map[string]int{"ReplaceRing": 1}},
		{"a new backend", `
			interface wan eth0
			interface lan eth1
			vip 203.0.113.10
			vip 203.0.113.11
			pool web 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80
			pool dns 10.0.0.3:53
			service web 203.0.113.10 80/tcp web
			service dns 203.0.113.11 53/udp dns`,
			map[string]int{"ResetBackendCount": 1, "PutBackends": 1, "PutOrigins": 1, "ReplaceRing": 1}},
		{"a backend less", `
			interface wan eth0
			interface lan eth1
			vip 203.0.113.10
			vip 203.0.113.11
			pool web 10.0.0.1:80
			pool dns 10.0.0.3:53
			service web 203.0.113.10 80/tcp web
			service dns 203.0.113.11 53/udp dns`,
			map[string]int{"ReplaceRing": 1, "DeleteOrigins": 1, "PutBackends": 1}},
		{"a service less", web, map[string]int{
			"DeleteServices": 1, "DeleteVIPs": 1, "ReplaceRing": 1, "DeleteOrigins": 1, "PutBackends": 1,
		}},
		{"another port", two + `
			service more 203.0.113.11 54/tcp web2
			pool web2 10.0.0.3:54`,
			map[string]int{"ResetBackendCount": 1, "PutBackends": 1, "PutOrigins": 1, "ReplaceRing": 1, "PutServices": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, two)
			wantChanges(t, w.apply(tt.config), tt.want)
		})
	}
}

func TestAVIPIsClaimedAfterItsTablesAndGivenUpBeforeThem(t *testing.T) {
	w := start(t, web)
	vip := netip.MustParseAddr("203.0.113.10")
	if c, ok := w.claims()[vip]; !ok || c.Ifindex != 2 || c.MAC != macOf(2) {
		t.Errorf("claims %v, want %s on 2", w.claims(), vip)
	}
	// fakePath.check and fakeClaimer.checkReady watch the order.
	w.apply(`interface wan eth0`)
	if len(w.claims()) != 0 || len(w.path.vips) != 0 || len(w.path.services) != 0 {
		t.Errorf("left of what was removed: claims %v, VIPs %v, services %v", w.claims(), w.path.vips, w.path.services)
	}
}

func TestFailedTablesKeepOldVIPsAndHoldUpNewOnes(t *testing.T) {
	w := start(t, web)
	const more = web + `
		vip 203.0.113.11
		pool dns 10.0.0.3:53
		service dns 203.0.113.11 53/udp dns`
	w.path.fails = func(call string) bool { return call == "PutServices" }
	w.apply(more)
	if got := w.claims(); len(got) != 1 {
		t.Errorf("claims %v while the new service is not there", got)
	}
	if got := w.rec.Status().Revision; got != 1 {
		t.Errorf("revision %d called in force, want 1", got)
	}
	w.wantProblems(t, "PutServices: injected failure")

	// The claimed one follows its device meanwhile, and the unwanted goes.
	w.around.set(machine(`
		link 7 eth0 203.0.113.2/24
		link 3 eth1 10.0.0.254/24`))
	w.step()
	if c := w.claims()[netip.MustParseAddr("203.0.113.10")]; c.Ifindex != 7 {
		t.Errorf("claimed on %d, want 7", c.Ifindex)
	}
	w.path.fails = nil
	w.step()
	if got := w.claims(); len(got) != 2 {
		t.Errorf("claims %v after the tables were written", got)
	}
	w.wantProblems(t)
}

func TestBeforeTheFirstTablesNothingIsClaimedOrGivenUp(t *testing.T) {
	w := newWorld(t.Errorf)
	w.around.set(machine(gateway))
	w.path.fails = func(call string) bool { return call == "PutBackends" }
	w.store.Replace(want(web))
	w.step()
	if w.claim.calls != 0 {
		t.Error("the claimer was told to give up what an earlier process may hold")
	}
	if got := w.rec.Status().Revision; got != 0 {
		t.Errorf("revision %d called in force", got)
	}
}

func TestAFailingClaimHoldsUpNothingElse(t *testing.T) {
	w := start(t, web)
	w.claim.fails = func() bool { return true }
	w.apply(`
		interface wan eth0
		interface lan eth1
		vip 203.0.113.10
		pool web 10.0.0.1:80
		service web 203.0.113.10 80/tcp web`)
	if _, ok := w.backend("10.0.0.2:80"); ok {
		t.Error("a removed backend is alive")
	}
	w.wantProblems(t, "claim VIPs: injected failure")
	w.claim.fails = nil
	w.step()
	w.wantProblems(t)
}

func TestATableThatFailsForWaysHoldsUpNoService(t *testing.T) {
	for _, call := range []string{"PutRoutes", "PutInterface", "ResetBackendCount", "Attach"} {
		t.Run(call, func(t *testing.T) {
			w := newWorld(t.Errorf)
			w.path.native[2], w.path.native[3] = true, true
			w.around.set(machine(gateway))
			w.path.fails = func(c string) bool { return c == call }
			w.store.Replace(want(web))
			w.step()
			if len(w.path.services) != 1 || len(w.path.vips) != 1 {
				t.Errorf("services %v, VIPs %v", w.path.services, w.path.vips)
			}
			if len(w.rec.Status().Problems) == 0 {
				t.Error("no problem told")
			}
			w.path.fails = nil
			w.step()
			w.wantProblems(t)
			if got, want := w.dump(), start(t, web).dump(); got != want {
				t.Errorf("afterwards:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A deleted entry of which the delete failed, and which is wanted again, is
// written again: it may be gone.
func TestWhatAFailedDeleteMayHaveDoneIsUndone(t *testing.T) {
	w := start(t, web)
	for _, call := range []string{"DeleteVIPs", "DeleteRoutes", "DeleteInterface", "DeleteServices"} {
		for range 20 { // the fake deletes some or none
			w.path.fails = func(c string) bool { return c == call }
			w.apply(`interface lan eth1`)
			w.around.set(machine(`link 3 eth1`))
			w.step()
			w.path.fails = nil
			w.around.set(machine(gateway))
			w.apply(web)
			w.wantProblems(t)
			if got, want := w.dump(), start(t, web).dump(); got != want {
				t.Fatalf("after a failed %s:\n%s\nwant\n%s", call, got, want)
			}
		}
	}
}

// A route to nowhere known is the zero value, which must not be taken for
// "nothing is known about it".
func TestAFailedWriteOfAnUnknownRouteIsRepeated(t *testing.T) {
	for range 20 {
		w := start(t, web)
		w.path.fails = func(c string) bool { return c == "PutRoutes" }
		lost := machine(gateway)
		for i := range lost.Routes {
			if lost.Routes[i].Next.Kind == dataplane.NextHopNeighbor {
				lost.Routes[i].Next = dataplane.NextHop{}
			}
		}
		w.around.set(lost)
		w.step()
		w.path.fails = nil
		w.step()
		for prefix, n := range w.path.routes {
			if n.Kind == dataplane.NextHopNeighbor {
				t.Fatalf("%s is still sent to %+v", prefix, n)
			}
		}
	}
}

// Where there is no room for more, what is there is still kept up to date.
func TestNoRoomForMoreDoesNotFreezeWhatIsThere(t *testing.T) {
	w := start(t, web)
	w.path.fails = nil
	const more = web + `
		pool dns 10.0.0.3:53
		service dns 203.0.113.10 53/udp dns`
	w.apply(more)
	full := 0
	w.path.fails = func(c string) bool {
		// The second write of backends in a step is that of new ones.
		if c == "PutBackends" {
			full++
		}
		return c == "PutBackends" && full%2 == 0
	}
	moved := machine(gateway)
	for i := range moved.Routes {
		moved.Routes[i].Next.Dst[5] = 9
	}
	w.around.set(moved)
	w.store.Replace(want(more + `
		pool new 10.0.0.3:99
		service new 203.0.113.10 99/udp new`))
	w.step()
	if b, _ := w.backend("10.0.0.1:80"); b.Next.Dst[5] != 9 {
		t.Errorf("a backend's new MAC did not get through: %+v", b.Next)
	}
}
