package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"steelyard/dataplane"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is a Provider with a fixed answer.
type told struct {
	status Status
	err    error
}

func (p told) Status() (Status, error) { return p.status, p.err }

// serve runs a server in a run directory until stop is called or the test
// ends.
func serve(t *testing.T, runDir string, p Provider) (stop func()) {
	t.Helper()
	s, err := Listen(runDir, p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// example uses every field once.
var example = Status{
	Version: "1", Node: "gw", Revision: 7,
	Interfaces: []Interface{{Name: "wan", Device: "eth0", Ifindex: 2, XDP: dataplane.AttachNative, Up: true}},
	VIPs:       []VIP{{Name: "web", Addr: netip.MustParseAddr("203.0.113.10"), Device: "eth0", Foreign: true, Sent: 3, Error: "down"}},
	Services: []Service{{
		Name: "web", Addr: netip.MustParseAddr("2001:db8::10"), Port: 80, Protocol: "tcp", Mode: "nat", Track: "moved", Scheduler: "maglev", Pool: "web", PoolID: 3,
	}},
	Pools: []Pool{{
		ID: 3, Name: "web",
		Backends: []Backend{{
			Name: "a", Addr: netip.MustParseAddrPort("[fd00::1]:80"), Weight: 2, NextHop: "unresolved",
			BackendCount: dataplane.BackendCount{Forwarded: dataplane.Count{Packets: 1, Bytes: 2}, Returned: dataplane.Count{Packets: 3, Bytes: 4}},
		}},
	}},
	Verdicts: []Verdict{{Name: "tx", Action: dataplane.ActionSend, Doc: "sent", Count: dataplane.Count{Packets: 5, Bytes: 6}}},
	Flows:    Flows{Capacity: 8, Asking: 9, FlowTableCount: dataplane.FlowTableCount{Inserted: 1, Evicted: 2, Refused: 3, Busy: 4}},
	Problems: []string{"p"}, Limits: []string{"l"}, Reload: "r",
}

func TestTheClientReadsWhatTheServerSays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "steelyard")
	serve(t, dir, told{status: example})
	got, err := NewClient(dir).Status(t.Context())
	if err != nil || !reflect.DeepEqual(got, example) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, example)
	}
}

func TestAFailingProviderIsTold(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, told{err: errors.New("no counters")})
	_, err := NewClient(dir).Status(t.Context())
	if err == nil || err.Error() != "ask for /v1/status: cannot read status: no counters" || errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

func TestWithoutADaemonTheClientSaysSo(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string)
	}{
		{"no run directory", func(t *testing.T, dir string) { os.Remove(dir) }},
		{"no socket", func(*testing.T, string) {}},
		{"a socket that a dead daemon left", leaveSocket},
		{"a daemon that has ended", func(t *testing.T, dir string) { serve(t, dir, told{})() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.prepare(t, dir)
			if _, err := NewClient(dir).Status(t.Context()); !errors.Is(err, ErrUnreachable) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// leaveSocket leaves a socket behind as a daemon does that is killed.
func leaveSocket(t *testing.T, dir string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestASocketOfADeadDaemonIsReplaced(t *testing.T) {
	dir := t.TempDir()
	leaveSocket(t, dir)
	serve(t, dir, told{status: example})
	if _, err := NewClient(dir).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestASecondDaemonIsRefusedAndTheFirstGoesOn(t *testing.T) {
	dir := t.TempDir()
	stop := serve(t, dir, told{status: example})
	for range 3 {
		if _, err := Listen(dir, told{}); !errors.Is(err, ErrInUse) {
			t.Errorf("error %v, want ErrInUse", err)
		}
	}
	if got, err := NewClient(dir).Status(t.Context()); err != nil || got.Node != "gw" {
		t.Errorf("the first daemon says %q, %v", got.Node, err)
	}
	stop()
	serve(t, dir, told{status: Status{Node: "next"}})
	if got, err := NewClient(dir).Status(t.Context()); err != nil || got.Node != "next" {
		t.Errorf("the next daemon says %q, %v", got.Node, err)
	}
}

func TestASocketThatSomebodyServesIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(dir, told{}); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v, want ErrInUse", err)
	}
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatalf("it cannot be reached any more: %v", err)
	}
	conn.Close()
}

func TestWhatIsNotASocketIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir, told{}); err == nil || errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file says %q, %v", text, err)
	}
	// The refused one holds no lock.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	serve(t, dir, told{})
}

func TestTheEndRemovesTheSocket(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, told{})()
	if _, err := os.Lstat(filepath.Join(dir, SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
}

func TestAServerThatIsStoppedBeforeItServesLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := Listen(dir, told{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	serve(t, dir, told{})
}

func TestTheSocketIsForItsOwnerAndGroup(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, told{})
	info, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode().Perm(), err)
	}
}

// peerDir is set in the process that TestOtherUsersAreTurnedAway starts.
const peerDir = "STEELYARD_TEST_RUN_DIR"

// Rights on a file can be given away by mistake; the kernel's word about the
// peer can not.
func TestOtherUsersAreTurnedAway(t *testing.T) {
	if dir := os.Getenv(peerDir); dir != "" {
		_, err := NewClient(dir).Status(t.Context())
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, fs.ErrPermission) {
			t.Errorf("error %v", err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: becoming another user needs CAP_SETUID")
	}
	dir := openDir(t)
	serve(t, dir, told{status: example})
	if err := os.Chmod(filepath.Join(dir, SocketName), 0o666); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "test")
	copyExecutable(t, self)
	cmd := exec.Command(self, "-test.run", "^TestOtherUsersAreTurnedAway$")
	cmd.Env = append(os.Environ(), peerDir+"="+dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as another user: %v\n%s", err, out)
	}
	if _, err := NewClient(dir).Status(t.Context()); err != nil {
		t.Errorf("as root: %v", err)
	}
}

// openDir returns a directory that every user can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "steelyard-api")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyExecutable(t *testing.T, to string) {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, self, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, told{status: example})
	tests := []struct {
		name, request string
		want          string // start of the answer; "" = none
		body          string
	}{
		{"another path", "GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404", `"detail":"GET /v1/nothing"`},
		{"another method", "DELETE /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 405", `"title":"method not allowed"`},
		{"not HTTP", "hello\r\n\r\n", "HTTP/1.1 400", ""},
		{"no host", "GET /v1/status HTTP/1.1\r\n\r\n", "HTTP/1.1 400", ""},
		{"a huge header", "GET /v1/status HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "HTTP/1.1 431", ""},
		{"a huge path", "GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 431", ""},
		{"a body", "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200", `"node":"gw"`},
		{"a path out of the tree", "GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 307", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, dir, tt.request)
			if !strings.HasPrefix(got, tt.want) || !strings.Contains(got, tt.body) {
				t.Errorf("answer %.300q, want %q with %q", got, tt.want, tt.body)
			}
		})
	}
	if _, err := NewClient(dir).Status(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// ask sends a request as it is and returns the whole answer.
func ask(t *testing.T, dir, request string) string {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server may answer and hang up before it has read everything.
	_, _ = io.WriteString(conn, request)
	got, _ := io.ReadAll(conn)
	return string(got)
}

func TestProblemsHaveTheirMediaType(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, told{})
	if got := ask(t, dir, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "Content-Type: application/problem+json\r\n") {
		t.Errorf("answer %q", got)
	}
}

func TestTheEndDoesNotWaitForAnIdleClient(t *testing.T) {
	dir := t.TempDir()
	stop := serve(t, dir, told{status: example})
	conn, err := net.Dial("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /v1/status HTTP/1.1\r\n") // and no more
	stop()
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
}

func TestAnAnswerThatIsNoStatusIsAnError(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	code := http.StatusOK
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, "<html>")
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	defer func() {
		srv.Close()
		<-done
	}()
	if _, err := NewClient(dir).Status(t.Context()); err == nil || errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	code = http.StatusBadGateway
	if _, err := NewClient(dir).Status(t.Context()); err == nil || err.Error() != "ask for /v1/status: 502 Bad Gateway" {
		t.Errorf("error %v", err)
	}
}
