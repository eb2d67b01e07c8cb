package main_test

import (
	"net/netip"
	"slices"
	"testing"

	"steelyard/control/api"
	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// The ports of site.Config's defaults.
const (
	vipPort     = 7000
	backendPort = 9000
)

// bed is a raised site for one test, and the daemon on its gateway.
type bed struct {
	t       *testing.T
	env     *netns.Env
	client  *netns.HostEnv
	gateway *netns.HostEnv
	daemon  *site.Daemon // nil before start
	// known are the gateway's addresses that are not the daemon's.
	known map[string]bool
}

// raise builds a world without a daemon.
func raise(t *testing.T, w netns.World) *bed {
	t.Helper()
	env := netns.New(t, w)
	b := &bed{t: t, env: env, client: env.Host(site.Client), gateway: env.Host(site.Gateway)}
	if err := b.gateway.Do(func() (err error) {
		b.known, err = site.Addresses()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

// raiseServing builds a two-armed site whose n backends answer with their
// names, and runs the daemon with a config. The backends of the config's zero
// value are those n.
func raiseServing(t *testing.T, n int, c site.Config) *bed {
	t.Helper()
	b := raise(t, site.World(n))
	b.serve(n)
	if c.Backends == nil {
		c.Backends = site.Members(n)
	}
	b.start(c.String())
	return b
}

// serve runs echo servers on the first n backends.
func (b *bed) serve(n int) {
	b.t.Helper()
	for i := 1; i <= n; i++ {
		traffic.Serve(b.t, b.backend(i), site.Backend(i),
			netip.AddrPortFrom(site.Backend4(i), backendPort), netip.AddrPortFrom(site.Backend6(i), backendPort))
	}
}

func (b *bed) backend(i int) *netns.HostEnv { return b.env.Host(site.Backend(i)) }

// start runs the daemon until the test ends and waits until the config is in
// force.
func (b *bed) start(config string) {
	b.t.Helper()
	b.launch(binaryPath, config)
	if err := b.daemon.WaitInForce(b.t.Context(), 1); err != nil {
		b.t.Fatal(err)
	}
}

// launch runs a program in the daemon's place and does not wait for it. When
// the test ends it is stopped, and must leave nothing behind.
func (b *bed) launch(program, config string) {
	b.t.Helper()
	d, err := site.Launch(b.t.Context(), b.gateway, program, b.t.TempDir(), config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.daemon = d
	b.t.Cleanup(func() {
		if b.daemon == d {
			b.stop()
		}
		if b.t.Failed() {
			b.t.Logf("the daemon's log:\n%s", d.Log())
		}
	})
}

// stop ends the daemon and looks for leftovers.
func (b *bed) stop() {
	b.t.Helper()
	if b.t.Failed() {
		if s, err := b.daemon.Status(b.t.Context()); err == nil {
			b.t.Logf("status at the end: %+v", s)
		}
	}
	if err := b.daemon.Stop(); err != nil {
		b.t.Error(err)
	}
	pins := b.daemon.Pins()
	b.daemon = nil
	if err := b.gateway.Do(func() error { return site.Leftovers(pins, b.known) }); err != nil {
		b.t.Error(err)
	}
}

// has tells whether the gateway has an address such as "10.0.0.1/24".
func (b *bed) has(address string) bool {
	b.t.Helper()
	var have map[string]bool
	if err := b.gateway.Do(func() (err error) {
		have, err = site.Addresses()
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return have[address]
}

// reload gives the daemon another config and waits until it is in force.
func (b *bed) reload(config string) {
	b.t.Helper()
	if err := b.daemon.Reload(b.t.Context(), config); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) status() api.Status {
	b.t.Helper()
	s, err := b.daemon.Status(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// verdict returns how many packets the packet path decided on in one way.
func (b *bed) verdict(name string) uint64 {
	b.t.Helper()
	return packets(b.status(), name)
}

func packets(s api.Status, verdict string) uint64 {
	for _, v := range s.Verdicts {
		if v.Name == verdict {
			return v.Packets
		}
	}
	return 0
}

// noDrops fails where the packet path dropped anything, but for the reasons
// given.
func (b *bed) noDrops(but ...string) {
	b.t.Helper()
	for _, v := range b.status().Verdicts {
		if v.Action == "drop" && !slices.Contains(but, v.Name) {
			b.t.Errorf("%d packets were dropped: %s", v.Packets, v.Doc)
		}
	}
}

// vips are the targets of the default service.
func vips() []netip.AddrPort {
	return []netip.AddrPort{netip.AddrPortFrom(site.VIP4, vipPort), netip.AddrPortFrom(site.VIP6, vipPort)}
}
