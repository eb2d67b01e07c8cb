package vip

import (
	"net/netip"
	"slices"
	"testing"

	"steelyard/testenv/netns"
)

var (
	vip4 = netip.MustParseAddr("203.0.113.53")
	vip6 = netip.MustParseAddr("2001:db8:ffff::53")
)

// box is a gateway with two devices, and the machine at each.
type box struct {
	*netns.HostEnv
	wan, lan   *netns.HostEnv
	eth0, eth1 uint32
}

func newBox(t *testing.T) box {
	end := func(host, device string, addrs ...string) netns.End {
		e := netns.End{Host: host, Device: device}
		for _, a := range addrs {
			e.Addrs = append(e.Addrs, prefix(a))
		}
		return e
	}
	env := netns.New(t, netns.World{
		Hosts: []netns.Host{
			{Name: "box", Forward: true, Sysctls: map[string]string{
				// 5 s by default: how long the kernel waits for other news
				// of a stale neighbour before it asks.
				"net/ipv4/neigh/eth1/delay_first_probe_time": "1",
				"net/ipv6/neigh/eth1/delay_first_probe_time": "1",
			}},
			{Name: "wan"}, {Name: "lan"},
		},
		Links: []netns.Link{
			{A: end("box", "eth0", "192.0.2.1/24", "2001:db8:1::1/64"), B: end("wan", "eth0", "192.0.2.2/24", "2001:db8:1::2/64")},
			{A: end("box", "eth1", "10.20.0.1/24", "2001:db8:2::1/64"), B: end("lan", "eth0", "10.20.0.2/24", "2001:db8:2::2/64")},
		},
	})
	b := box{HostEnv: env.Host("box"), wan: env.Host("wan"), lan: env.Host("lan")}
	b.eth0, b.eth1 = b.mustIndex(t, "eth0"), b.mustIndex(t, "eth1")
	return b
}

func (b box) mustIndex(t *testing.T, device string) uint32 {
	t.Helper()
	ifi, err := b.Interface(device)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(ifi.Index)
}

func mustDo(t *testing.T, h *netns.HostEnv, f func() error) {
	t.Helper()
	if err := h.Do(f); err != nil {
		t.Fatal(err)
	}
}

func (b box) newAddresses(t *testing.T) (a *Addresses) {
	t.Helper()
	mustDo(t, b.HostEnv, func() (err error) {
		a, err = NewAddresses()
		return err
	})
	t.Cleanup(a.Close)
	return a
}

// marked lists what Ensure is in charge of.
func marked(t *testing.T, a *Addresses) []Want {
	t.Helper()
	list, err := a.conn.addresses()
	if err != nil {
		t.Fatal(err)
	}
	var own []Want
	for _, h := range list {
		if h.mark == ownMark {
			own = append(own, Want{h.prefix.Addr(), h.ifindex})
		}
	}
	slices.SortFunc(own, func(x, y Want) int { return x.Addr.Compare(y.Addr) })
	return own
}
