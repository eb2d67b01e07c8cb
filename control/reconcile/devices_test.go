package reconcile

import (
	"net/netip"
	"slices"
	"testing"

	"steelyard/control/model"
	"steelyard/dataplane"
)

const lan = `
	interface wan eth0
	interface lan eth1
`

func TestAVIPIsClaimedOnTheLinkItBelongsTo(t *testing.T) {
	tests := []struct {
		name, config, machine string
		vip                   string
		want                  string // link, "" = none
		problem               string
	}{
		{"its interface is named", lan + "vip 192.0.2.1 lan", gateway, "192.0.2.1", "eth1", ""},
		{"a subnet holds it", lan + "vip 10.0.0.9", gateway, "10.0.0.9", "eth1", ""},
		{"an IPv6 subnet holds it", lan + "vip 2001:db8:1::9", gateway, "2001:db8:1::9", "eth0", ""},
		{"the longest of several subnets", lan + "vip 10.1.0.9", `
			link 2 eth0 10.0.0.1/8
			link 3 eth1 10.1.0.1/16`, "10.1.0.9", "eth1", ""},
		{"a subnet of a VLAN on a carrier", lan + "vip 198.51.100.9", `
			link 2 eth0 203.0.113.2/24
			link 3 eth1 10.0.0.254/24
			vlan 4 eth0.7 7 on 2 198.51.100.2/24`, "198.51.100.9", "eth0.7", ""},
		{"a subnet of a VLAN on the named interface", lan + "vip 198.51.100.9 wan", `
			link 2 eth0 203.0.113.2/24
			link 3 eth1 198.51.100.3/24
			vlan 4 eth0.7 7 on 2 198.51.100.2/24`, "198.51.100.9", "eth0.7", ""},
		{"a VIP already on a link is no subnet", lan + "vip 192.0.2.1", `
			link 2 eth0 203.0.113.2/24
			link 3 eth1 192.0.2.1/32
			next 192.0.2.0/24 by 2`, "192.0.2.1", "eth0", ""},
		{"a route holds it", lan + "vip 192.0.2.1", gateway, "192.0.2.1", "eth0", ""},
		{"a route by a VLAN holds it", lan + "vip 192.0.2.1", `
			link 2 eth0 203.0.113.2/24
			link 3 eth1 10.0.0.254/24
			vlan 4 eth0.7 7 on 2
			next 192.0.2.0/24 by 2 tagged 7`, "192.0.2.1", "eth0.7", ""},
		{"there is one interface", "interface wan eth0\nvip 192.0.2.1", "link 2 eth0", "192.0.2.1", "eth0", ""},
		{"subnets of other links do not count", lan + "vip 172.16.0.9", `
			link 2 eth0 203.0.113.2/24
			link 3 eth1 10.0.0.254/24
			link 5 eth2 172.16.0.1/24
			next 0.0.0.0/0 by 5`, "172.16.0.9", "",
			"VIP 172.16.0.9: no interface that is there has a subnet or route for it"},
		{"nothing says where", lan + "vip 192.0.2.1", "link 2 eth0\nlink 3 eth1", "192.0.2.1", "",
			"VIP 192.0.2.1: no interface that is there has a subnet or route for it"},
		{"the named interface is not attached", "interface wan eth0\nvip 192.0.2.1 lan", gateway, "192.0.2.1", "",
			"VIP 192.0.2.1: interface lan does not carry the program"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t.Errorf)
			w.path.native[2], w.path.native[3] = true, true
			w.around.set(machine(tt.machine))
			w.store.Replace(want(tt.config))
			w.step()
			s := w.rec.Status()
			if got := s.VIPs[0].Device; got != tt.want {
				t.Errorf("claimed on %q, want %q", got, tt.want)
			}
			if _, claimed := w.claims()[netip.MustParseAddr(tt.vip)]; claimed != (tt.want != "") {
				t.Errorf("claimed %v", claimed)
			}
			if tt.problem != "" && !slices.Contains(s.Problems, tt.problem) || tt.problem == "" && len(s.Problems) > 0 {
				t.Errorf("problems %q, want %q", s.Problems, tt.problem)
			}
		})
	}
}

// Once it is claimed, a VIP is an address of the box, and its own route leads
// nowhere else. A silent router says nothing about it either.
func TestAVIPStaysWhereItsRouteLed(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.1")
	w := start(t, lan+"vip 192.0.2.1")
	for _, change := range []string{
		gateway + "local 192.0.2.1",
		`link 2 eth0 203.0.113.2/24
		 link 3 eth1 10.0.0.254/24
		 local 192.0.2.1
		 unknown 0.0.0.0/0`,
	} {
		w.around.set(machine(change))
		w.step()
		w.wantProblems(t)
		if c := w.claims()[vip]; c.Ifindex != 2 {
			t.Errorf("claimed on %d, want 2", c.Ifindex)
		}
	}
}

func TestADeviceThatComesBackIsTakenAnew(t *testing.T) {
	w := start(t, web)
	w.around.set(machine("link 3 eth1 10.0.0.254/24"))
	w.step()
	w.wantProblems(t, "VIP 203.0.113.10: no interface that is there has a subnet or route for it", "interface wan: no device eth0")
	if _, ok := w.path.attached[2]; ok || len(w.claims()) > 0 {
		t.Errorf("attached %v, claims %v", w.path.attached, w.claims())
	}
	if s := w.rec.Status().Interfaces[0]; s.Ifindex != 0 || s.Mode != "" || s.Up {
		t.Errorf("interface %+v", s)
	}
	w.path.native[9] = true
	w.around.set(machine(`
		link 9 eth0 203.0.113.2/24
		link 3 eth1 10.0.0.254/24`))
	w.step()
	w.wantProblems(t)
	if c := w.claims()[netip.MustParseAddr("203.0.113.10")]; c.Ifindex != 9 || c.MAC != macOf(9) {
		t.Errorf("claim %+v", c)
	}
	if i := w.path.interfaces[9]; i.MAC != macOf(9) || i.Addr4 != netip.MustParseAddr("203.0.113.2") {
		t.Errorf("interface %+v", i)
	}
	if _, ok := w.path.interfaces[2]; ok || len(w.path.attached) != 2 {
		t.Errorf("interfaces %v, attached %v", w.path.interfaces, w.path.attached)
	}
	if s := w.rec.Status().Interfaces[0]; s.Ifindex != 9 || s.Mode != dataplane.AttachNative || !s.Up {
		t.Errorf("interface %+v", s)
	}
}

func TestInterfacesMayBeRenamedAndSwapped(t *testing.T) {
	w := start(t, lan)
	for _, config := range []string{
		"interface outside eth0\ninterface lan eth1",
		"interface outside eth1\ninterface lan eth0",
		"interface lan eth0\ninterface more eth1",
	} {
		w.path.changes()
		w.apply(config)
		if len(w.path.attached) != 2 || len(w.path.interfaces) != 2 {
			t.Errorf("%s: attached %v", config, w.path.attached)
		}
	}
	w.apply("interface lan eth0")
	if len(w.path.attached) != 1 || len(w.path.interfaces) != 1 {
		t.Errorf("attached %v, interfaces %v", w.path.attached, w.path.interfaces)
	}
}

func TestAnotherModeIsAttachedAnew(t *testing.T) {
	tests := []struct {
		name, from, to string
		want           dataplane.AttachMode
		detaches       int
	}{
		{"native is what auto takes", "", "native", dataplane.AttachNative, 0},
		{"auto is content with native", "native", "", dataplane.AttachNative, 0},
		{"native to generic", "native", "generic", dataplane.AttachGeneric, 1},
		{"generic to auto", "generic", "", dataplane.AttachNative, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, "interface wan eth0 "+tt.from)
			got := w.apply("interface wan eth0 " + tt.to)
			if w.path.attached[2] != tt.want || got["Detach"] != tt.detaches {
				t.Errorf("%s after %v", w.path.attached[2], got)
			}
		})
	}
}

func TestADeviceThatCannotBeAttachedStopsNoOther(t *testing.T) {
	w := newWorld(t.Errorf)
	w.path.native[3] = true
	w.around.set(machine(gateway))
	w.store.Replace(want("interface wan eth0 native\ninterface lan eth1"))
	w.step()
	w.wantProblems(t, "interface eth0: device 2: no native XDP")
	if w.path.attached[3] != dataplane.AttachNative {
		t.Errorf("attached %v", w.path.attached)
	}
}

// After a failure nobody knows whether the program is on the device.
func TestAFailedDetachIsRepeated(t *testing.T) {
	for _, call := range []string{"Attach", "Detach"} {
		for range 20 {
			w := start(t, "interface lan eth1")
			w.path.fails = func(c string) bool { return c == call }
			w.apply("interface wan eth0")
			w.apply("interface lan eth1")
			w.apply("interface wan eth0")
			w.apply("interface lan eth1")
			w.path.fails = nil
			w.step()
			w.wantProblems(t)
			if _, ok := w.path.attached[3]; !ok || len(w.path.attached) != 1 {
				t.Fatalf("%s failed; attached %v", call, w.path.attached)
			}
		}
	}
}

func TestNextHopsFollowTheMachine(t *testing.T) {
	w := start(t, web)
	next := func(addr string) dataplane.NextHop {
		b, alive := w.backend(addr)
		if !alive {
			t.Fatalf("%s is not alive", addr)
		}
		return b.Next
	}
	if n := next("10.0.0.1:80"); n.Kind != dataplane.NextHopNeighbor || n.Ifindex != 3 {
		t.Errorf("next hop %+v", n)
	}
	w.around.set(machine(`
		link 2 eth0 203.0.113.2/24
		link 3 eth1 10.0.0.254/24
		unknown 10.0.0.0/24
		next 10.0.0.2/32 by 3`))
	w.step()
	if n := next("10.0.0.1:80"); n != (dataplane.NextHop{}) {
		t.Errorf("next hop %+v, want none: the neighbour is gone", n)
	}
	if n := next("10.0.0.2:80"); n.Kind != dataplane.NextHopNeighbor {
		t.Errorf("next hop %+v of the neighbour that is there", n)
	}
	w.around.set(machine(gateway))
	w.path.changes()
	w.step()
	if n := next("10.0.0.1:80"); n.Kind != dataplane.NextHopNeighbor {
		t.Errorf("next hop %+v after the neighbour came back", n)
	}
	if got := w.path.changes()["PutBackends"]; got != 1 {
		t.Errorf("%d backends written for one neighbour", got)
	}
	if want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}; !slices.Equal(w.around.resolved, want) {
		t.Errorf("asked to resolve %v, want %v", w.around.resolved, want)
	}
}

// A native program cannot redirect to a device whose driver is not.
func TestAWayTheProgramCannotSendIsLeftToTheKernel(t *testing.T) {
	w := newWorld(t.Errorf)
	w.path.native[2] = true
	w.around.set(machine(gateway))
	w.store.Replace(want(web))
	w.step()
	if b, _ := w.backend("10.0.0.1:80"); b.Next != (dataplane.NextHop{}) {
		t.Errorf("next hop %+v by a device that cannot send", b.Next)
	}
	if n := w.path.routes[netip.MustParsePrefix("10.0.0.1/32")]; n != (dataplane.NextHop{}) {
		t.Errorf("route %+v by a device that cannot send", n)
	}
	if n := w.path.routes[netip.MustParsePrefix("0.0.0.0/0")]; n.Kind != dataplane.NextHopNeighbor {
		t.Errorf("route %+v by a device that can send", n)
	}
	if n := w.path.routes[netip.MustParsePrefix("203.0.113.2/32")]; n.Kind != dataplane.NextHopLocal {
		t.Errorf("route %+v to the box itself", n)
	}
}

func TestADeviceWithANewMACIsWrittenAndAnnounced(t *testing.T) {
	w := start(t, web)
	w.path.changes()
	changed := machine(gateway)
	mac := dataplane.MAC{2, 0, 0, 0, 0, 0xee}
	changed.Links[0].MAC = mac
	w.around.set(changed)
	w.step()
	wantChanges(t, w.path.changes(), map[string]int{"PutInterface": 1})
	if w.path.interfaces[2].MAC != mac || w.claims()[netip.MustParseAddr("203.0.113.10")].MAC != mac {
		t.Errorf("interface %+v, claims %v", w.path.interfaces[2], w.claims())
	}
}

func TestVIPsAndLinkLocalAddressesAreNoSourceOfErrors(t *testing.T) {
	w := newWorld(t.Errorf)
	w.around.set(machine("link 2 eth0 203.0.113.10/32 169.254.0.1/16 203.0.113.2/24 fe80::1/64 2001:db8::2/64"))
	w.store.Replace(want("interface wan eth0"))
	w.step()
	i := w.path.interfaces[2]
	if i.Addr4 != netip.MustParseAddr("203.0.113.2") || i.Addr6 != netip.MustParseAddr("2001:db8::2") {
		t.Errorf("interface %+v", i)
	}
}

func TestNothingHappensBeforeTheMachineIsKnown(t *testing.T) {
	w := newWorld(t.Errorf)
	w.store.Replace(want(web))
	if wait := w.step(); wait != retryMost || len(w.path.calls) > 0 {
		t.Errorf("wait %v, calls %v", wait, w.path.calls)
	}
	if s := w.rec.Status(); s.Revision != 0 || len(s.Services) > 0 {
		t.Errorf("status %+v", s)
	}
	w.around.set(model.Topology{Limits: []string{"slow"}})
	w.step()
	if s := w.rec.Status(); s.Revision != 1 || !slices.Equal(s.Limits, []string{"slow"}) {
		t.Errorf("status %+v", s)
	}
}
