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

type resolveCase struct {
	name     string
	carriers []string // nil: eth0 and eth1
	links    func([]link)
	routes   []route
	neighs   []neighbour
	want     []string
}

func routeCases() []resolveCase {
	return []resolveCase{
		{
			name:   "own addresses are local",
			routes: []route{own("127.0.0.0/8", 1), own("203.0.113.53/32", 2), own("2001:db8::53/128", 2)},
			want:   []string{"127.0.0.0/8 local", "203.0.113.53/32 local", "2001:db8::53/128 local"},
		},
		{
			name: "anycast is local, broadcast the kernel's, groups and link-local left out",
			routes: []route{
				with(own("10.0.0.255/32", 2), func(r *route) { r.kind = unix.RTN_BROADCAST }),
				with(own("2001:db8::/128", 2), func(r *route) { r.kind = unix.RTN_ANYCAST }),
				with(own("ff00::/8", 2), func(r *route) { r.kind = unix.RTN_MULTICAST }),
				own("fe80::1/128", 2), onLink("fe80::/64", 2),
			},
			neighs: []neighbour{reachable("fe80::9", 2, 9)},
			want:   []string{"10.0.0.255/32 unknown", "2001:db8::/128 local"},
		},
		{
			name:   "subnet is unknown but for its neighbours",
			routes: []route{onLink("10.0.0.0/24", 2), onLink("2001:db8::/64", 2)},
			neighs: []neighbour{reachable("10.0.0.9", 2, 9), reachable("2001:db8::9", 2, 9)},
			want: []string{
				"10.0.0.0/24 unknown", "10.0.0.9/32 dev 2 2>9 mtu 1500",
				"2001:db8::/64 unknown", "2001:db8::9/128 dev 2 2>9 mtu 1500",
			},
		},
		{
			name:   "gateway",
			routes: []route{onLink("10.0.0.0/24", 2), via("0.0.0.0/0", "10.0.0.1", 2), via("::/0", "fe80::1", 3)},
			neighs: []neighbour{reachable("10.0.0.1", 2, 21), reachable("fe80::1", 3, 31)},
			want: []string{
				"0.0.0.0/0 dev 2 2>21 mtu 1500 via 10.0.0.1", "10.0.0.0/24 unknown",
				"10.0.0.1/32 dev 2 2>21 mtu 1500", "::/0 dev 3 3>31 mtu 1500 via fe80::1",
			},
		},
		{
			name:   "IPv4 behind an IPv6 gateway",
			routes: []route{via("198.51.100.0/24", "fe80::1", 2)},
			neighs: []neighbour{reachable("fe80::1", 2, 21)},
			want:   []string{"198.51.100.0/24 dev 2 2>21 mtu 1500 via fe80::1"},
		},
		{
			name:   "gateway known on another link only",
			routes: []route{via("0.0.0.0/0", "10.0.0.1", 2)},
			neighs: []neighbour{reachable("10.0.0.1", 3, 21)},
			want:   []string{"0.0.0.0/0 unknown"},
		},
		{
			name: "what only the kernel can do",
			routes: []route{
				with(onLink("10.1.0.0/16", 0), func(r *route) { r.kind = unix.RTN_BLACKHOLE }),
				with(onLink("10.2.0.0/16", 0), func(r *route) { r.kind = unix.RTN_UNREACHABLE }),
				with(onLink("10.3.0.0/16", 0), func(r *route) { r.kind = unix.RTN_PROHIBIT }),
				with(via("10.4.0.0/16", "10.0.0.1", 2), func(r *route) { r.special = true }),
				with(via("10.5.0.0/16", "10.0.0.1", 2), func(r *route) { r.dead = true }),
			},
			neighs: []neighbour{reachable("10.0.0.1", 2, 21)},
			want: []string{
				"10.1.0.0/16 unknown", "10.2.0.0/16 unknown", "10.3.0.0/16 unknown",
				"10.4.0.0/16 unknown", "10.5.0.0/16 unknown",
			},
		},
		{
			name: "lowest metric wins, a tie is the kernel's",
			routes: []route{
				with(via("10.1.0.0/16", "10.0.0.1", 2), func(r *route) { r.metric = 200 }),
				with(via("10.1.0.0/16", "10.0.0.2", 2), func(r *route) { r.metric = 100 }),
				with(via("10.1.0.0/16", "10.0.0.3", 2), func(r *route) { r.metric = 300 }),
				via("10.2.0.0/16", "10.0.0.1", 2), via("10.2.0.0/16", "10.0.0.2", 2),
				with(via("10.2.0.0/16", "10.0.0.1", 2), func(r *route) { r.metric = 5 }),
			},
			neighs: []neighbour{reachable("10.0.0.1", 2, 21), reachable("10.0.0.2", 2, 22)},
			want:   []string{"10.1.0.0/16 dev 2 2>22 mtu 1500 via 10.0.0.2", "10.2.0.0/16 unknown"},
		},
		{
			name: "the local table comes first",
			routes: []route{
				via("10.0.0.53/32", "10.9.0.1", 2), own("10.0.0.53/32", 2),
				own("127.0.0.0/8", 1), via("127.5.0.0/16", "10.9.0.1", 2),
			},
			neighs: []neighbour{reachable("10.9.0.1", 2, 21)},
			want:   []string{"10.0.0.53/32 local", "127.0.0.0/8 local"},
		},
		{
			name: "a neighbour counts only where the kernel would look for it",
			routes: []route{
				onLink("10.0.0.0/24", 2), via("10.0.0.128/25", "10.0.0.1", 2), onLink("10.0.0.7/32", 3),
			},
			neighs: []neighbour{
				reachable("10.0.0.1", 2, 21),
				reachable("10.0.0.5", 3, 5),   // other link than the subnet's
				reachable("10.0.0.200", 2, 6), // behind the gateway
				reachable("10.0.0.7", 2, 7),   // has a route of its own
				reachable("192.0.2.1", 2, 8),  // no route at all
			},
			want: []string{
				"10.0.0.0/24 unknown", "10.0.0.1/32 dev 2 2>21 mtu 1500", "10.0.0.7/32 unknown",
				"10.0.0.128/25 dev 2 2>21 mtu 1500 via 10.0.0.1",
			},
		},
		{
			name: "MTU is the smaller of the route's and the link's",
			routes: []route{
				with(via("10.1.0.0/16", "10.0.0.1", 2), func(r *route) { r.mtu = 1400 }),
				with(via("10.2.0.0/16", "10.0.0.1", 2), func(r *route) { r.mtu = 9000 }),
				with(onLink("10.0.0.0/24", 2), func(r *route) { r.mtu = 1300 }),
			},
			neighs: []neighbour{reachable("10.0.0.1", 2, 21)},
			want: []string{
				"10.0.0.0/24 unknown", "10.0.0.1/32 dev 2 2>21 mtu 1300",
				"10.1.0.0/16 dev 2 2>21 mtu 1400 via 10.0.0.1", "10.2.0.0/16 dev 2 2>21 mtu 1500 via 10.0.0.1",
			},
		},
	}
}

func deviceCases() []resolveCase {
	gateways := []neighbour{
		reachable("10.0.0.1", 2, 21), reachable("10.0.0.1", 4, 21), reachable("10.0.0.1", 5, 21),
		reachable("10.0.0.1", 6, 21), reachable("10.0.0.1", 7, 21), reachable("10.0.0.1", 10, 21), reachable("10.0.0.1", 11, 21),
	}
	over := func(oif uint32) []route { return []route{via("0.0.0.0/0", "10.0.0.1", oif)} }
	cases := []resolveCase{
		{name: "VLAN", routes: over(4), want: []string{"0.0.0.0/0 dev 2 vlan 100 4>21 mtu 1496 via 10.0.0.1"}},
		{name: "two tags", routes: over(5), want: []string{"0.0.0.0/0 unknown"}},
		{name: "802.1ad tag", routes: over(6), want: []string{"0.0.0.0/0 unknown"}},
		{name: "bond that carries", carriers: []string{"bond0"}, routes: over(7),
			want: []string{"0.0.0.0/0 dev 7 7>21 mtu 1500 via 10.0.0.1"}},
		{name: "bond whose slaves carry", carriers: []string{"port0", "port1"}, routes: over(7),
			want: []string{"0.0.0.0/0 dev 8 7>21 mtu 1500 via 10.0.0.1"}},
		{name: "bond whose first slave is down", carriers: []string{"port0", "port1"}, routes: over(7),
			links: func(l []link) { l[7].up = false },
			want:  []string{"0.0.0.0/0 dev 9 7>21 mtu 1500 via 10.0.0.1"}},
		{name: "bond with one slave in use", carriers: []string{"port0", "port1"}, routes: over(7),
			links: func(l []link) { l[6].active = 9 },
			want:  []string{"0.0.0.0/0 dev 9 7>21 mtu 1500 via 10.0.0.1"}},
		{name: "bond with no slave up", carriers: []string{"port0", "port1"}, routes: over(7),
			links: func(l []link) { l[7].up, l[8].up = false, false },
			want:  []string{"0.0.0.0/0 unknown"}},
		{name: "VLAN of a bond", carriers: []string{"bond0"}, routes: over(10),
			want: []string{"0.0.0.0/0 dev 7 vlan 5 10>21 mtu 1500 via 10.0.0.1"}},
		{name: "VLAN of a bond whose slaves carry", carriers: []string{"port1"}, routes: over(10),
			want: []string{"0.0.0.0/0 dev 9 vlan 5 10>21 mtu 1500 via 10.0.0.1"}},
		{name: "bridge is no carrier", routes: over(11), want: []string{"0.0.0.0/0 unknown"}},
		{name: "no carriers at all", carriers: []string{}, routes: over(2), want: []string{"0.0.0.0/0 unknown"}},
		{name: "link down", routes: over(2), links: func(l []link) { l[1].up = false },
			want: []string{"0.0.0.0/0 unknown"}},
		{name: "VLAN's parent down", routes: over(4), links: func(l []link) { l[1].up = false },
			want: []string{"0.0.0.0/0 unknown"}},
		{name: "VLAN's parent in another namespace", routes: over(4), links: func(l []link) { l[3].parent = 99 },
			want: []string{"0.0.0.0/0 unknown"}},
		{name: "link of a route that is gone", routes: over(99), want: []string{"0.0.0.0/0 unknown"}},
	}
	for i := range cases {
		cases[i].neighs = gateways
	}
	return cases
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
