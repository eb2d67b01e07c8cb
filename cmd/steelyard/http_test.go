package main_test

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steelyard/testenv/site"
)

// TestHTTP fetches 1 MiB from a real web server, twice over one connection.
func TestHTTP(t *testing.T) {
	t.Parallel()
	need(t, "nginx", "nginx-light")
	need(t, "curl", "curl")
	const backends = 2
	body := make([]byte, 1<<20)
	if _, err := rand.Read(body); err != nil {
		t.Fatal(err)
	}
	want := sha256.Sum256(body)
	b := raise(t, site.World(backends))
	for i := 1; i <= backends; i++ {
		b.webServer(i, body)
	}
	b.start(site.Config{Ports: []string{"80/tcp"}, Port: 80, Backends: site.Members(backends)}.String())
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		t.Run(vip.String(), func(t *testing.T) {
			seen := map[string]bool{}
			for n := 0; n < 40 && len(seen) < backends; n++ {
				seen[b.fetchTwice(t, vip, want)] = true
			}
			if len(seen) != backends {
				t.Errorf("only %v answered, want all of %d backends", seen, backends)
			}
		})
	}
	b.noDrops()
}

// fetchTwice gets the body two times over one connection and returns the name
// of the server.
func (b *bed) fetchTwice(t *testing.T, vip netip.Addr, want [sha256.Size]byte) string {
	t.Helper()
	dir := t.TempDir()
	url := "http://" + netip.AddrPortFrom(vip, 80).String() + "/body"
	const report = "%{http_code} %{num_connects} %{remote_ip} %header{x-backend}\n"
	out := b.output(b.client, "curl", "--silent", "--show-error", "--globoff", "--max-time", "60", "--write-out", report,
		"--output", filepath.Join(dir, "first"), "--output", filepath.Join(dir, "second"), url, url)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("curl said %q", out)
	}
	name := ""
	for i, file := range []string{"first", "second"} {
		connects := 1 - i // the second request uses the connection of the first
		head := fmt.Sprintf("200 %d %s ", connects, vip)
		got, ok := strings.CutPrefix(lines[i], head)
		if !ok || (i == 1 && got != name) {
			t.Errorf("%s request: code, new connections, address and server are %q, want %q and one server", file, lines[i], head)
		}
		name = got
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(data) != want {
			t.Errorf("%s request: %d bytes came, which are not those sent", file, len(data))
		}
	}
	return name
}

// webServer runs nginx on a backend with one file and the backend's name in a
// header.
func (b *bed) webServer(i int, body []byte) {
	b.t.Helper()
	dir := b.t.TempDir()
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
	server {
		listen %[2]s; listen %[3]s;
		root %[1]s; add_header X-Backend %[4]s;
	}
}
`, dir, netip.AddrPortFrom(site.Backend4(i), 80), netip.AddrPortFrom(site.Backend6(i), 80), site.Backend(i))
	for name, data := range map[string][]byte{"nginx.conf": []byte(config), "body": body} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	b.background(b.backend(i), "nginx", "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	b.waitListening(b.backend(i), netip.AddrPortFrom(site.Backend6(i), 80))
}
