package main_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
)

// TestIperfFragments sends datagrams of 8,000 bytes, which take six packets, in
// both directions.
func TestIperfFragments(t *testing.T) {
	t.Parallel()
	b := raiseIperf(t)
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		for name, options := range map[string][]string{"to the backend": nil, "to the client": {"--reverse"}} {
			t.Run(fmt.Sprint(vip, " ", name), func(t *testing.T) {
				const rate, size = 50_000_000, 8000
				got := b.iperf(t, vip, append(options, "-u", "-l", strconv.Itoa(size), "-b", strconv.Itoa(rate))...).End.Sum
				if arrived := got.Packets - got.LostPackets; arrived <= got.Packets/2 || got.Packets == 0 {
					t.Errorf("%d of %d datagrams arrived", arrived, got.Packets)
				}
				t.Logf("%d datagrams, %d lost", got.Packets, got.LostPackets)
			})
		}
	}
	b.noDrops()
}

// TestLargeAnswersOfDNS: an answer of about 4 KiB over UDP comes in fragments.
func TestLargeAnswersOfDNS(t *testing.T) {
	t.Parallel()
	need(t, "dnsmasq", "dnsmasq-base")
	need(t, "dig", "bind9-dnsutils")
	b := raise(t, site.World(1))
	var records []string
	for i := range 16 {
		records = append(records, "--txt-record=large.test,"+strings.Repeat(strconv.Itoa(i%10), 230))
	}
	b.nameServer(1, append(records, "--edns-packet-max=4096")...)
	b.start(site.Config{Ports: []string{"53/udp", "53/tcp"}, Port: 53, Backends: site.Members(1)}.String())
	seen, _ := capture(t, b.client, "eth0")
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		t.Run(vip.String(), func(t *testing.T) {
			got := b.output(b.client, "dig", "@"+vip.String(), "+short", "+notcp", "+ignore", "+bufsize=4096", "+tries=1", "+time=10", "large.test", "TXT")
			if n := strings.Count(got, "\n"); n != len(records) {
				t.Errorf("%d of %d records came:\n%s", n, len(records), got)
			}
			netns.WaitFor(t, func() bool { return slices.ContainsFunc(seen.Frames(), isLaterFragmentFrom(vip)) }, "a fragment of the answer")
		})
	}
	b.noDrops()
}

// TestFragmentsOntoSmallLink: the box's own link is the small one. IPv4
// fragments are cut again by its kernel, IPv6 senders are told.
func TestFragmentsOntoSmallLink(t *testing.T) {
	t.Parallel()
	const small = 1320
	for name, change := range map[string]func(*netns.World){
		"to the clients":  func(w *netns.World) { w.Links[0].MTU = small },
		"to the backends": func(w *netns.World) { w.Switches[0].MTU = small },
	} {
		t.Run(name, func(t *testing.T) {
			w := site.World(1)
			change(&w)
			b := raise(t, w)
			b.serve(1)
			b.start(site.Config{Backends: site.Members(1)}.String())
			payload := bytes.Repeat([]byte{'y'}, 8000)
			for i, verdict := range []string{"fragment-needed", "too-big"} {
				conn := b.dialUDP(t, vips()[i])
				// Until it knows the neighbours the box leaves all to the kernel.
				netns.WaitFor(t, func() bool {
					b.untilAnswered(t, conn, payload)
					return b.verdict(verdict) > 0
				}, "a packet that ends as "+verdict)
				b.untilAnswered(t, conn, payload)
			}
			// Those past the first are not answered.
			b.noDrops("too-big-silent", "fragment")
		})
	}
}

// TestLargePing: the box itself gets the fragments of what is for it.
func TestLargePing(t *testing.T) {
	t.Parallel()
	need(t, "ping", "iputils-ping")
	b := raiseServing(t, 1, site.Config{})
	for _, f := range families() {
		b.output(b.client, "ping", f.option, "-n", "-c", "2", "-i", "0.2", "-W", "10", "-s", "5000", f.vip.String())
	}
	b.noDrops()
}

// isLaterFragmentFrom returns a filter of frames that have no transport header.
func isLaterFragmentFrom(addr netip.Addr) func(netns.Frame) bool {
	return func(f netns.Frame) bool {
		const l3, ip6 = 14, 40
		if len(f.Data) < l3+ip6+8 {
			return false
		}
		ip := f.Data[l3:]
		if addr.Is4() {
			return ip[0]>>4 == 4 && (ip[6]&0x1f != 0 || ip[7] != 0) && netip.AddrFrom4([4]byte(ip[12:16])) == addr
		}
		offset := int(ip[ip6+2])<<8 | int(ip[ip6+3]&0xf8)
		return ip[0]>>4 == 6 && ip[6] == 44 && offset != 0 && netip.AddrFrom16([16]byte(ip[8:24])) == addr
	}
}
