package main_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"steelyard/control/api"
	"steelyard/testenv/site"
)

const (
	vip4OnHost = "203.0.113.53/32"
	vip6OnHost = "2001:db8:80::53/128"
)

// addByHand gives the gateway's wan an address as an operator does.
func (b *bed) addByHand(prefix string) {
	b.t.Helper()
	ip, subnet, err := net.ParseCIDR(prefix)
	if err != nil {
		b.t.Fatal(err)
	}
	subnet.IP = ip
	if err := b.gateway.Do(func() error {
		wan, err := netlink.LinkByName("wan")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(wan, &netlink.Addr{IPNet: subnet})
	}); err != nil {
		b.t.Fatal(err)
	}
	b.known[prefix] = true
}

// TestStop: SIGTERM and SIGINT leave the box as it was.
func TestStop(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(1))
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		b.start(site.Config{Backends: site.Members(1)}.String())
		d := b.daemon
		if !b.has(vip4OnHost) || !b.has(vip6OnHost) {
			t.Error("the VIPs are not on the gateway")
		}
		if _, err := os.Stat(filepath.Join(d.Pins(), "balancer")); err != nil {
			t.Error(err)
		}
		if err := d.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := d.Wait(); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		b.daemon = nil
		if err := b.gateway.Do(func() error { return site.Leftovers(d.Pins(), b.known) }); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(d.ConfigFile())); err != nil || len(entries) != 1 {
			t.Errorf("%s: the directory holds %v, want the config only: %v", s, entries, err)
		}
	}
}

// TestKilled: what a killed daemon could not take away, the next one does,
// and no more than that.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(1))
	b.serve(1)
	const byHand, byHand6 = "203.0.113.77/32", "2001:db8:80::77/128"
	b.addByHand(byHand)
	b.addByHand(byHand6)
	b.start(site.Config{Backends: site.Members(1)}.String())
	if err := b.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if !b.has(vip4OnHost) || !b.has(vip6OnHost) {
		t.Error("the VIPs went with the process: nothing is tried here")
	}
	b.start(site.Config{Backends: site.Members(1), VIPs: []netip.Addr{site.VIP4}}.String())
	if !b.has(vip4OnHost) {
		t.Error("the VIP of both configs is not on the gateway")
	}
	if b.has(vip6OnHost) {
		t.Error("the VIP that no config has any more is still on the gateway")
	}
	if !b.has(byHand) || !b.has(byHand6) {
		t.Error("an address that was added by hand is gone")
	}
	b.reach(t, b.client, vips()[0], "b1")
	b.stop()
	if !b.has(byHand) || !b.has(byHand6) {
		t.Error("an address that was added by hand went with the daemon")
	}
}

// TestForeignVIP: a VIP that is on the box already is used and left alone.
func TestForeignVIP(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(1))
	b.serve(1)
	b.addByHand(vip4OnHost)
	b.addByHand("2001:db8:80::53/64")
	b.start(site.Config{Backends: site.Members(1)}.String())
	for _, v := range b.status().VIPs {
		if !v.Foreign || v.Device != "wan" {
			t.Errorf("VIP %s is on %q, foreign %t, want it foreign", v.Addr, v.Device, v.Foreign)
		}
	}
	b.balances(t, 1)
	if err := b.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	b.start(site.Config{Backends: site.Members(1)}.String())
	b.reload(site.Config{Backends: site.Members(1), VIPs: []netip.Addr{netip.MustParseAddr("203.0.113.54")}}.String())
	b.stop()
	if !b.has(vip4OnHost) || !b.has("2001:db8:80::53/64") {
		t.Error("a VIP that was there before the daemon is gone")
	}
}

// TestSecondInstance: one that would share anything with a living one is
// refused, and the first does not notice.
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	b := raiseServing(t, 2, site.Config{})
	elsewhere := raise(t, site.World(1))
	held, end := b.hold(vips()[0], 50)
	pins, runDir := b.daemon.Pins(), filepath.Dir(b.daemon.ConfigFile())
	tests := []struct {
		name         string
		where        *bed
		pins, runDir string
		want         string
	}{
		{"everything the same", b, pins, runDir, "network namespace"},
		{"the same network namespace", b, pins + "-second", t.TempDir(), "network namespace"},
		{"the same pins", elsewhere, pins, t.TempDir(), pins},
		{"the same run directory", elsewhere, pins + "-second", runDir, runDir},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.where.cli(tt.where.gateway, "run", "-c", b.daemon.ConfigFile(), "--pin-path", tt.pins, "--run-dir", tt.runDir)
			if c.code != 1 || !strings.Contains(c.err, tt.want) || !strings.Contains(c.err, "--pin-path") {
				t.Errorf("exit code %d, want 1, who is in the way (%s) and what to do:\n%s", c.code, tt.want, c.err)
			}
			b.moreRounds(held)
			if !b.has(vip4OnHost) || !b.has(vip6OnHost) {
				t.Error("the VIPs of the first are gone")
			}
		})
	}
	end()
	if err := held.Err(); err != nil {
		t.Error(err)
	}
	b.balances(t, 2)
}

// TestVIPChanges: a reload moves services to other addresses.
func TestVIPChanges(t *testing.T) {
	t.Parallel()
	b := raiseServing(t, 1, site.Config{})
	fresh := []netip.Addr{netip.MustParseAddr("203.0.113.54"), netip.MustParseAddr("2001:db8:80::54")}
	for range 2 {
		b.reload(site.Config{Backends: site.Members(1), VIPs: fresh}.String())
		if b.has(vip4OnHost) || b.has(vip6OnHost) || !b.has("203.0.113.54/32") || !b.has("2001:db8:80::54/128") {
			t.Error("the gateway does not have exactly the new VIPs")
		}
		for _, vip := range fresh {
			b.reach(t, b.client, netip.AddrPortFrom(vip, vipPort), "b1")
		}
		b.reload(site.Config{Backends: site.Members(1)}.String())
		if !b.has(vip4OnHost) || !b.has(vip6OnHost) || b.has("203.0.113.54/32") || b.has("2001:db8:80::54/128") {
			t.Error("the gateway does not have exactly the old VIPs")
		}
		b.balances(t, 1)
	}
	b.noDrops()
}

// TestRefusedReload: a config with errors changes nothing and is not forgotten.
func TestRefusedReload(t *testing.T) {
	t.Parallel()
	b := raiseServing(t, 2, site.Config{})
	held, end := b.hold(vips()[1], 50)
	good, err := os.ReadFile(b.daemon.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	before := b.status().Revision
	b.rewrite(strings.Replace(string(good), "services:", "servises:", 1))
	if err := b.daemon.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := b.daemon.WaitStatus(t.Context(), func(s api.Status) bool { return s.Reload != "" }); err != nil {
		t.Fatal(err)
	}
	s := b.status()
	if s.Revision != before || !strings.Contains(s.Reload, b.daemon.ConfigFile()+":") || !strings.Contains(s.Reload, "servises") {
		t.Errorf("revision %d, want %d and the place of the error: %s", s.Revision, before, s.Reload)
	}
	for args, want := range map[string]int{"--exit-code": 8, "--exit-code=false": 0} {
		c := b.cli(b.gateway, "status", "--run-dir", filepath.Dir(b.daemon.ConfigFile()), args)
		if c.code != want || !strings.Contains(c.out, "servises") {
			t.Errorf("status %s: exit code %d, want %d and the reason:\n%s%s", args, c.code, want, c.out, c.err)
		}
	}
	b.moreRounds(held)
	b.balances(t, 2)
	end()
	if err := held.Err(); err != nil {
		t.Error(err)
	}
	b.reload(string(good))
	c := b.cli(b.gateway, "status", "--run-dir", filepath.Dir(b.daemon.ConfigFile()), "--exit-code")
	if s := b.status(); s.Reload != "" || c.code != 0 {
		t.Errorf("after a good config: exit code %d, reload %q", c.code, s.Reload)
	}
}

func (b *bed) rewrite(config string) {
	b.t.Helper()
	if err := os.WriteFile(b.daemon.ConfigFile(), []byte(config), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TestBPFFSIsMounted: on a machine without bpffs the daemon mounts it. The
// daemon runs in a mount namespace of its own for this.
func TestBPFFSIsMounted(t *testing.T) {
	t.Parallel()
	need(t, "unshare", "util-linux")
	b := raise(t, site.World(1))
	b.serve(1)
	script := filepath.Join(t.TempDir(), "steelyard")
	text := `#!/bin/sh
[ "$1" = run ] || exec ` + binaryPath + ` "$@"
exec unshare --mount sh -c '
	while grep -q " /sys/fs/bpf " /proc/self/mounts; do umount /sys/fs/bpf || exit 1; done
	exec "$@"' sh ` + binaryPath + ` "$@"
`
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	b.launch(script, site.Config{Backends: site.Members(1)}.String())
	if err := b.daemon.WaitInForce(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.daemon.Pins()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pins are in the bpffs of this machine, not in one that the daemon has mounted: %v", err)
	}
	b.balances(t, 1)
}
