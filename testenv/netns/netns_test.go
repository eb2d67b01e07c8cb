package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(abandonEnv) != "" {
		abandon()
	}
	goleak.VerifyTestMain(m)
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// twoArmed is client - gw - backend, dual stack.
func twoArmed() World {
	route := func(to, via string) Route {
		return Route{To: netip.MustParsePrefix(to), Via: netip.MustParseAddr(via)}
	}
	return World{
		Hosts: []Host{
			{Name: "client", Routes: []Route{route("0.0.0.0/0", "192.0.2.1"), route("::/0", "2001:db8:1::1")}},
			{Name: "gw", Forward: true},
			{Name: "backend", Routes: []Route{route("0.0.0.0/0", "10.0.0.1"), route("::/0", "2001:db8:2::1")}},
		},
		Links: []Link{
			{
				A: End{Host: "client", Device: "eth0", Addrs: prefixes("192.0.2.2/24", "2001:db8:1::2/64")},
				B: End{Host: "gw", Device: "front", Addrs: prefixes("192.0.2.1/24", "2001:db8:1::1/64"), MAC: [6]byte{2, 0, 0, 0, 0, 1}},
			},
			{
				A:   End{Host: "gw", Device: "back", Addrs: prefixes("10.0.0.1/24", "2001:db8:2::1/64")},
				B:   End{Host: "backend", Device: "eth0", Addrs: prefixes("10.0.0.2/24", "2001:db8:2::2/64")},
				MTU: 1400,
			},
		},
	}
}

// lan is three hosts on one switch.
func lan() World {
	end := func(host, v4, v6 string) End {
		return End{Host: host, Device: "eth0", Addrs: prefixes(v4, v6)}
	}
	return World{
		Hosts: []Host{{Name: "client"}, {Name: "gw"}, {Name: "backend"}},
		Switches: []Switch{{Name: "lan", Ports: []End{
			end("client", "10.1.0.2/24", "2001:db8:3::2/64"),
			end("gw", "10.1.0.1/24", "2001:db8:3::1/64"),
			end("backend", "10.1.0.3/24", "2001:db8:3::3/64"),
		}}},
	}
}

// exchange sends one datagram each way and returns where the answer and the
// question seemed to come from. The first datagram already has to arrive.
func exchange(t *testing.T, from, to *HostEnv, at string) (question, answer netip.AddrPort) {
	t.Helper()
	server, err := to.ListenPacket(t.Context(), "udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 64)
		n, peer, err := server.ReadFrom(buf)
		if err == nil {
			question = peer.(*net.UDPAddr).AddrPort()
			_, err = server.WriteTo(buf[:n], peer)
		}
		done <- err
	}()
	client, err := from.ListenPacket(t.Context(), "udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	target := server.LocalAddr().(*net.UDPAddr)
	if _, err := client.WriteTo([]byte("hello"), target); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, peer, err := client.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("answer %q, %v", buf[:n], err)
	}
	answer = peer.(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(question.Addr().Unmap(), question.Port()),
		netip.AddrPortFrom(answer.Addr().Unmap(), answer.Port())
}

func TestExchange(t *testing.T) {
	RequireRoot(t)
	tests := []struct {
		name       string
		world      World
		at         string // the backend's socket
		wantClient string // the client's address as the backend sees it
		wantServer string
	}{
		{"routed, IPv4", twoArmed(), "10.0.0.2:5000", "192.0.2.2", "10.0.0.2:5000"},
		{"routed, IPv6", twoArmed(), "[2001:db8:2::2]:5000", "2001:db8:1::2", "[2001:db8:2::2]:5000"},
		{"switched, IPv4", lan(), "10.1.0.3:5000", "10.1.0.2", "10.1.0.3:5000"},
		{"switched, IPv6", lan(), "[2001:db8:3::3]:5000", "2001:db8:3::2", "[2001:db8:3::3]:5000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // equal addresses and devices in several worlds at once
			env := New(t, tt.world)
			question, answer := exchange(t, env.Host("client"), env.Host("backend"), tt.at)
			if got := question.Addr().String(); got != tt.wantClient {
				t.Errorf("backend saw client %s, want %s", got, tt.wantClient)
			}
			if got := answer.String(); got != tt.wantServer {
				t.Errorf("client saw server %s, want %s", got, tt.wantServer)
			}
		})
	}
}

func TestCloseRemovesAll(t *testing.T) {
	RequireRoot(t)
	files := openFiles(t)
	env, err := Raise(t.Context(), lan())
	if err != nil {
		t.Fatal(err)
	}
	sleeper := env.Host("gw").Command(t.Context(), "sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	if got := len(mine(t, env.Prefix())); got != 4 {
		t.Errorf("%d namespaces while raised, want 4 (three hosts, one switch)", got)
	}
	if err := env.Close(); err != nil {
		t.Fatal(err)
	}
	if left := mine(t, env.Prefix()); len(left) != 0 {
		t.Errorf("left after close: %v", left)
	}
	if err := sleeper.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("process inside ended with %v, want killed", err)
	}
	if err := env.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if now := openFiles(t); now != files {
		t.Errorf("%d files open, %d before the world", now, files)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func mine(t *testing.T, prefix string) []string {
	t.Helper()
	list, err := names()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range list {
		if strings.HasPrefix(n, prefix+"-") {
			out = append(out, n)
		}
	}
	return out
}

func TestFailedRaiseLeavesNothing(t *testing.T) {
	RequireRoot(t)
	own := fmt.Sprintf("%s%d", nameStem, os.Getpid())
	w := twoArmed()
	w.Hosts[0].Routes = []Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("198.51.100.1")}}
	if _, err := Raise(t.Context(), w); err == nil || !strings.Contains(err.Error(), "configure host client") {
		t.Errorf("unreachable gateway: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Raise(canceled, twoArmed()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left := mine(t, own); len(left) != 0 {
		t.Errorf("left after failures: %v", left)
	}
}

func TestDoComesHome(t *testing.T) {
	RequireRoot(t)
	env := New(t, twoArmed())
	where := func() string {
		at, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		return at
	}
	inside := func(host string) string { return fmt.Sprintf("net:[%d]", env.Host(host).space.id.inode) }
	// The thread is ours from start to end: where it is can be compared.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home := where()
	failure := errors.New("on purpose")
	err := env.Host("gw").Do(func() error {
		if err := env.Host("client").Do(func() error {
			if got := where(); got != inside("client") {
				t.Errorf("inner Do runs in %s, want %s", got, inside("client"))
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		if got := where(); got != inside("gw") {
			t.Errorf("outer Do goes on in %s, want %s", got, inside("gw"))
		}
		return failure
	})
	if err != failure {
		t.Errorf("Do returned %v, want the function's own error", err)
	}
	if got := where(); got != home {
		t.Errorf("after Do in %s, want %s", got, home)
	}
	// A test may fail from inside, which ends the goroutine.
	done := make(chan string)
	go func() {
		runtime.LockOSThread()
		defer func() { done <- where() }()
		_ = env.Host("gw").Do(func() error { runtime.Goexit(); return nil })
	}()
	if got := <-done; got != home {
		t.Errorf("after a goroutine ended inside, its thread was in %s, want %s", got, home)
	}
}

func TestCommandRunsInside(t *testing.T) {
	RequireRoot(t)
	env := New(t, twoArmed())
	gw := env.Host("gw")
	out, err := gw.Command(t.Context(), "readlink", "/proc/self/ns/net").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("net:[%d]", gw.space.id.inode); strings.TrimSpace(string(out)) != want {
		t.Errorf("command ran in %s, want %s", out, want)
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if own == strings.TrimSpace(string(out)) {
		t.Error("the caller stayed inside")
	}
}
