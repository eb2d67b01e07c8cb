package traffic

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"steelyard/testenv/netns"
)

// faulty is a UDP server that answers as a test says.
type faulty struct {
	conn, other *net.UDPConn // other has another port
	seq         int
	earlier     []byte // the last datagram that was held back
}

func (f *faulty) send(conn *net.UDPConn, answer string, to net.Addr) {
	// A client that has ended is no concern of the server's.
	_, _ = conn.WriteTo([]byte(answer), to)
}

// TestUDPFaultsAreCounted sends three datagrams on one flow to a server that
// misbehaves.
func TestUDPFaultsAreCounted(t *testing.T) {
	netns.RequireRoot(t)
	client, backend := raise(t)
	good := func(f *faulty, d []byte, to net.Addr) { f.send(f.conn, "red "+string(d), to) }
	tests := []struct {
		name   string
		answer func(f *faulty, d []byte, to net.Addr)
		want   UDPResult
		reason string
	}{
		{"well", good, UDPResult{Sent: 3, Answered: 3}, ""},
		{"silent once", func(f *faulty, d []byte, to net.Addr) {
			if f.seq != 1 {
				good(f, d, to)
			}
		}, UDPResult{Sent: 3, Answered: 2, Lost: 1}, ""},
		{"late", func(f *faulty, d []byte, to net.Addr) {
			if f.seq == 0 {
				f.earlier = bytes.Clone(d)
				return
			}
			if f.seq == 1 {
				good(f, f.earlier, to)
			}
			good(f, d, to)
		}, UDPResult{Sent: 3, Answered: 2, Lost: 1, Late: 1}, ""},
		{"twice", func(f *faulty, d []byte, to net.Addr) {
			good(f, d, to)
			good(f, d, to)
		}, UDPResult{Sent: 3, Answered: 3, Duplicated: 2}, ""}, // nobody reads behind the third
		{"from another port", func(f *faulty, d []byte, to net.Addr) {
			if f.seq == 2 {
				f.send(f.other, "red "+string(d), to)
				return
			}
			good(f, d, to)
		}, UDPResult{Sent: 3, Answered: 2, WrongSource: 1}, "answer from " + backend4 + ":"},
		{"broken payload", func(f *faulty, d []byte, to net.Addr) {
			if f.seq == 0 {
				d[len(d)-1]++
			}
			good(f, d, to)
		}, UDPResult{Sent: 3, Answered: 2, Corrupt: 1}, "another payload"},
		{"another flow's payload", func(f *faulty, d []byte, to net.Addr) {
			if f.seq == 1 {
				d[0] = '7'
			}
			good(f, d, to)
		}, UDPResult{Sent: 3, Answered: 2, Corrupt: 1}, "another payload"},
		{"backend changes and returns", func(f *faulty, d []byte, to net.Addr) {
			f.send(f.conn, []string{"red ", "blue ", "red "}[f.seq]+string(d), to)
		}, UDPResult{Sent: 3, Answered: 3, Moved: 1, Moves: []Move{{"blue", "red", 1}, {"red", "blue", 1}}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &faulty{conn: open(t, backend), other: open(t, backend)}
			done := make(chan struct{})
			go func() {
				defer close(done)
				buf := make([]byte, maxDatagram)
				for ; ; f.seq++ {
					n, from, err := f.conn.ReadFrom(buf)
					if err != nil {
						return
					}
					tt.answer(f, buf[:n], from)
				}
			}()
			plan := UDPPlan{Target: f.conn.LocalAddr().(*net.UDPAddr).AddrPort(), Flows: 1, Datagrams: 3, Wait: 2 * time.Second}
			got, err := UDPRun(t.Context(), client, plan)
			f.conn.Close()
			<-done
			if err != nil {
				t.Fatal(err)
			}
			checkUDP(t, got, tt.want, tt.reason)
		})
	}
}

func open(t *testing.T, host *netns.HostEnv) *net.UDPConn {
	t.Helper()
	conn, err := host.ListenPacket(t.Context(), "udp4", backend4+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

func checkUDP(t *testing.T, got, want UDPResult, reason string) {
	t.Helper()
	if sum := got.Answered + got.Lost + got.WrongSource + got.Corrupt + got.Unsent; sum != got.Sent {
		t.Errorf("%d of %d datagrams accounted for", sum, got.Sent)
	}
	if clean := want.Answered == want.Sent && want.Duplicated == 0 && want.Moved == 0; (got.Err() == nil) != clean {
		t.Errorf("error %v", got.Err())
	}
	if !slices.Equal(got.Moves, want.Moves) {
		t.Errorf("moves %v, want %v", got.Moves, want.Moves)
	}
	if reason == "" && len(got.Reasons) > 0 || reason != "" && (len(got.Reasons) != 1 || !strings.Contains(got.Reasons[0].What, reason)) {
		t.Errorf("reasons %v, want %q", got.Reasons, reason)
	}
	counts := func(r UDPResult) [8]int {
		return [8]int{r.Sent, r.Answered, r.Lost, r.WrongSource, r.Corrupt, r.Late, r.Duplicated, r.Moved}
	}
	if counts(got) != counts(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestUDPUnsent(t *testing.T) {
	netns.RequireRoot(t)
	env := netns.New(t, netns.World{Hosts: []netns.Host{{Name: "alone"}}})
	got, err := UDPRun(t.Context(), env.Host("alone"), UDPPlan{Target: at(backend4, 53), Flows: 2, Datagrams: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got.Unsent != 3 || len(got.Reasons) != 1 || got.Reasons[0].What != "send: network is unreachable" {
		t.Errorf("without a route: %+v", got)
	}
}
