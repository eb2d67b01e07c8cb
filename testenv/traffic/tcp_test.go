package traffic

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"steelyard/testenv/netns"
)

// TestTCPFailuresAreCounted makes four connections to a server that
// misbehaves on every second one.
func TestTCPFailuresAreCounted(t *testing.T) {
	netns.RequireRoot(t)
	client, backend := raise(t)
	tests := []struct {
		name   string
		answer func(conn net.Conn, line string) // of the second line
		want   []Reason
	}{
		{"well", func(conn net.Conn, line string) { reply(conn, "red "+line) }, nil},
		{"another backend", func(conn net.Conn, line string) { reply(conn, "blue "+line) }, []Reason{{"receive: wrong answer", 2}}},
		{"broken line", func(conn net.Conn, line string) { reply(conn, "red "+line[1:]) }, []Reason{{"receive: wrong answer", 2}}},
		{"silence", func(net.Conn, string) {}, []Reason{{"receive: no answer in time", 2}}},
		{"end", func(conn net.Conn, _ string) { conn.Close() }, []Reason{{"receive: EOF", 2}}},
		{"reset", func(conn net.Conn, _ string) {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}, []Reason{{"receive: connection reset by peer", 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			listener, err := backend.Listen(t.Context(), "tcp4", backend4+":0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for n := 0; ; n++ {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					converse(conn, n%2 == 1, tt.answer)
				}
			}()
			got, err := TCPRun(t.Context(), client, TCPPlan{
				Target: listener.Addr().(*net.TCPAddr).AddrPort(), Connections: 4, Messages: 3, Concurrency: 1, Wait: 2 * time.Second,
			})
			listener.Close()
			<-done
			if err != nil {
				t.Fatal(err)
			}
			failed := 0
			for _, r := range tt.want {
				failed += r.Count
			}
			if got.Failed != failed || got.Completed != 4-failed || got.Tried != 4 || !slices.Equal(got.Failures, tt.want) {
				t.Errorf("got %+v, want failures %v", got, tt.want)
			}
			// A failed connection has one good line.
			if share, want := got.Backends["red"], (Share{Flows: 4, Messages: 12 - 2*failed}); share != want {
				t.Errorf("share %+v, want %+v", share, want)
			}
		})
	}
}

// converse serves one connection until it ends; a bad one leaves the second
// line to answer.
func converse(conn net.Conn, bad bool, answer func(net.Conn, string)) {
	defer conn.Close()
	reply(conn, "red")
	lines := bufio.NewScanner(conn)
	for n := 0; lines.Scan(); n++ {
		if bad && n == 1 {
			answer(conn, lines.Text())
			continue
		}
		reply(conn, "red "+lines.Text())
	}
}

func reply(conn net.Conn, line string) {
	// A client that has gone is no concern of the server's.
	_, _ = conn.Write([]byte(line + "\n"))
}

func TestTCPRefused(t *testing.T) {
	netns.RequireRoot(t)
	client, _ := raise(t)
	got, err := TCPRun(t.Context(), client, TCPPlan{Target: at(backend4, 1), Connections: 5, Messages: 1})
	if err != nil {
		t.Fatal(err)
	}
	if want := []Reason{{"connect: connection refused", 5}}; !slices.Equal(got.Failures, want) || got.Err() == nil {
		t.Errorf("failures %v, want %v", got.Failures, want)
	}
	if _, err := TCPHold(t.Context(), client, HoldPlan{Target: at(backend4, 1), Connections: 5}); err == nil {
		t.Error("held connections to a closed port")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := TCPRun(ctx, client, TCPPlan{Target: at(backend4, 1), Connections: 5}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled run: %v", err)
	}
}

func TestTCPHold(t *testing.T) {
	netns.RequireRoot(t)
	client, backend := raise(t)
	Serve(t, backend, "red", at(backend4, 80))
	_, kill := Serve(t, backend, "blue", at(backend4, 81))
	hold := func(port uint16) (*Hold, func()) {
		h, err := TCPHold(t.Context(), client, HoldPlan{Target: at(backend4, port), Connections: 100, Interval: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := h.Run(ctx); err != nil {
				t.Errorf("hold: %v", err)
			}
		}()
		return h, func() { cancel(); <-done }
	}
	red, stopRed := hold(80)
	blue, stopBlue := hold(81)
	netns.WaitFor(t, func() bool { return red.Rounds() >= 2 && blue.Rounds() >= 2 }, "two lines on every connection")
	if got := red.Backends()["red"].Flows; got != 100 {
		t.Errorf("%d connections on red, want 100", got)
	}
	kill()
	before := red.Rounds()
	netns.WaitFor(t, func() bool { return red.Rounds() >= before+2 }, "two more lines on every connection to red")
	netns.WaitFor(t, func() bool {
		return !slices.ContainsFunc(blue.Conns(), func(c HeldConn) bool { return c.Err == nil })
	}, "every connection to blue to fail")
	stopRed()
	stopBlue()
	if err := red.Err(); err != nil {
		t.Errorf("red lives: %v", err)
	}
	if err := blue.Err(); err == nil || !strings.Contains(err.Error(), "of 100 held connections 100 failed") || !strings.Contains(err.Error(), "(backend blue)") {
		t.Errorf("blue was killed: %v", err)
	}
	locals := map[string]bool{}
	for _, c := range red.Conns() {
		locals[c.Local.String()] = true
		if c.Backend != "red" || c.Messages < before {
			t.Errorf("connection %+v", c)
		}
	}
	if len(locals) != 100 {
		t.Errorf("%d local addresses, want 100", len(locals))
	}
}
