package vip

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestHopsToKeep(t *testing.T) {
	s := &state{
		links: testLinks(), rules: defaultRules(),
		routes: []route{
			onLink("10.0.0.0/24", 2), via("10.20.0.0/16", "10.0.0.1", 2), via("0.0.0.0/0", "192.0.2.1", 11),
			via("2001:db8:1::/48", "fe80::1", 3), own("10.0.0.2/32", 2), onLink("10.11.0.0/24", 11),
		},
	}
	v := resolve(s, carrierSet("eth0", "eth1"))
	gateways := map[hop]bool{{2, addr("10.0.0.1")}: true, {3, addr("fe80::1")}: true}
	tests := []struct {
		name string
		addr string
		more *hop // besides the gateways
	}{
		{"on-link", "10.0.0.9", &hop{2, addr("10.0.0.9")}},
		{"behind a gateway", "10.20.3.4", nil},
		{"own address", "10.0.0.2", nil},
		{"on-link at a device that is no carrier", "10.11.0.9", nil},
		{"no route", "2001:db8:2::1", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := maps.Clone(gateways)
			if tt.more != nil {
				want[*tt.more] = true
			}
			if got := hopsToKeep(v, []netip.Addr{addr(tt.addr)}); !maps.Equal(got, want) {
				t.Errorf("keeps %v, want %v", got, want)
			}
		})
	}
}

func TestProberPlan(t *testing.T) {
	type step struct {
		after time.Duration // since the step before
		state uint16
		use   bool
		again time.Duration
	}
	const (
		none, failed, incomplete = netlink.NUD_NONE, netlink.NUD_FAILED, netlink.NUD_INCOMPLETE
		stale, reachable, delay  = netlink.NUD_STALE, netlink.NUD_REACHABLE, netlink.NUD_DELAY
	)
	s := time.Second
	tests := []struct {
		name  string
		steps []step
	}{
		{"never answers", []step{
			{0, none, true, s}, {0, incomplete, false, s}, {s, none, true, 2 * s}, {s, failed, false, s}, {s, failed, true, 4 * s},
			{4 * s, failed, true, 8 * s}, {8 * s, failed, true, 10 * s}, {10 * s, failed, true, 10 * s},
		}},
		{"answers and fails later", []step{
			{0, none, true, s}, {s / 2, reachable, false, 0}, {60 * s, failed, true, s}, {s, failed, true, 2 * s},
		}},
		{"fails at once after an answer", []step{
			{0, none, true, s}, {s / 10, reachable, false, 0}, {s / 10, failed, true, s},
		}},
		{"goes stale", []step{
			{0, stale, true, 20 * s}, {s, delay, false, 0}, {s, stale, false, 18 * s}, {18 * s, stale, true, 20 * s},
		}},
		{"known for ever", []step{{0, netlink.NUD_PERMANENT, false, 0}, {0, netlink.NUD_NOARP, false, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProber()
			now := time.Unix(1_000_000, 0)
			for i, st := range tt.steps {
				now = now.Add(st.after)
				v := resolve(&state{
					links: testLinks(), rules: defaultRules(), routes: []route{onLink("10.0.0.0/24", 2)},
					neighs: []neighbour{{ifindex: 2, addr: addr("10.0.0.9"), mac: mac(9), state: st.state}},
				}, carrierSet("eth0"))
				use, again := p.plan(now, v, []netip.Addr{addr("10.0.0.9")})
				if (len(use) == 1) != st.use || again != st.again {
					t.Errorf("step %d: asks for %v, again in %v; want %v, %v", i, use, again, st.use, st.again)
				}
			}
			v := resolve(&state{links: testLinks(), rules: defaultRules()}, nil)
			if use, again := p.plan(now, v, nil); len(use) != 0 || again != 0 || len(p.probes) != 0 {
				t.Errorf("with nothing to keep: asks for %v in %v, remembers %d", use, again, len(p.probes))
			}
		})
	}
}
