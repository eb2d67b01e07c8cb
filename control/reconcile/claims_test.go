package reconcile

import (
	"net/netip"
	"slices"
	"testing"
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

func TestAClaimedVIPFollowsItsRoute(t *testing.T) {
	w := start(t, lan+"vip 192.0.2.1")
	w.around.set(machine(gateway + "local 192.0.2.1\nnext 192.0.2.0/24 by 3"))
	w.step()
	if c := w.claims()[netip.MustParseAddr("192.0.2.1")]; c.Ifindex != 3 {
		t.Errorf("claimed on %d, want 3", c.Ifindex)
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
