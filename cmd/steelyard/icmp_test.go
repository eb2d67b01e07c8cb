package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"steelyard/testenv/site"
)

// TestPathMTU: a link on the way, before the box or behind it, takes less than
// the others. Both ends learn that from the router before it, through the box.
func TestPathMTU(t *testing.T) {
	t.Parallel()
	const full, small = 1500, 1320
	places := []struct {
		name           string
		before, behind int
	}{
		{"small link before the box", small, full},
		{"small link behind the box", full, small},
	}
	// One after the other would find what the first has learned.
	ways := []struct {
		name string
		try  func(*testing.T, *bed, netip.AddrPort)
	}{
		{"TCP", func(t *testing.T, b *bed, vip netip.AddrPort) { b.megabyte(t, vip) }},
		{"UDP", func(t *testing.T, b *bed, vip netip.AddrPort) { b.learnPath(t, vip, 1400, small) }},
		{"UDP in fragments", func(t *testing.T, b *bed, vip netip.AddrPort) {
			want := small
			if vip.Addr().Is4() {
				want = full // its fragments are cut again on the way
			}
			b.learnPath(t, vip, 8000, want)
		}},
	}
	for _, place := range places {
		for _, way := range ways {
			t.Run(way.name+", "+place.name, func(t *testing.T) {
				b := raiseLong(t, place.before, place.behind)
				for _, vip := range vips() {
					t.Run(vip.Addr().String(), func(t *testing.T) { way.try(t, b, vip) })
				}
				// The last fragment is small enough to come without
				// the others.
				b.noDrops("fragment")
			})
		}
	}
}

// learnPath exchanges datagrams of a size and looks at what the client then
// knows of the path.
func (b *bed) learnPath(t *testing.T, vip netip.AddrPort, size, want int) {
	t.Helper()
	conn := b.dialUDP(t, vip)
	b.untilAnswered(t, conn, bytes.Repeat([]byte{'x'}, size))
	if got := pathMTU(t, conn, vip.Addr()); got != want {
		t.Errorf("the client knows a path of %d bytes, want %d", got, want)
	}
}

// TestTracerouteThroughTheBox: routers behind the box are hops as those before
// it are, and the last hop is the VIP.
func TestTracerouteThroughTheBox(t *testing.T) {
	t.Parallel()
	need(t, "traceroute", "traceroute")
	const small = 1320
	b := raiseLong(t, 1500, small)
	way := map[string][]netip.Addr{
		"-4": {edge4.Addr(), frontOut4.Addr(), site.Gateway4.Addr(), middle4.Addr(), lastOut4.Addr(), site.VIP4},
		"-6": {edge6.Addr(), frontOut6.Addr(), site.Gateway6.Addr(), middle6.Addr(), lastOut6.Addr(), site.VIP6},
	}
	for _, f := range families() {
		for _, protocol := range []string{"-U", "-T"} {
			t.Run(protocol+f.option, func(t *testing.T) {
				out := b.output(b.client, "traceroute", f.option, "-n", "-q", "1", "-m", "8", "-w", "10", protocol, "-p", fmt.Sprint(vipPort), f.vip.String())
				if got := hops(out); !slices.Equal(got, way[f.option]) {
					t.Errorf("hops %v, want %v:\n%s", got, way[f.option], out)
				}
			})
		}
		// As tracepath does: the hop before the small link says how small.
		t.Run("path MTU"+f.option, func(t *testing.T) {
			out := b.output(b.client, "traceroute", f.option, "-n", "-q", "1", "-m", "8", "-w", "2", "--mtu", "-U", "-p", fmt.Sprint(vipPort), f.vip.String())
			if !strings.Contains(out, fmt.Sprintf("F=%d", small)) {
				t.Errorf("no path MTU of %d:\n%s", small, out)
			}
		})
	}
	b.noDrops()
}

// TestRefusedPort: a backend whose server is down says so, and the client's
// socket hears it from the VIP.
func TestRefusedPort(t *testing.T) {
	t.Parallel()
	for name, world := range map[string]func() *bed{
		"beside the box": func() *bed { return raise(t, site.World(1)) },
		"behind routers": func() *bed { return raise(t, longWorld(1500, 1500)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := world()
			b.start(site.Config{Backends: site.Members(1)}.String())
			for _, vip := range vips() {
				t.Run(vip.Addr().String(), func(t *testing.T) {
					conn := b.dialUDP(t, vip)
					if err := b.untilRefused(conn); err != nil {
						t.Error(err)
					}
				})
			}
			b.noDrops()
		})
	}
}

// dialUDP opens a socket on the client that the test closes.
func (b *bed) dialUDP(t *testing.T, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	conn, err := b.client.Dial(t.Context(), "udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

// Datagrams are repeated so often at most; a try takes as long as an answer may.
const (
	tries    = 40
	tryFor   = 250 * time.Millisecond
	mtuNoted = syscall.EMSGSIZE
)

// untilAnswered sends a datagram until its answer comes: the first are lost
// where the path is found out.
func (b *bed) untilAnswered(t *testing.T, conn *net.UDPConn, payload []byte) {
	t.Helper()
	answer := make([]byte, 1<<16)
	for range tries {
		if _, err := conn.Write(payload); err != nil && !errors.Is(err, mtuNoted) {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(tryFor)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(answer)
		switch {
		case err == nil && bytes.Equal(answer[:n], append([]byte(site.Backend(1)+" "), payload...)):
			return
		case err == nil:
			t.Fatalf("the answer has %d bytes, want %d and the server's name", n, len(payload))
		case !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, mtuNoted):
			t.Fatal(err)
		}
	}
	t.Fatalf("no answer to %d datagrams of %d bytes", tries, len(payload))
}

// untilRefused sends datagrams until one is refused.
func (b *bed) untilRefused(conn *net.UDPConn) error {
	for range tries {
		_, err := conn.Write([]byte("anybody?"))
		if err == nil {
			err = conn.SetReadDeadline(time.Now().Add(tryFor))
		}
		if err == nil {
			_, err = conn.Read(make([]byte, 100))
		}
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return nil
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
	return fmt.Errorf("%d datagrams were not refused", tries)
}

// pathMTU is what the kernel knows of a connected socket's path, in bytes of IP
// packet.
func pathMTU(t *testing.T, conn *net.UDPConn, to netip.Addr) (mtu int) {
	t.Helper()
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if to.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) { mtu, inner = unix.GetsockoptInt(int(fd), level, option) })
	if err := errors.Join(err, inner); err != nil {
		t.Fatal(err)
	}
	return mtu
}
