package packet

import (
	"errors"
	"math/rand"
	"net/netip"
	"strings"
	"testing"

	"steelyard/dataplane"
)

var (
	macA = dataplane.MAC{2, 0, 0, 0, 0, 1}
	macB = dataplane.MAC{2, 0, 0, 0, 0, 2}
	src4 = netip.MustParseAddr("198.51.100.7")
	dst4 = netip.MustParseAddr("203.0.113.80")
	src6 = netip.MustParseAddr("2001:db8:c::7")
	dst6 = netip.MustParseAddr("2001:db8:5::80")
)

func length(n uint16) *uint16 { return &n }

func TestVerifyChecksums(t *testing.T) {
	eth := Ether{Src: macA, Dst: macB}
	ip4, ip6 := IP{Src: src4, Dst: dst4}, IP{Src: src6, Dst: dst6}
	with := func(ip IP, change func(*IP)) IP { change(&ip); return ip }
	tests := []struct {
		name   string
		layers []Layer
		want   error
	}{
		{"tcp4", []Layer{eth, ip4, TCP{Src: 1, Dst: 2, Flags: "SA"}}, nil},
		{"tcp4 odd payload", []Layer{eth, ip4, TCP{Src: 1, Dst: 2, Flags: "SA"}, Payload(7)}, nil},
		{"tcp4 ip options", []Layer{eth, with(ip4, func(i *IP) { i.Options = []byte{7, 8, 4, 0, 0, 0, 0, 0} }), TCP{Src: 1, Dst: 2}}, nil},
		{"tcp4 tcp options", []Layer{eth, ip4, TCP{Src: 1, Dst: 2, Options: []byte{2, 4, 5, 180}}, Payload(9)}, nil},
		{"tcp4 padded", []Layer{eth, ip4, TCP{Src: 1, Dst: 2}, Pad(6)}, nil},
		{"tcp4 q-in-q", []Layer{eth, Tag{ID: 7, Service: true}, Tag{ID: 9}, ip4, TCP{Src: 1, Dst: 2}}, nil},
		{"tcp4 bad", []Layer{eth, ip4, TCP{Src: 1, Dst: 2, BadChecksum: true}}, ErrChecksum},
		{"tcp4 bad ip", []Layer{eth, with(ip4, func(i *IP) { i.BadChecksum = true }), TCP{Src: 1, Dst: 2}}, ErrChecksum},
		{"tcp4 cut", []Layer{eth, ip4, TCP{Src: 1, Dst: 2}, Cut(50)}, ErrUndecodable},
		{"tcp6", []Layer{eth, ip6, TCP{Src: 1, Dst: 2}, Payload(3)}, nil},
		{"tcp6 bad", []Layer{eth, ip6, TCP{Src: 1, Dst: 2, BadChecksum: true}}, ErrChecksum},
		{"udp4", []Layer{eth, ip4, UDP{Src: 1, Dst: 2}, Payload(3)}, nil},
		{"udp4 none", []Layer{eth, ip4, UDP{Src: 1, Dst: 2, NoChecksum: true}, Payload(3)}, nil},
		{"udp4 bad", []Layer{eth, ip4, UDP{Src: 1, Dst: 2, BadChecksum: true}}, ErrChecksum},
		{"udp4 too long", []Layer{eth, ip4, UDP{Src: 1, Dst: 2, Length: length(99)}}, ErrUndecodable},
		{"udp6", []Layer{eth, ip6, UDP{Src: 1, Dst: 2}, Payload(3)}, nil},
		{"udp6 none", []Layer{eth, ip6, UDP{Src: 1, Dst: 2, NoChecksum: true}}, ErrChecksum},
		{"tcp6 behind extension headers", []Layer{eth, ip6, Extension{Kind: HopByHop}, Extension{Kind: Authentication, Data: make([]byte, 14)}, TCP{Src: 1, Dst: 2}}, nil},
		{"tcp6 behind extension headers bad", []Layer{eth, ip6, Extension{Kind: Destination, Data: make([]byte, 9)}, TCP{Src: 1, Dst: 2, BadChecksum: true}}, ErrChecksum},
		{"udp6 atomic fragment none", []Layer{eth, ip6, Extension{Kind: FragmentHeader}, UDP{Src: 1, Dst: 2, NoChecksum: true}}, ErrChecksum},
		{"udp6 first fragment", []Layer{eth, with(ip6, func(i *IP) { i.Fragment = &Fragment{ID: 1, More: true} }), UDP{Src: 1, Dst: 2, BadChecksum: true}}, nil},
		{"tcp6 on its way to the last address", []Layer{eth, ip6, Extension{Kind: Routing, Data: []byte{4, 1}}, TCP{Src: 1, Dst: 2, BadChecksum: true}}, nil},
		{"icmp4", []Layer{eth, ip4, ICMP{Type: 8, Rest: 0x10002}, Payload(5)}, nil},
		{"icmp6", []Layer{eth, ip6, ICMP{Type: 128, Rest: 0x10002}, Payload(5)}, nil},
		{"arp", []Layer{Ether{Src: macA, Dst: macB, Type: 0x806}, Payload(28)}, ErrUndecodable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := Build(tt.layers...)
			if err := VerifyChecksums(frame); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v\n%s", err, tt.want, String(frame))
			}
		})
	}
}

func TestDiffNamesLayersAndFields(t *testing.T) {
	build := func(src netip.Addr, dst netip.Addr, ttl uint8, ports ...uint16) []byte {
		return Build(Ether{Src: macA, Dst: macB}, IP{Src: src, Dst: dst, TTL: ttl}, TCP{Src: ports[0], Dst: ports[1], Flags: "S"})
	}
	quote := func(mtu uint32, ttl uint8) []byte {
		return Build(Ether{Src: macA, Dst: macB}, IP{Src: dst6, Dst: src6}, ICMP{Type: 2, Rest: mtu}, Bytes(build(src6, dst6, ttl, 5, 6)[14:]))
	}
	tests := []struct {
		name      string
		want, got []byte
		lines     []string
	}{
		{"equal", build(src4, dst4, 9, 1, 2), build(src4, dst4, 9, 1, 2), nil},
		{"ttl", build(src4, dst4, 9, 1, 2), build(src4, dst4, 8, 1, 2), []string{"IPv4.TTL: want 9, got 8"}},
		{"port", build(src6, dst6, 9, 1, 2), build(src6, dst6, 9, 1, 3), []string{"TCP.DstPort: want 2"}},
		{"family", build(src4, dst4, 9, 1, 2), build(src6, dst6, 9, 1, 2), []string{"- IPv4", "+ IPv6"}},
		{"padding", build(src4, dst4, 9, 1, 2), append(build(src4, dst4, 9, 1, 2), 1, 2), []string{"+ padding 0102", "want 54 bytes, got 56"}},
		{"mtu", quote(1400, 3), quote(1300, 3), []string{"ICMPv6 rest: want 00000578, got 00000514"}},
		{"quoted", quote(1400, 3), quote(1400, 2), []string{"quoted IPv6.HopLimit: want 3, got 2"}},
		{"cut", build(src4, dst4, 9, 1, 2), build(src4, dst4, 9, 1, 2)[:20], []string{"want 54 bytes, got 20"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			diff := Diff(tt.want, tt.got)
			if (len(tt.lines) == 0) != (diff == "") {
				t.Errorf("diff is %q", diff)
			}
			for _, line := range tt.lines {
				if !strings.Contains(diff, line) {
					t.Errorf("diff lacks %q:\n%s", line, diff)
				}
			}
		})
	}
}

func smallWorld() World {
	vip := func(a netip.Addr, p dataplane.Protocol) dataplane.ServiceKey {
		return dataplane.ServiceKey{Addr: a, Port: 80, Proto: p}
	}
	return World{
		MACs: []dataplane.MAC{macA}, Foreign: []dataplane.MAC{macB}, VLANs: []uint16{1, 2},
		Services: []dataplane.ServiceKey{vip(dst4, dataplane.TCP), vip(dst6, dataplane.UDP)},
		Origins:  []dataplane.OriginKey{vip(dst4, dataplane.UDP), vip(dst6, dataplane.TCP)},
		VIPs:     []netip.Addr{dst4, dst6}, Locals: []netip.Addr{dst4, dst6},
		Clients: []netip.Addr{src4, src6}, Ports: []uint16{1, 2, 3},
	}
}

func TestRandomPacketsAreWellFormed(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	whole := 0
	for range 5000 {
		frame := Random(rng, smallWorld())
		err := VerifyChecksums(frame)
		if err == nil {
			whole++
		}
		// Nonsense in the place of a TCP header is part of the plan.
		if len(frame) < leastFrame {
			t.Fatalf("frame of %d bytes", len(frame))
		}
	}
	if whole < 4500 {
		t.Errorf("only %d of 5000 are right", whole)
	}
}

func TestLater(t *testing.T) {
	first := func(src, dst netip.Addr) []byte {
		return Build(Ether{}, IP{Src: src, Dst: dst, Fragment: &Fragment{ID: 7, More: true}}, UDP{Src: 1, Dst: 2}, Payload(24))
	}
	later := func(src, dst netip.Addr) []byte {
		data := Bytes(first(src, dst)[len(first(src, dst))-32:])
		return Build(Ether{}, IP{Src: src, Dst: dst, Proto: uint8(dataplane.UDP), Fragment: &Fragment{ID: 7, Offset: 9}}, data)
	}
	for _, ends := range [][2]netip.Addr{{src4, dst4}, {src6, dst6}} {
		got, ok := Later(first(ends[0], ends[1]), 9, false)
		if diff := Diff(later(ends[0], ends[1]), got); diff != "" || !ok {
			t.Errorf("%s: %v %s", ends[0], ok, diff)
		}
		if _, ok := Later(later(ends[0], ends[1]), 9, false); ok {
			t.Errorf("%s: a later fragment is taken for a first", ends[0])
		}
	}
}

func TestMutateBreaksACopy(t *testing.T) {
	rng := rand.New(rand.NewSource(2))
	changed := 0
	for range 20000 {
		frame := Random(rng, smallWorld())
		before := string(frame)
		broken := Mutate(rng, frame)
		if string(frame) != before {
			t.Fatal("the original was changed")
		}
		if len(broken) < leastFrame {
			t.Fatalf("frame of %d bytes", len(broken))
		}
		if string(broken) != before {
			changed++
		}
	}
	if changed < 18000 {
		t.Errorf("only %d of 20000 changed", changed)
	}
}

// FuzzDiff holds that Diff and VerifyChecksums take any bytes.
func FuzzDiff(f *testing.F) {
	f.Add(Build(Ether{}, IP{Src: src4, Dst: dst4}, UDP{}), []byte{})
	f.Add(Build(Ether{}, IP{Src: src6, Dst: dst6}, ICMP{Type: 3}, Payload(50)), []byte{1})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if (Diff(a, b) == "") != (string(a) == string(b)) {
			t.Errorf("diff %q", Diff(a, b))
		}
		_ = VerifyChecksums(a)
	})
}
