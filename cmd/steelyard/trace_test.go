package main_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"steelyard/testenv/site"
)

// family is one of the two worlds that every test has to look at.
type family struct {
	option  string // of traceroute and ping
	vip     netip.Addr
	gateway netip.Addr
	client  netip.Addr
}

func families() []family {
	return []family{
		{"-4", site.VIP4, site.Gateway4.Addr(), site.Client4.Addr()},
		{"-6", site.VIP6, site.Gateway6.Addr(), site.Client6.Addr()},
	}
}

// TestTraceroute: the box is a hop on the way to a service, as any router is.
func TestTraceroute(t *testing.T) {
	t.Parallel()
	need(t, "traceroute", "traceroute")
	need(t, "ping", "iputils-ping")
	b := raiseServing(t, 2, site.Config{})
	port := fmt.Sprint(vipPort)
	for _, f := range families() {
		tests := []struct {
			name string
			args []string
			want []netip.Addr
		}{
			{"UDP", []string{"-U", "-p", port}, []netip.Addr{f.gateway, f.vip}},
			{"TCP", []string{"-T", "-p", port}, []netip.Addr{f.gateway, f.vip}},
			// Ports that nobody uses: the box is a hop, and then silent.
			{"unused port", []string{"-U", "-p", "33434", "-w", "1"}, []netip.Addr{f.gateway, {}, {}}},
			// The box answers pings itself: the way ends here.
			{"ICMP", []string{"-I"}, []netip.Addr{f.vip}},
		}
		for _, tt := range tests {
			t.Run(tt.name+f.option, func(t *testing.T) {
				args := append([]string{f.option, "-n", "-q", "1", "-m", "3", "-w", "10"}, tt.args...)
				out := b.output(b.client, "traceroute", append(args, f.vip.String())...)
				if got := hops(out); !slices.Equal(got, tt.want) {
					t.Errorf("hops %v, want %v:\n%s", got, tt.want, out)
				}
			})
		}
		t.Run("ping"+f.option, func(t *testing.T) {
			b.output(b.client, "ping", f.option, "-n", "-c", "3", "-i", "0.2", "-W", "10", f.vip.String())
			b.output(b.client, "ping", f.option, "-n", "-c", "1", "-t", "1", "-W", "10", f.vip.String())
		})
	}
	if got := b.verdict("time-exceeded"); got != 6 {
		t.Errorf("time exceeded was answered %d times, want once for each traceroute over UDP and TCP", got)
	}
}

// hops lists the addresses of traceroute's lines; an unanswered hop is the
// zero Addr.
func hops(out string) []netip.Addr {
	var list []netip.Addr
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != fmt.Sprint(len(list)+1) {
			continue
		}
		addr, _ := netip.ParseAddr(words[1])
		list = append(list, addr)
	}
	return list
}
