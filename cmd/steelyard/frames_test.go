package main_test

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
)

// segment is what tests look at of a captured TCP or UDP packet.
type segment struct {
	from, to netip.AddrPort
	proto    dataplane.Protocol
	ttl      uint8
	checksum uint16
	payload  []byte
}

// segmentOf returns false for a frame that is neither TCP nor UDP.
func segmentOf(frame []byte) (s segment, ok bool) {
	var src, dst netip.Addr
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		src, _ = netip.AddrFromSlice(ip.SrcIP)
		dst, _ = netip.AddrFromSlice(ip.DstIP)
		s.ttl = ip.TTL
	case *layers.IPv6:
		src, _ = netip.AddrFromSlice(ip.SrcIP)
		dst, _ = netip.AddrFromSlice(ip.DstIP)
		s.ttl = ip.HopLimit
	default:
		return s, false
	}
	src, dst = src.Unmap(), dst.Unmap()
	switch l4 := p.TransportLayer().(type) {
	case *layers.TCP:
		s.proto, s.checksum, s.payload = dataplane.TCP, l4.Checksum, l4.Payload
		s.from, s.to = netip.AddrPortFrom(src, uint16(l4.SrcPort)), netip.AddrPortFrom(dst, uint16(l4.DstPort))
	case *layers.UDP:
		s.proto, s.checksum, s.payload = dataplane.UDP, l4.Checksum, l4.Payload
		s.from, s.to = netip.AddrPortFrom(src, uint16(l4.SrcPort)), netip.AddrPortFrom(dst, uint16(l4.DstPort))
	default:
		return s, false
	}
	return s, true
}

// tsharkBad is tshark's filter for frames whose checksums are wrong. It does
// not ask for malformed ones: the client's ports are random, and tshark takes
// the payload for what other people use such a port for.
const tsharkBad = `ip.checksum.status == "Bad" || tcp.checksum.status == "Bad" || udp.checksum.status == "Bad" || icmp.checksum.status == "Bad" || icmpv6.checksum.status == "Bad"`

// tshark lists the frames that a display filter matches, one a line, with all
// checksums validated.
func tshark(t *testing.T, frames []netns.Frame, filter string) []string {
	t.Helper()
	need(t, "tshark", "tshark")
	path := filepath.Join(t.TempDir(), "capture.pcap")
	writePcap(t, path, frames)
	cmd := exec.CommandContext(t.Context(), "tshark", "-n", "-r", path, "-Y", filter,
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, warnings.String())
	}
	return slices.Collect(strings.Lines(string(out)))
}

func writePcap(t *testing.T, path string, frames []netns.Frame) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, frame := range frames {
		info := gopacket.CaptureInfo{Timestamp: frame.Time, CaptureLength: len(frame.Data), Length: len(frame.Data)}
		if err := w.WritePacket(info, frame.Data); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// isIP tells whether a frame carries IPv4 or IPv6.
func isIP(frame []byte) bool {
	const at = 12
	if len(frame) < at+2 {
		return false
	}
	switch layers.EthernetType(binary.BigEndian.Uint16(frame[at:])) {
	case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6:
		return true
	}
	return false
}
