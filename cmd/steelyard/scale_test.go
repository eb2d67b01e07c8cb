package main_test

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
)

// The size of a config that the product promises to bear, and the memory that
// it may take in the kernel.
const (
	manyServices = 10_000
	manyBackends = 4_000
	memoryLimit  = 256 << 20
)

// manyConfig is a config of that size. Its backends are behind b1, but for
// the one of the service on the usual port: b1 itself.
func manyConfig() string {
	const vipCount, poolCount = 40, 1000
	var c strings.Builder
	c.WriteString("version: 1\ninterfaces: { wan: {}, lan: {} }\nvips:\n")
	fmt.Fprintf(&c, "  front: { addresses: [%s], interface: wan }\n", site.VIP4)
	for i := range vipCount {
		fmt.Fprintf(&c, "  v%d: { addresses: [203.0.113.%d], interface: wan }\n", i, 60+i)
	}
	c.WriteString("pools:\n")
	for i := range poolCount {
		fmt.Fprintf(&c, "  p%d:\n    backends:\n", i)
		for j := range manyBackends / poolCount {
			fmt.Fprintf(&c, "      - 10.21.%d.%d:%d\n", i/10, 1+10*(i%10)+j, backendPort)
		}
	}
	c.WriteString("services:\n")
	fmt.Fprintf(&c, "  echo: { vip: front, ports: [%d/udp, %d/tcp], backends: [%s] }\n", vipPort, vipPort, netip.AddrPortFrom(site.Backend4(1), backendPort))
	for i := range manyServices {
		fmt.Fprintf(&c, "  s%d: { vip: v%d, ports: [%d/udp], pool: p%d }\n", i, i%vipCount, 10_000+i/vipCount, i%poolCount)
	}
	return c.String()
}

// TestManyServices runs a config of the promised size. How long it takes is
// logged and not judged: that is for benchmarks.
func TestManyServices(t *testing.T) {
	b := raise(t, site.World(1))
	b.serve(1)
	if err := b.gateway.AddRoute(netns.Route{To: netip.MustParsePrefix("10.21.0.0/16"), Via: site.Backend4(1)}); err != nil {
		t.Fatal(err)
	}
	config := manyConfig()
	start := time.Now()
	b.start(config)
	t.Logf("in force after %.1f s", time.Since(start).Seconds())
	b.checkMany(t)

	start = time.Now()
	b.reload(strings.Replace(config, "10.21.7.2:9000", "10.21.7.200:9000", 1))
	t.Logf("one backend replaced after %.1f s", time.Since(start).Seconds())
	b.checkMany(t)
}

func (b *bed) checkMany(t *testing.T) {
	t.Helper()
	s := b.status()
	if len(s.Services) != manyServices+2 {
		t.Errorf("status has %d services, want %d", len(s.Services), manyServices+2)
	}
	unresolved, backends := 0, map[netip.AddrPort]bool{}
	for _, pool := range s.Pools {
		for _, be := range pool.Backends {
			backends[be.Addr] = true
			if be.NextHop == "unresolved" {
				unresolved++
			}
		}
	}
	if len(backends) != manyBackends+1 {
		t.Errorf("status has %d backends, want %d", len(backends), manyBackends+1)
	}
	t.Logf("%d of the services' backends have no next hop yet", unresolved)
	bytes := mapMemory(t, b.daemon.PID())
	t.Logf("the tables take %d MiB", bytes>>20)
	if bytes == 0 || bytes > memoryLimit {
		t.Errorf("the tables take %d bytes, want at most %d", bytes, memoryLimit)
	}
	b.reach(t, b.client, vips()[0], "b1")
	b.noDrops()
}

// mapMemory adds up what the kernel says about the BPF maps that a process
// holds: map_id tells two descriptors of one map apart.
func mapMemory(t *testing.T, pid int) (bytes int64) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("no descriptors of process %d: %v", pid, err)
	}
	sizes := map[string]int64{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			continue // closed since
		}
		id, size := "", int64(0)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimSpace(value)
			switch key {
			case "map_id":
				id = value
			case "memlock":
				if size, err = strconv.ParseInt(value, 10, 64); err != nil {
					t.Error(err)
				}
			}
		}
		f.Close()
		if id != "" {
			sizes[id] = size
		}
	}
	for _, size := range sizes {
		bytes += size
	}
	return bytes
}
