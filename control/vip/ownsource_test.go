package vip

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
	"steelyard/testenv/packet"
)

// A reply that the packet path rewrote to come from a VIP, and gave to the
// kernel, must reach the client.
func TestKernelForwardsFromOwnSource(t *testing.T) {
	vip := netip.MustParseAddr("203.0.113.53")
	env := netns.New(t, ownSourceWorld())
	gw, client := env.Host("gw"), env.Host("client")
	var restore func() error
	if err := gw.Do(func() (err error) {
		if err := os.WriteFile(sysctlPath("lan", "rp_filter"), []byte("1"), 0o644); err != nil {
			return err
		}
		restore, err = AllowOwnSource("lan")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	capture, err := client.Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	lan, err := gw.Interface("lan")
	if err != nil {
		t.Fatal(err)
	}
	frame := packet.Build(
		packet.Ether{Dst: dataplane.MAC(lan.HardwareAddr), Src: dataplane.MAC{2, 0, 0, 0, 0, 9}},
		packet.IP{Src: vip, Dst: netip.MustParseAddr("203.0.113.200"), TTL: 64},
		packet.UDP{Src: 53, Dst: 4000},
		packet.Bytes("reply"),
	)
	if err := env.Host("backend").Send("eth0", frame); err != nil {
		t.Fatal(err)
	}
	netns.WaitFor(t, func() bool {
		for _, f := range capture.Frames() {
			if !f.Outgoing && strings.Contains(string(f.Data), "reply") {
				return true
			}
		}
		return false
	}, "the reply at the client")
	if _, err := capture.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := gw.Do(func() error { return restore() }); err != nil {
		t.Fatal(err)
	}
	if err := gw.Do(func() error {
		for key, want := range map[string]string{"accept_local": "0", "rp_filter": "1"} {
			got, err := os.ReadFile(sysctlPath("lan", key))
			if err != nil {
				return err
			}
			if strings.TrimSpace(string(got)) != want {
				t.Errorf("%s after restore: %q, want %q", key, got, want)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func ownSourceWorld() netns.World {
	prefix := netip.MustParsePrefix
	return netns.World{
		Hosts: []netns.Host{{Name: "client"}, {Name: "gw", Forward: true}, {Name: "backend"}},
		Links: []netns.Link{
			{
				A: netns.End{Host: "client", Device: "eth0", Addrs: []netip.Prefix{prefix("203.0.113.200/24")}},
				B: netns.End{Host: "gw", Device: "wan", Addrs: []netip.Prefix{prefix("203.0.113.1/24"), prefix("203.0.113.53/32")}},
			},
			{
				A: netns.End{Host: "gw", Device: "lan", Addrs: []netip.Prefix{prefix("10.20.0.1/24")}},
				B: netns.End{Host: "backend", Device: "eth0", Addrs: []netip.Prefix{prefix("10.20.0.11/24")}},
			},
		},
	}
}
