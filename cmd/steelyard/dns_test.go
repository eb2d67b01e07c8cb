package main_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"steelyard/testenv/site"
)

// TestDNS asks real name servers through the balancer: each source port is a
// flow of its own, so all of them answer in time.
func TestDNS(t *testing.T) {
	t.Parallel()
	need(t, "dnsmasq", "dnsmasq-base")
	need(t, "dig", "bind9-dnsutils")
	const backends, enough = 3, 80
	b := raise(t, site.World(backends))
	for i := 1; i <= backends; i++ {
		b.nameServer(i)
	}
	b.start(site.Config{Ports: []string{"53/udp", "53/tcp"}, Port: 53, Backends: site.Members(backends)}.String())
	tests := []struct {
		name   string
		vip    netip.Addr
		option string
	}{
		{"IPv4 over UDP", site.VIP4, "+notcp"},
		{"IPv4 over TCP", site.VIP4, "+tcp"},
		{"IPv6 over UDP", site.VIP6, "+notcp"},
		{"IPv6 over TCP", site.VIP6, "+tcp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := map[string]int{}
			for n := 0; n < enough && len(seen) < backends; n++ {
				got := b.output(b.client, "dig", "@"+tt.vip.String(), "+short", "+identify", "+tries=1", "+time=10", tt.option, "who.test", "TXT")
				name, from, ok := strings.Cut(strings.TrimSpace(got), " from server ")
				if !ok || !strings.HasPrefix(from, tt.vip.String()+" ") {
					t.Fatalf("dig said %q, want an answer from %s", got, tt.vip)
				}
				seen[strings.Trim(name, `"`)]++
			}
			if len(seen) != backends {
				t.Errorf("answers came from %v after %d questions, want all of %d backends", seen, enough, backends)
			}
		})
	}
	b.noDrops()
}

// nameServer runs dnsmasq on a backend; its answer is the backend's name.
func (b *bed) nameServer(i int, more ...string) {
	b.t.Helper()
	host, name := b.backend(i), site.Backend(i)
	b.background(host, "dnsmasq", append([]string{"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root",
		"--no-resolv", "--no-hosts", "--bind-interfaces", "--interface=eth0", "--log-facility=-",
		"--txt-record=who.test," + name}, more...)...)
	for _, addr := range []netip.Addr{site.Backend4(i), site.Backend6(i)} {
		b.waitListening(host, netip.AddrPortFrom(addr, 53))
	}
	got := b.output(host, "dig", "@"+site.Backend4(i).String(), "+short", "who.test", "TXT")
	if want := fmt.Sprintf("%q", name); strings.TrimSpace(got) != want {
		b.t.Fatalf("the name server on %s said %q, want %s", name, got, want)
	}
}
