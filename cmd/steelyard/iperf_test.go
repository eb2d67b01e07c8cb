package main_test

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
)

// iperfReport is what is looked at of iperf3's report.
type iperfReport struct {
	Error string `json:"error"`
	Start struct {
		Connected []struct {
			RemoteHost string `json:"remote_host"`
		} `json:"connected"`
	} `json:"start"`
	End struct {
		SumReceived iperfSum `json:"sum_received"` // TCP
		Sum         iperfSum `json:"sum"`          // UDP
	} `json:"end"`
}

type iperfSum struct {
	Bytes       int64   `json:"bytes"`
	Seconds     float64 `json:"seconds"`
	Packets     int     `json:"packets"`
	LostPackets int     `json:"lost_packets"`
}

// raiseIperf raises a site with an iperf3 server. Its control connection and
// data flow have different ports: one backend, so that both reach the same.
func raiseIperf(t *testing.T) *bed {
	t.Helper()
	need(t, "iperf3", "iperf3")
	b := raise(t, site.World(1))
	b.background(b.backend(1), "iperf3", "--server")
	b.waitListening(b.backend(1), netip.AddrPortFrom(site.Backend6(1), 5201))
	b.start(site.Config{Ports: []string{"5201/udp", "5201/tcp"}, Port: 5201, Backends: site.Members(1)}.String())
	return b
}

func TestIperf(t *testing.T) {
	t.Parallel()
	b := raiseIperf(t)
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		t.Run("TCP "+vip.String(), func(t *testing.T) {
			got := b.iperf(t, vip).End.SumReceived
			if got.Bytes == 0 {
				t.Error("no bytes arrived")
			}
			t.Logf("%.0f Mbit/s", float64(got.Bytes)*8e-6/got.Seconds)
		})
		t.Run("UDP "+vip.String(), func(t *testing.T) {
			const rate, size = 50_000_000, 1200
			got := b.iperf(t, vip, "-u", "-l", strconv.Itoa(size), "-b", strconv.Itoa(rate)).End.Sum
			// What sockets drop on a busy machine is not the balancer's: it
			// must have lost nothing (noDrops), and most has to arrive.
			if arrived := got.Packets - got.LostPackets; arrived <= got.Packets/2 || got.Packets == 0 {
				t.Errorf("%d of %d datagrams arrived", arrived, got.Packets)
			}
			t.Logf("%d datagrams, %d lost", got.Packets, got.LostPackets)
		})
	}
	b.noDrops()
	got := b.status().Pools[0].Backends[0]
	if got.Forwarded.Packets == 0 || got.Returned.Packets == 0 {
		t.Errorf("the backend's counters are %+v", got.BackendCount)
	}
}

// iperf runs the client once. The server takes one client at a time and does
// not listen for a moment between two, so it is tried until it takes this one.
func (b *bed) iperf(t *testing.T, vip netip.Addr, args ...string) iperfReport {
	t.Helper()
	args = append([]string{"--client", vip.String(), "--json", "--time", "1"}, args...)
	var r iperfReport
	netns.WaitFor(t, func() bool {
		out := b.output(b.client, "iperf3", args...)
		r = iperfReport{}
		report := out[max(0, strings.Index(out, "{")):] // past warnings
		if err := json.Unmarshal([]byte(report), &r); err != nil {
			t.Fatalf("read report of iperf3: %v", err)
		}
		return !strings.Contains(r.Error, "unable to connect to server") && !strings.Contains(r.Error, "server is busy")
	}, "the server to take the client")
	if r.Error != "" {
		t.Fatalf("iperf3: %s", r.Error)
	}
	if len(r.Start.Connected) == 0 || r.Start.Connected[0].RemoteHost != vip.String() {
		t.Errorf("connected to %+v, want %s", r.Start.Connected, vip)
	}
	return r
}
