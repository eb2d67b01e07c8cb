package netns

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// ipv4UDP returns the IP packet of a frame that carries UDP to port in IPv4.
func ipv4UDP(f Frame, port uint16) ([]byte, bool) {
	const eth, ip, udp = 14, 20, 8
	d := f.Data
	if len(d) < eth+ip+udp || binary.BigEndian.Uint16(d[12:]) != unix.ETH_P_IP || d[eth] != 0x45 ||
		d[eth+9] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(d[eth+ip+2:]) != port {
		return nil, false
	}
	return d[eth : eth+int(binary.BigEndian.Uint16(d[eth+2:]))], true
}

// sum16 is the ones' complement sum of RFC 1071.
func sum16(parts ...[]byte) uint16 {
	var sum uint32
	for _, p := range parts {
		for ; len(p) > 1; p = p[2:] {
			sum += uint32(binary.BigEndian.Uint16(p))
		}
		if len(p) == 1 {
			sum += uint32(p[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestCapture(t *testing.T) {
	RequireRoot(t)
	env := New(t, twoArmed())
	sent := capture(t, env.Host("client"), "eth0")
	passing := capture(t, env.Host("gw"), "back")
	received := capture(t, env.Host("backend"), "eth0")
	exchange(t, env.Host("client"), env.Host("backend"), "10.0.0.2:5000")
	tests := []struct {
		name         string
		capture      *Capture
		wantOutgoing bool
		wantTTL      byte
	}{
		{"at the sender", sent, true, 64},
		{"at the router", passing, true, 63},
		{"at the receiver", received, false, 63},
	}
	for _, tt := range tests {
		frames, err := tt.capture.Stop()
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		found := 0
		for _, f := range frames {
			p, ok := ipv4UDP(f, 5000)
			if !ok {
				continue
			}
			found++
			if f.Outgoing != tt.wantOutgoing || p[8] != tt.wantTTL || f.ChecksumPartial {
				t.Errorf("%s: outgoing %v TTL %d partial %v", tt.name, f.Outgoing, p[8], f.ChecksumPartial)
			}
			pseudo := []byte{0, unix.IPPROTO_UDP, 0, byte(len(p) - 20)}
			if got := sum16(p[12:20], pseudo, p[20:]); got != 0xffff {
				t.Errorf("%s: UDP checksum sums to %#x, want 0xffff: offload is on", tt.name, got)
			}
		}
		if found != 1 {
			t.Errorf("%s: %d of %d frames are the datagram, want 1", tt.name, found, len(frames))
		}
	}
}

func capture(t *testing.T, h *HostEnv, device string) *Capture {
	t.Helper()
	c, err := h.Capture(device)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCaptureKeepsVLANTag(t *testing.T) {
	RequireRoot(t)
	env := New(t, twoArmed())
	c := capture(t, env.Host("gw"), "front")
	frame := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 9, 0x81, 0, 0x20, 7, 0x88, 0xb5)
	frame = append(frame, bytes.Repeat([]byte{0xa5}, 46)...)
	if err := env.Host("client").Send("eth0", frame); err != nil {
		t.Fatal(err)
	}
	WaitFor(t, func() bool {
		for _, f := range c.Frames() {
			if bytes.Equal(f.Data, frame) {
				return true
			}
		}
		return false
	}, "the tagged frame")
	if _, err := c.Stop(); err != nil {
		t.Error(err)
	}
}
