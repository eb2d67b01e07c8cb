package vip

import "golang.org/x/sys/unix"

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
