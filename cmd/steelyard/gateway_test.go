package main_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// reach exchanges UDP and TCP with one server and checks that it, and nobody
// else, answers.
func (b *bed) reach(t *testing.T, from *netns.HostEnv, target netip.AddrPort, server string) {
	t.Helper()
	udp, err := traffic.UDPRun(t.Context(), from, traffic.UDPPlan{Target: target, Flows: 20, Datagrams: 60, Wait: 5 * time.Second})
	if err := errors.Join(err, udp.Err()); err != nil {
		t.Errorf("UDP from %s to %s: %v", from.Name(), target, err)
	}
	tcp, err := traffic.TCPRun(t.Context(), from, traffic.TCPPlan{Target: target, Connections: 10, Messages: 3, Size: 3000})
	if err := errors.Join(err, tcp.Err()); err != nil {
		t.Errorf("TCP from %s to %s: %v", from.Name(), target, err)
	}
	if udp.Backends[server].Flows != 20 || tcp.Backends[server].Flows != 10 {
		t.Errorf("from %s to %s: answered by %v and %v, want %s only", from.Name(), target, udp.Backends, tcp.Backends, server)
	}
}

// TestOtherTraffic: what is not for a service passes as if Steelyard were not
// there, while a service is busy.
func TestOtherTraffic(t *testing.T) {
	t.Parallel()
	const sshPort, otherPort = 22, 2222
	b := raiseServing(t, 2, site.Config{})
	at := func(addr netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr, port) }
	traffic.Serve(t, b.gateway, "box", at(site.Gateway4.Addr(), sshPort), at(site.Gateway6.Addr(), sshPort),
		at(site.VIP4, otherPort), at(site.VIP6, otherPort))
	traffic.Serve(t, b.client, "client", at(site.Client4.Addr(), backendPort), at(site.Client6.Addr(), backendPort),
		at(site.Client4.Addr(), otherPort), at(site.Client6.Addr(), otherPort))
	traffic.Serve(t, b.backend(1), "other", at(site.Backend4(1), otherPort), at(site.Backend6(1), otherPort))
	held, end := b.hold(vips()[0], 50)
	tests := []struct {
		name   string
		from   *netns.HostEnv
		target [2]netip.AddrPort // IPv4, IPv6
		server string
	}{
		{"to the box's own address", b.client,
			[2]netip.AddrPort{at(site.Gateway4.Addr(), sshPort), at(site.Gateway6.Addr(), sshPort)}, "box"},
		{"to the box's own address, from a backend", b.backend(1),
			[2]netip.AddrPort{at(site.Gateway4.Addr(), sshPort), at(site.Gateway6.Addr(), sshPort)}, "box"},
		{"to a VIP's port that the box listens on", b.client,
			[2]netip.AddrPort{at(site.VIP4, otherPort), at(site.VIP6, otherPort)}, "box"},
		{"to a backend itself, on the service's port", b.client,
			[2]netip.AddrPort{at(site.Backend4(1), backendPort), at(site.Backend6(1), backendPort)}, "b1"},
		{"to a backend itself, on another port", b.client,
			[2]netip.AddrPort{at(site.Backend4(1), otherPort), at(site.Backend6(1), otherPort)}, "other"},
		{"from a backend to a client", b.backend(1),
			[2]netip.AddrPort{at(site.Client4.Addr(), otherPort), at(site.Client6.Addr(), otherPort)}, "client"},
		{"from a backend to the service's port of a client", b.backend(2),
			[2]netip.AddrPort{at(site.Client4.Addr(), backendPort), at(site.Client6.Addr(), backendPort)}, "client"},
		{"from backend to backend", b.backend(1),
			[2]netip.AddrPort{at(site.Backend4(2), backendPort), at(site.Backend6(2), backendPort)}, "b2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, target := range tt.target {
				b.reach(t, tt.from, target, tt.server)
			}
		})
	}
	b.moreRounds(held)
	end()
	if err := held.Err(); err != nil {
		t.Errorf("the service was disturbed: %v", err)
	}
	b.noDrops()
}

// TestUnusedPort: a VIP's port that nobody uses is silent and counted.
func TestUnusedPort(t *testing.T) {
	t.Parallel()
	b := raiseServing(t, 1, site.Config{})
	for _, f := range families() {
		before := b.verdict("no-service")
		b.refuses(netip.AddrPortFrom(f.vip, 9999), "no-service", before)
		ctx, cancel := context.WithCancel(t.Context())
		dialled := make(chan error, 1)
		go func() {
			conn, err := b.client.Dial(ctx, "tcp", netip.AddrPortFrom(f.vip, 9999).String())
			if err == nil {
				conn.Close()
			}
			dialled <- err
		}()
		netns.WaitFor(t, func() bool { return b.verdict("no-service") > before+5 }, "a SYN that is dropped")
		cancel()
		if err := <-dialled; err == nil {
			t.Errorf("somebody took a connection to port 9999 of %s", f.vip)
		}
	}
}

// TestNeighbours: questions for a VIP's MAC are answered, by the kernel.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	need(t, "arping", "arping")
	need(t, "ndisc6", "ndisc6")
	b := raiseServing(t, 1, site.Config{})
	want := mac(t, b.gateway, "wan").String()
	tests := []struct {
		name    string
		command []string
	}{
		{"ARP", []string{"arping", "-c", "2", "-I", "eth0", site.VIP4.String()}},
		{"NDP", []string{"ndisc6", "-1", site.VIP6.String(), "eth0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := b.output(b.client, tt.command[0], tt.command[1:]...)
			if !strings.Contains(strings.ToLower(out), want) {
				t.Errorf("%s does not name %s:\n%s", tt.command[0], want, out)
			}
		})
	}
}
