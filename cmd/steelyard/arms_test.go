package main_test

import (
	"errors"
	"strings"
	"testing"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// minimal is the smallest config that works.
const minimal = `
version: 1
interfaces: { wan: {} }
services:
  echo: { vip: 203.0.113.53, ports: [7000/udp, 7000/tcp], backends: [10.20.0.11:9000, 10.20.0.12:9000] }
  echo6: { vip: "2001:db8:80::53", ports: [7000/udp, 7000/tcp], backends: ["[fd00:20::11]:9000", "[fd00:20::12]:9000"] }
`

// TestArms runs the same traffic through every kind of gateway.
func TestArms(t *testing.T) {
	t.Parallel()
	const backends = 2
	config := site.Config{Backends: site.Members(backends)}
	oneArm := site.Config{Backends: site.Members(backends), Interfaces: []string{"wan"}}
	with := func(c site.Config, xdp string) string {
		c.XDP = xdp
		return c.String()
	}
	tests := []struct {
		name   string
		world  netns.World
		config string
		mode   dataplane.AttachMode
	}{
		{"two arms, native insisted on", site.World(backends), with(config, "native"), dataplane.AttachNative},
		{"two arms, generic", site.World(backends), with(config, "generic"), dataplane.AttachGeneric},
		{"one arm", site.OneArmedWorld(backends), with(oneArm, ""), dataplane.AttachNative},
		{"one arm, generic", site.OneArmedWorld(backends), with(oneArm, "generic"), dataplane.AttachGeneric},
		{"one arm, the smallest config", site.OneArmedWorld(backends), minimal, dataplane.AttachNative},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := raise(t, tt.world)
			b.serve(backends)
			b.start(tt.config)
			b.balances(t, backends)
			s := b.status()
			for _, i := range s.Interfaces {
				if i.XDP != tt.mode || !i.Up {
					t.Errorf("interface %s is up %t, attached %q, want %q", i.Name, i.Up, i.XDP, tt.mode)
				}
			}
			for _, v := range s.VIPs {
				if v.Device != "wan" || v.Foreign {
					t.Errorf("VIP %s is on %q, foreign %t, want it on wan and ours", v.Addr, v.Device, v.Foreign)
				}
			}
			table := b.output(b.gateway, b.daemon.CommandLine("status")[0], b.daemon.CommandLine("status")[1:]...)
			if !strings.Contains(table, string(tt.mode)) {
				t.Errorf("status does not say %s:\n%s", tt.mode, table)
			}
			b.noDrops()
		})
	}
}

// balances sends UDP and TCP to both VIPs and wants every answer, from each of
// the first n backends.
func (b *bed) balances(t *testing.T, n int) {
	t.Helper()
	for _, vip := range vips() {
		udp, err := traffic.UDPRun(t.Context(), b.client, traffic.UDPPlan{Target: vip, Flows: 200, Datagrams: 1000})
		if err := errors.Join(err, udp.Err()); err != nil {
			t.Errorf("UDP to %s: %v", vip, err)
		}
		tcp, err := traffic.TCPRun(t.Context(), b.client, traffic.TCPPlan{Target: vip, Connections: 100, Messages: 2, Size: 8000})
		if err := errors.Join(err, tcp.Err()); err != nil {
			t.Errorf("TCP to %s: %v", vip, err)
		}
		for i := 1; i <= n; i++ {
			if name := site.Backend(i); udp.Backends[name].Flows == 0 || tcp.Backends[name].Flows == 0 {
				t.Errorf("%s got nothing of UDP %v or TCP %v", name, udp.Backends, tcp.Backends)
			}
		}
	}
}
