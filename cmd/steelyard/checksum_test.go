package main_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
	"steelyard/testenv/packet"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// TestPacketsBehindTheBox looks at every packet on both sides of the gateway:
// its checksums by our own arithmetic and by tshark's, and its hops.
func TestPacketsBehindTheBox(t *testing.T) {
	t.Parallel()
	const backends = 2
	b := raiseServing(t, backends, site.Config{})
	stops := map[string]func() []netns.Frame{}
	for _, name := range []string{site.Client, site.Backend(1), site.Backend(2)} {
		_, stops[name] = capture(t, b.env.Host(name), "eth0")
	}
	b.everyKindOfTraffic()
	var all []netns.Frame // as they were on the wire
	for name, stop := range stops {
		frames := slices.DeleteFunc(stop(), func(f netns.Frame) bool { return !isIP(f.Data) })
		t.Run(name, func(t *testing.T) { checkFrames(t, name, frames) })
		for _, f := range frames {
			if !f.ChecksumPartial {
				all = append(all, f)
			}
		}
	}
	if bad := tshark(t, all, tsharkBad); len(bad) > 0 {
		t.Errorf("tshark finds %d of %d frames bad, the first:\n%s", len(bad), len(all), bad[0])
	}
	for _, proto := range []string{"tcp", "udp"} {
		if n := len(tshark(t, all, proto+`.checksum.status == "Good"`)); n < 100 {
			t.Errorf("tshark has validated %d frames of %s, want hundreds", n, proto)
		}
	}
	broken := slices.Clone(all[0].Data)
	broken[len(broken)-1] ^= 1
	if n := len(tshark(t, []netns.Frame{{Data: broken}}, tsharkBad)); n != 1 {
		t.Error("tshark does not see a broken checksum: its validation proves nothing")
	}
	b.noDrops()
}

// everyKindOfTraffic sends small and full-size packets over TCP and UDP.
func (b *bed) everyKindOfTraffic() {
	b.t.Helper()
	for _, vip := range vips() {
		for _, size := range []int{32, 33, 1200} {
			udp, err := traffic.UDPRun(b.t.Context(), b.client, traffic.UDPPlan{Target: vip, Flows: 50, Datagrams: 100, Size: size})
			if err := errors.Join(err, udp.Err()); err != nil {
				b.t.Errorf("UDP to %s, %d bytes: %v", vip, size, err)
			}
		}
		tcp, err := traffic.TCPRun(b.t.Context(), b.client, traffic.TCPPlan{Target: vip, Connections: 20, Messages: 3, Size: 8000})
		if err := errors.Join(err, tcp.Err()); err != nil {
			b.t.Errorf("TCP to %s: %v", vip, err)
		}
	}
}

// checkFrames checks what one host sent and received. A host sends with 64
// hops and there is one between the two.
func checkFrames(t *testing.T, host string, frames []netns.Frame) {
	judged, whole := 0, 0
	for _, f := range frames {
		if !f.ChecksumPartial {
			whole++
			if err := packet.VerifyChecksums(f.Data); err != nil {
				t.Fatalf("%v\n% x", err, f.Data)
			}
		}
		s, ok := segmentOf(f.Data)
		if !ok {
			continue
		}
		judged++
		want := uint8(63)
		if f.Outgoing {
			want = 64
		}
		if s.ttl != want {
			t.Fatalf("%s packet from %s to %s has %d hops left, want %d", s.proto, s.from, s.to, s.ttl, want)
		}
		far := s.from
		if f.Outgoing {
			far = s.to
		}
		if wrong := checkFar(host, far); wrong != nil {
			t.Fatal(wrong)
		}
	}
	if judged < 200 || whole < len(frames)/2 {
		t.Errorf("%d frames, %d of them TCP or UDP, %d with whole checksums: too few to say anything", len(frames), judged, whole)
	}
}

// checkFar says what is wrong with the other end of a host's packet: a client
// shall meet VIPs only, a backend the client only.
func checkFar(host string, far netip.AddrPort) error {
	want := []netip.Addr{site.Client4.Addr(), site.Client6.Addr()}
	if host == site.Client {
		want = []netip.Addr{site.VIP4, site.VIP6}
	}
	if !slices.Contains(want, far.Addr()) {
		return fmt.Errorf("%s exchanged a packet with %s, want %v only", host, far, want)
	}
	return nil
}

// TestUDPWithoutChecksum: a datagram that comes without a checksum leaves
// without one, in both directions (RFC 768: 0 means none).
func TestUDPWithoutChecksum(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(1))
	b.start(site.Config{Backends: site.Members(1)}.String())
	_, stop := capture(t, b.backend(1), "eth0")
	_, stopClient := capture(t, b.client, "eth0")
	server := listenWithoutChecksum(t, b.backend(1), netip.AddrPortFrom(site.Backend4(1), backendPort))
	client := listenWithoutChecksum(t, b.client, netip.AddrPortFrom(site.Client4.Addr(), 4000))
	vip := vips()[0]
	if _, err := client.WriteToUDPAddrPort([]byte("question"), vip); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, from, err := server.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "question" {
		t.Fatalf("the backend got %q: %v", buf[:n], err)
	}
	if _, err := server.WriteToUDPAddrPort([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	if n, from, err = client.ReadFromUDPAddrPort(buf); err != nil || string(buf[:n]) != "answer" || from != vip {
		t.Fatalf("the client got %q from %s: %v", buf[:n], from, err)
	}
	seen := 0
	for _, f := range append(stop(), stopClient()...) {
		s, ok := segmentOf(f.Data)
		if !ok || s.proto != dataplane.UDP {
			continue
		}
		seen++
		if s.checksum != 0 {
			t.Errorf("the datagram from %s to %s has checksum %#04x, want none", s.from, s.to, s.checksum)
		}
	}
	if seen != 4 {
		t.Errorf("saw %d datagrams, want both on both sides", seen)
	}
}

// listenWithoutChecksum opens a UDP socket that sends without checksums.
func listenWithoutChecksum(t *testing.T, host *netns.HostEnv, addr netip.AddrPort) *net.UDPConn {
	t.Helper()
	packets, err := host.ListenPacket(t.Context(), "udp4", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	conn := packets.(*net.UDPConn)
	t.Cleanup(func() { conn.Close() })
	if deadline, ok := t.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	if err := setOption(conn, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
		t.Fatal(err)
	}
	return conn
}

func setOption(conn syscall.Conn, level, option, value int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), level, option, value) })
	return errors.Join(err, inner)
}
