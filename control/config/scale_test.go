package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"steelyard/dataplane"
)

const (
	manyServices = 10_000
	manyBackends = 4_000
)

// large is a config of 10,000 services that share the 4,000 backends of two
// pools, one of them by literal VIPs.
func large() []byte {
	var b strings.Builder
	b.WriteString(base + "vips:\n")
	for i := range manyServices / 2 {
		fmt.Fprintf(&b, "  v%d: {addresses: [%s], interface: eth0}\n", i, vipAt(i))
	}
	for _, pool := range []string{"pools:\n  even:\n", "  odd:\n"} {
		b.WriteString(pool + "    backends:\n")
		for i := range manyBackends / 2 {
			fmt.Fprintf(&b, "      - %s\n", backendAt(i+b2i(pool == "  odd:\n")*manyBackends/2))
		}
	}
	b.WriteString("services:\n")
	for i := range manyServices {
		vip, pool := fmt.Sprintf("v%d", i/2), "even"
		if i%2 == 1 {
			vip, pool = vipAt(manyServices+i), "odd"
		}
		fmt.Fprintf(&b, "  s%d:\n    vip: %s\n    ports: [443/tcp, 53/udp]\n    pool: %s\n    udp: {idle: 10s}\n", i, vip, pool)
	}
	return []byte(b.String())
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func vipAt(i int) string {
	return netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}).String()
}

func backendAt(i int) string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 20, byte(i >> 8), byte(i)}), 8080).String()
}

func TestLarge(t *testing.T) {
	c, err := Parse("large.yaml", large())
	if err != nil {
		t.Fatal(err)
	}
	s := c.Snapshot
	checkSnapshot(t, s)
	if len(s.Services) != manyServices || len(s.VIPs) != manyServices || len(c.Warnings) != 0 {
		t.Errorf("got %d services, %d VIPs and %d warnings", len(s.Services), len(s.VIPs), len(c.Warnings))
	}
	if n := len(s.Pool("even").Backends) + len(s.Pool("odd").Backends); n != manyBackends {
		t.Errorf("got %d backends", n)
	}
	for _, x := range s.Services {
		var i int
		if _, err := fmt.Sscanf(x.Name, "s%d", &i); err != nil {
			t.Fatal(err)
		}
		pool, vip := "even", vipAt(i/2)
		if i%2 == 1 {
			pool, vip = "odd", vipAt(manyServices+i)
		}
		if x.Pool != pool || len(x.VIPs) != 1 || x.VIPs[0].String() != vip || len(x.Ports) != 2 || x.Ports[0].Proto != dataplane.TCP {
			t.Fatalf("service %+v", x)
		}
	}
}

// TestLargeRefused makes every reference wrong: each is reported, and the
// guesses at what was meant stay affordable.
func TestLargeRefused(t *testing.T) {
	text := strings.ReplaceAll(string(large()), "vip: v", "vip: w")
	if list := mustRefuse(t, text); len(list) != manyServices/2 {
		t.Errorf("got %d errors", len(list))
	}
}

func BenchmarkParseLarge(b *testing.B) {
	data := large()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("large.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}
