package vip

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"steelyard/dataplane"
)

func mac(n byte) dataplane.MAC { return dataplane.MAC{2, 0, 0, 0, 0, n} }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// The links of all cases. Every link's MAC ends in its index.
func testLinks() []link {
	up := func(index uint32, name, kind string) link {
		return link{index: index, name: name, kind: kind, mac: mac(byte(index)), up: true, mtu: 1500}
	}
	lo := up(1, "lo", "device")
	lo.mac, lo.mtu = dataplane.MAC{}, 65536
	vlan := up(4, "eth0.100", kindVLAN)
	vlan.parent, vlan.vlan, vlan.mtu = 2, 100, 1496
	double := up(5, "eth0.100.7", kindVLAN)
	double.parent, double.vlan = 4, 7
	service := up(6, "eth0.s9", kindVLAN)
	service.parent, service.vlan, service.serviceTag = 2, 9, true
	slaves := []link{up(8, "port0", "device"), up(9, "port1", "device")}
	slaves[0].master, slaves[1].master = 7, 7
	bondVLAN := up(10, "bond0.5", kindVLAN)
	bondVLAN.parent, bondVLAN.vlan = 7, 5
	return []link{
		lo, up(2, "eth0", "device"), up(3, "eth1", "device"), vlan, double, service,
		up(7, "bond0", kindBond), slaves[0], slaves[1], bondVLAN, up(11, "br0", "bridge"),
	}
}

func defaultRules() []rule {
	return []rule{
		{priority: 0, table: 255, plain: true}, {priority: 32766, table: 254, plain: true},
		{priority: 32767, table: 253, plain: true},
		{v6: true, priority: 0, table: 255, plain: true}, {v6: true, priority: 32766, table: 254, plain: true},
	}
}

// onLink, via and own are the usual routes.
func onLink(p string, oif uint32) route {
	return route{table: tableMain, kind: unix.RTN_UNICAST, prefix: prefix(p), oif: oif}
}

func via(p, gw string, oif uint32) route {
	r := onLink(p, oif)
	r.gw = addr(gw)
	return r
}

func own(p string, oif uint32) route {
	return route{table: tableLocal, kind: unix.RTN_LOCAL, prefix: prefix(p), oif: oif}
}

func with(r route, change func(*route)) route {
	change(&r)
	return r
}

func reachable(a string, ifindex uint32, last byte) neighbour {
	return neighbour{ifindex: ifindex, addr: addr(a), mac: mac(last), state: netlink.NUD_REACHABLE}
}

// resolveText prints the routes of a case, one a line.
func resolveText(v *view) []string {
	var lines []string
	for _, r := range v.topology.Routes {
		line := r.Prefix.String()
		switch r.Next.Kind {
		case dataplane.NextHopUnknown:
			line += " unknown"
		case dataplane.NextHopLocal:
			line += " local"
		case dataplane.NextHopNeighbor:
			line += nextText(r.Next)
		}
		if r.Gateway.IsValid() {
			line += " via " + r.Gateway.String()
		}
		lines = append(lines, line)
	}
	return lines
}

func nextText(n dataplane.NextHop) string {
	text := " dev " + strconv.Itoa(int(n.Ifindex))
	if n.VLAN != 0 {
		text += " vlan " + strconv.Itoa(int(n.VLAN))
	}
	return text + " " + strconv.Itoa(int(n.Src[5])) + ">" + strconv.Itoa(int(n.Dst[5])) + " mtu " + strconv.Itoa(int(n.MTU))
}

func TestResolve(t *testing.T) {
	for _, tt := range append(routeCases(), deviceCases()...) {
		t.Run(tt.name, func(t *testing.T) {
			s := &state{links: testLinks(), rules: defaultRules(), routes: tt.routes, neighs: tt.neighs}
			if tt.links != nil {
				tt.links(s.links)
			}
			if tt.carriers == nil {
				tt.carriers = []string{"eth0", "eth1"}
			}
			got := resolveText(resolve(s, carrierSet(tt.carriers...)))
			if !slices.Equal(got, tt.want) {
				t.Errorf("routes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func carrierSet(names ...string) map[string]bool {
	set := make(map[string]bool)
	for _, n := range names {
		set[n] = true
	}
	return set
}

func TestResolveNeighbourStates(t *testing.T) {
	tests := []struct {
		name   string
		state  uint16
		mac    dataplane.MAC
		usable bool
	}{
		{"reachable", netlink.NUD_REACHABLE, mac(9), true},
		{"stale", netlink.NUD_STALE, mac(9), true},
		{"delay", netlink.NUD_DELAY, mac(9), true},
		{"probe", netlink.NUD_PROBE, mac(9), true},
		{"permanent", netlink.NUD_PERMANENT, mac(9), true},
		{"noarp", netlink.NUD_NOARP, mac(9), true},
		{"failed", netlink.NUD_FAILED, mac(9), false},
		{"incomplete", netlink.NUD_INCOMPLETE, dataplane.MAC{}, false},
		{"none", netlink.NUD_NONE, dataplane.MAC{}, false},
		{"reachable without a MAC", netlink.NUD_REACHABLE, dataplane.MAC{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &state{
				links: testLinks(), rules: defaultRules(), routes: []route{onLink("10.0.0.0/24", 2)},
				neighs: []neighbour{{ifindex: 2, addr: addr("10.0.0.9"), mac: tt.mac, state: tt.state}},
			}
			v := resolve(s, carrierSet("eth0"))
			next := v.topology.Lookup(addr("10.0.0.9"))
			if usable := next.Kind == dataplane.NextHopNeighbor; usable != tt.usable {
				t.Errorf("resolved to %+v, want usable %v", next, tt.usable)
			}
		})
	}
}

func TestResolveLimits(t *testing.T) {
	many := func(n int) []route {
		routes := []route{onLink("10.0.0.0/8", 2), via("::/0", "fe80::1", 2)}
		for i := range n {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 0}), 24)
			routes = append(routes, with(via("0.0.0.0/0", "10.0.0.1", 2), func(r *route) { r.prefix = p }))
		}
		return routes
	}
	tests := []struct {
		name   string
		change func(*state)
		limit  string // part of the one limit; "" = none
		v4, v6 bool   // has routes
	}{
		{"default rules", func(*state) {}, "", true, true},
		{"rule by source", func(s *state) {
			s.rules = append(s.rules, rule{priority: 100, table: 254})
		}, "IPv4: policy rule 100", false, true},
		{"rule by source, IPv6", func(s *state) {
			s.rules = append(s.rules, rule{v6: true, priority: 1000, table: 254})
		}, "IPv6: policy rule 1000", true, false},
		{"plain rule for another table", func(s *state) {
			s.rules = append(s.rules, rule{priority: 100, table: 7, plain: true})
		}, "IPv4: policy rule 100", false, true},
		{"default rule changed", func(s *state) { s.rules[1].plain = false }, "IPv4: policy rule 32766", false, true},
		{"as many routes as fit", func(s *state) { s.routes = many(maxRoutes - 1) }, "", true, true},
		{"one more", func(s *state) { s.routes = many(maxRoutes) }, "IPv4: more than 16384 routes", false, true},
		{"listing was cut", func(s *state) {
			s.tooMany = [2]bool{false, true}
			s.routes = []route{onLink("10.0.0.0/8", 2)}
		}, "IPv6: more than 16384 routes", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &state{links: testLinks()[:3], rules: defaultRules(), routes: many(1)}
			tt.change(s)
			topo := resolve(s, carrierSet("eth0")).topology
			switch {
			case tt.limit == "" && len(topo.Limits) != 0:
				t.Errorf("limits %q, want none", topo.Limits)
			case tt.limit != "" && (len(topo.Limits) != 1 || !strings.Contains(topo.Limits[0], tt.limit)):
				t.Errorf("limits %q, want one with %q", topo.Limits, tt.limit)
			}
			var v4, v6 bool
			for _, r := range topo.Routes {
				v4, v6 = v4 || r.Prefix.Addr().Is4(), v6 || r.Prefix.Addr().Is6()
			}
			if v4 != tt.v4 || v6 != tt.v6 {
				t.Errorf("has IPv4 routes %v, IPv6 %v; want %v, %v", v4, v6, tt.v4, tt.v6)
			}
		})
	}
}

func TestResolveLinks(t *testing.T) {
	s := &state{
		links: testLinks(), rules: defaultRules(),
		addrs: []ifAddr{{2, prefix("203.0.113.53/32"), ownMark}, {2, prefix("10.0.0.2/24"), 0}},
	}
	type where struct {
		physical uint32
		vlan     uint16
	}
	tests := []struct {
		name     string
		carriers []string
		want     map[string]where
	}{
		{"physical devices", []string{"eth0", "eth1"}, map[string]where{
			"eth0": {2, 0}, "eth0.100": {2, 100}, "eth0.100.7": {5, 0}, "eth0.s9": {6, 0}, "bond0": {7, 0}, "port0": {7, 0}, "br0": {11, 0},
		}},
		{"bond", []string{"bond0"}, map[string]where{"bond0": {7, 0}, "port1": {7, 0}, "bond0.5": {7, 5}}},
		{"slaves", []string{"port0", "port1"}, map[string]where{"bond0": {8, 0}, "port1": {9, 0}, "bond0.5": {8, 5}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			topo := resolve(s, carrierSet(tt.carriers...)).topology
			for name, want := range tt.want {
				l := topo.LinkByName(name)
				if got := (where{l.Physical, l.VLAN}); got != want {
					t.Errorf("%s leaves by %+v, want %+v", name, got, want)
				}
			}
			eth0 := topo.LinkByName("eth0")
			if !slices.Equal(eth0.Addrs, []netip.Prefix{prefix("10.0.0.2/24"), prefix("203.0.113.53/32")}) {
				t.Errorf("addresses of eth0: %v", eth0.Addrs)
			}
			double := slices.ContainsFunc(topo.Limits, func(s string) bool { return strings.Contains(s, "eth0.100.7") })
			if want := tt.carriers[0] == "eth0"; double != want {
				t.Errorf("limits name the doubly tagged link: %v, want %v: %q", double, want, topo.Limits)
			}
		})
	}
}

// A listing in another order is the same network.
func TestResolveIgnoresOrder(t *testing.T) {
	cases := append(routeCases(), deviceCases()...)
	for _, tt := range cases {
		s := &state{links: testLinks(), rules: defaultRules(), routes: slices.Clone(tt.routes), neighs: slices.Clone(tt.neighs)}
		before := resolve(s, carrierSet("eth0", "eth1"))
		slices.Reverse(s.routes)
		slices.Reverse(s.neighs)
		if after := resolve(s, carrierSet("eth0", "eth1")); !sameTopology(&before.topology, &after.topology) {
			t.Errorf("%s: order matters:\n%q\n%q", tt.name, resolveText(before), resolveText(after))
		}
	}
}
