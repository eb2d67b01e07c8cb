package reconcile

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"steelyard/dataplane"
)

// anyConfig draws a config from a small universe: two interfaces under
// changing names, VIPs, pools that share backends, and services on them.
func anyConfig(t *rapid.T) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	mode := rapid.SampledFrom([]string{"", "", "native", "generic"})
	chance := func(label string, percent int) bool { return rapid.IntRange(0, 99).Draw(t, label) < percent }
	if chance("wan", 90) {
		say("interface %s eth0 %s", rapid.SampledFrom([]string{"wan", "outside"}).Draw(t, "name"), mode.Draw(t, "mode"))
	}
	if chance("lan", 90) {
		say("interface lan eth1 %s", mode.Draw(t, "mode"))
	}
	for _, vip := range []string{"203.0.113.10", "203.0.113.11", "198.51.100.10", "2001:db8:1::10"} {
		if !chance("vip", 80) {
			continue
		}
		say("vip %s %s", vip, rapid.SampledFrom([]string{"", "", "wan", "lan"}).Draw(t, "on"))
		for _, port := range []string{"80/tcp", "53/udp"} {
			if chance("service", 75) {
				say("service %s-%s %s %s %s %s", vip, port, vip, port, rapid.SampledFrom([]string{"a", "a", "b"}).Draw(t, "pool"),
					rapid.SampledFrom([]string{"", "", "", "", "always", "never"}).Draw(t, "track"))
			}
		}
	}
	for _, pool := range []string{"a", "b"} {
		fmt.Fprintf(&b, "pool %s", pool)
		for _, addr := range []string{"10.0.0.1:%s", "10.0.0.2:%s", "10.0.0.3:80", "[fd00::1]:%s", "[fd00::2]:80"} {
			if strings.Contains(addr, "%s") {
				addr = fmt.Sprintf(addr, map[string]string{"a": "1000", "b": "2000"}[pool])
			}
			if chance("backend", 70) {
				fmt.Fprintf(&b, " %s*%d", addr, rapid.SampledFrom([]int{1, 1, 1, 2, 0}).Draw(t, "weight"))
			}
		}
		say("")
	}
	return b.String()
}

// anyMachine draws a machine: devices with changing numbers that come and go,
// and what is known of the neighbours.
func anyMachine(t *rapid.T) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	wan := rapid.SampledFrom([]int{2, 2, 2, 12, 0}).Draw(t, "wan")
	lan := rapid.SampledFrom([]int{3, 3, 3, 13, 0}).Draw(t, "lan")
	if wan > 0 {
		say("link %d eth0 203.0.113.2/24 2001:db8:1::2/64", wan)
		if rapid.Bool().Draw(t, "vlan") {
			say("vlan 20 eth0.7 7 on %d 198.51.100.2/24", wan)
		}
		if rapid.Bool().Draw(t, "router") {
			say("next 0.0.0.0/0 by %d", wan)
		}
	}
	if lan > 0 {
		say("link %d eth1 10.0.0.254/24 fd00::fe/64", lan)
		for _, host := range []string{"10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "fd00::1/128"} {
			if rapid.Bool().Draw(t, "neighbour") {
				say("next %s by %d", host, lan)
			} else {
				say("unknown %s", host)
			}
		}
	}
	return b.String()
}

// conversation is what a client has had to do with a service.
type conversation struct {
	key   dataplane.ServiceKey
	port  uint16
	home  dataplane.BackendID
	svc   dataplane.ServiceID
	until time.Time
}

// history is a world with things going on in it.
type history struct {
	*world
	t     *rapid.T
	talks map[string]*conversation
}

// talk sends a packet of one of a few clients, and checks that a flow stays
// with its backend while that one is wanted.
func (h *history) talk(t *rapid.T) {
	vip := rapid.SampledFrom([]string{"203.0.113.10:80/tcp", "203.0.113.10:53/udp", "203.0.113.11:80/tcp", "198.51.100.10:53/udp", "[2001:db8:1::10]:80/tcp"}).Draw(t, "to")
	from := netip.MustParseAddr("192.0.2.7")
	key := keyOf(vip)
	if key.Addr.Is6() {
		from = netip.MustParseAddr("2001:db8::7")
	}
	at := netip.AddrPortFrom(from, rapid.Uint16Range(1000, 1400).Draw(t, "client"))
	name := at.String() + vip
	c := h.talks[name]
	svc := h.path.services[key]
	goesOn := c != nil && c.svc == svc.ID && !h.now.After(c.until) && svc.Track != dataplane.TrackNever && h.wants(key, c.home)
	got := h.path.packet(at, key, !goesOn)
	if got == 0 || svc.Track == dataplane.TrackNever {
		delete(h.talks, name) // nothing is promised to it
		return
	}
	if goesOn && got != c.home {
		t.Fatalf("the flow of %s with %s moved from %d to %d", at, key, c.home, got)
	}
	h.talks[name] = &conversation{key, at.Port(), got, svc.ID, h.now.Add(svc.Idle)}
}

// wants tells whether a backend is alive and in the pool that is wanted for a
// service now.
func (h *history) wants(key dataplane.ServiceKey, id dataplane.BackendID) bool {
	b := h.path.backends[id]
	if !b.Alive {
		return false
	}
	snap := h.store.Current()
	for _, s := range snap.Services {
		if s.VIPs[0] != key.Addr || s.Ports[0].Port != key.Port || s.Track == dataplane.TrackNever {
			continue
		}
		for _, m := range snap.Pool(s.Pool).Backends {
			if known, ok := h.rec.backends.byKey[memberKey{s.Pool, m.Addr}]; ok && known == id {
				return true
			}
		}
	}
	return false
}

// forget drops the conversations that nothing is promised to any more.
func (h *history) forget() {
	for name, c := range h.talks {
		if h.path.services[c.key].Track == dataplane.TrackNever || h.path.services[c.key].ID != c.svc || !h.wants(c.key, c.home) {
			delete(h.talks, name)
		}
	}
}

// direct has a client address a backend itself.
func (h *history) directly(t *rapid.T) {
	key := keyOf(rapid.SampledFrom([]string{"10.0.0.1:1000/tcp", "10.0.0.3:80/tcp", "10.0.0.3:80/udp"}).Draw(t, "backend"))
	h.path.directClient(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), rapid.Uint16().Draw(t, "client")), key)
}

func TestAnyOrderOfEventsEndsInTheTablesOfAFreshStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{world: newWorld(t.Fatalf), t: t, talks: map[string]*conversation{}}
		for _, ifindex := range []uint32{2, 3, 12} {
			h.path.native[ifindex] = true
		}
		config, topology := anyConfig(t), anyMachine(t)
		h.store.Replace(want(config))
		h.around.set(machine(topology))
		t.Repeat(map[string]func(*rapid.T){
			"config": func(t *rapid.T) {
				config = anyConfig(t)
				t.Logf("config:\n%s", config)
				h.store.Replace(want(config))
				h.forget()
			},
			"machine": func(t *rapid.T) {
				topology = anyMachine(t)
				t.Logf("machine:\n%s", topology)
				h.around.set(machine(topology))
			},
			"step": func(*rapid.T) { h.step(); h.forget() },
			"traffic": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "packets") {
					h.talk(t)
				}
			},
			"direct": h.directly,
			"a moment": func(t *rapid.T) {
				h.pass(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
				h.forget()
			},
			"a while": func(t *rapid.T) {
				h.pass(time.Duration(rapid.IntRange(5, 90).Draw(t, "s")) * time.Second)
				h.forget()
			},
			"failures": func(t *rapid.T) { h.breakDown(t) },
			"health":   func(*rapid.T) { h.path.fails, h.claim.fails = nil, nil },
		})
		h.path.fails, h.claim.fails = nil, nil
		h.pass(5 * time.Minute)
		h.compare(t, config, topology)
	})
}

// breakDown makes one kind of call fail, or a share of all.
func (h *history) breakDown(t *rapid.T) {
	calls := []string{
		"any", "Attach", "Detach", "PutInterface", "DeleteInterface", "PutRoutes", "DeleteRoutes", "PutBackends", "ResetBackendCount",
		"ReplaceRing", "PutOrigins", "DeleteOrigins", "PutServices", "DeleteServices", "PutVIPs", "DeleteVIPs", "DirectOrigins", "ClearDirect",
	}
	what := rapid.SampledFrom(calls).Draw(t, "call")
	percent := rapid.SampledFrom([]int{30, 100}).Draw(t, "percent")
	h.path.fails = func(call string) bool {
		return (what == "any" || what == call) && h.path.rnd.IntN(100) < percent
	}
	h.claim.fails = nil
	if rapid.Bool().Draw(t, "claims too") {
		h.claim.fails = func() bool { return h.path.rnd.IntN(100) < percent }
	}
}

// compare holds the outcome against that of a Reconciler without a past.
func (h *history) compare(t *rapid.T, config, topology string) {
	f := newWorld(t.Fatalf)
	f.path.native = h.path.native
	f.store.Replace(want(config))
	f.around.set(machine(topology))
	f.pass(time.Minute)
	if got, want := h.dump(), f.dump(); got != want {
		t.Fatalf("the tables are\n%s\nbut those of a fresh start are\n%s", got, want)
	}
	held := h.claims()
	for addr, c := range f.claims() {
		if held[addr] != c {
			t.Fatalf("VIP %s is claimed as %+v, by a fresh start as %+v", addr, held[addr], c)
		}
		delete(held, addr)
	}
	for addr, c := range held { // where a route led once that is not known now
		if h.rec.at.byIndex[c.Ifindex] == nil {
			t.Fatalf("VIP %s is claimed on a link that is not there: %+v", addr, c)
		}
	}
	if len(h.path.direct) > 0 {
		t.Fatalf("replies ask for direct clients of %v", h.path.direct)
	}
	if waits := h.rec.pending(); waits {
		t.Fatal("something waits for a scan for ever")
	}
}
