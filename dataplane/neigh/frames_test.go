package neigh

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"steelyard/dataplane"
)

var testMAC = dataplane.MAC{0x02, 0x00, 0x5e, 0x10, 0x20, 0x30}

// The bytes were written by hand from RFC 826, RFC 4861 and RFC 2460, not
// taken from the code's output.
func TestFramesGolden(t *testing.T) {
	tests := []struct {
		name  string
		build func() ([]byte, error)
		want  string
	}{
		{
			name: "arp request",
			build: func() ([]byte, error) {
				return GratuitousARP(testMAC, netip.MustParseAddr("203.0.113.53"), Request)
			},
			want: `ffffffffffff 02005e102030 0806
				0001 0800 06 04 0001
				02005e102030 cb007135
				000000000000 cb007135
				000000000000000000000000000000000000`,
		},
		{
			name: "arp reply",
			build: func() ([]byte, error) {
				return GratuitousARP(testMAC, netip.MustParseAddr("203.0.113.53"), Reply)
			},
			want: `ffffffffffff 02005e102030 0806
				0001 0800 06 04 0002
				02005e102030 cb007135
				02005e102030 cb007135
				000000000000000000000000000000000000`,
		},
		{
			name: "advertisement of a router",
			build: func() ([]byte, error) {
				return UnsolicitedNA(testMAC, netip.MustParseAddr("2001:db8::53"), true)
			},
			want: `333300000001 02005e102030 86dd
				60000000 0020 3a ff
				20010db8000000000000000000000053
				ff020000000000000000000000000001
				88 00 CKSM a0000000
				20010db8000000000000000000000053
				02 01 02005e102030`,
		},
		{
			name: "advertisement of a host",
			build: func() ([]byte, error) {
				return UnsolicitedNA(testMAC, netip.MustParseAddr("2001:db8::53"), false)
			},
			want: `333300000001 02005e102030 86dd
				60000000 0020 3a ff
				20010db8000000000000000000000053
				ff020000000000000000000000000001
				88 00 CKSM 20000000
				20010db8000000000000000000000053
				02 01 02005e102030`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.build()
			if err != nil {
				t.Fatal(err)
			}
			// The checksum is judged by TestUnsolicitedNAChecksum.
			text := strings.Join(strings.Fields(tt.want), "")
			if i := strings.Index(text, "CKSM"); i >= 0 {
				text = text[:i] + hex.EncodeToString(got[i/2:i/2+2]) + text[i+4:]
			}
			want, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("frame differs\n got %x\nwant %x", got, want)
			}
		})
	}
}

func TestGratuitousARPDecodes(t *testing.T) {
	addr := netip.MustParseAddr("203.0.113.53")
	for _, form := range []Form{Request, Reply} {
		t.Run(form.String(), func(t *testing.T) {
			frame, err := GratuitousARP(testMAC, addr, form)
			if err != nil {
				t.Fatal(err)
			}
			p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
			a, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
			if !ok {
				t.Fatalf("no ARP layer in %v", p)
			}
			if a.Operation != uint16(form) || !bytes.Equal(a.SourceProtAddress, a.DstProtAddress) ||
				!bytes.Equal(a.SourceProtAddress, addr.AsSlice()) || !bytes.Equal(a.SourceHwAddress, testMAC[:]) {
				t.Errorf("decoded as %+v", a)
			}
		})
	}
}

func TestUnsolicitedNAChecksum(t *testing.T) {
	for _, text := range []string{"2001:db8::53", "fe80::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe"} {
		t.Run(text, func(t *testing.T) {
			addr := netip.MustParseAddr(text)
			frame, err := UnsolicitedNA(testMAC, addr, true)
			if err != nil {
				t.Fatal(err)
			}
			p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
			ip, ok := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
			if !ok {
				t.Fatalf("no IPv6 layer in %v", p)
			}
			icmp := *p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
			na, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
			if !ok {
				t.Fatalf("no advertisement in %v", p)
			}
			if ip.HopLimit != 255 || !na.Router() || !na.Override() || na.Solicited() ||
				!bytes.Equal(na.TargetAddress, addr.AsSlice()) || !bytes.Equal(ip.SrcIP, addr.AsSlice()) {
				t.Errorf("decoded as %+v in %+v", na, ip)
			}
			want := icmp.Checksum
			if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
				t.Fatal(err)
			}
			buf := gopacket.NewSerializeBuffer()
			err = gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true},
				&icmp, gopacket.Payload(icmp.LayerPayload()))
			if err != nil {
				t.Fatal(err)
			}
			if icmp.Checksum != want {
				t.Errorf("checksum %#04x, gopacket computes %#04x", want, icmp.Checksum)
			}
		})
	}
}

func TestFramesRefused(t *testing.T) {
	v4, v6 := netip.MustParseAddr("203.0.113.53"), netip.MustParseAddr("2001:db8::53")
	tests := []struct {
		name    string
		build   func() ([]byte, error)
		wantErr string
	}{
		{"arp for IPv6", func() ([]byte, error) { return GratuitousARP(testMAC, v6, Request) }, "invalid IPv4 address"},
		{"arp of unknown form", func() ([]byte, error) { return GratuitousARP(testMAC, v4, 3) }, "unknown form-3"},
		{"arp from zero MAC", func() ([]byte, error) { return GratuitousARP(dataplane.MAC{}, v4, Request) }, "not the address of one interface"},
		{"arp from group MAC", func() ([]byte, error) { return GratuitousARP(dataplane.MAC{1}, v4, Request) }, "not the address of one interface"},
		{"advertisement of IPv4", func() ([]byte, error) { return UnsolicitedNA(testMAC, v4, true) }, "not an IPv6 unicast address"},
		{"advertisement of a mapped address", func() ([]byte, error) {
			return UnsolicitedNA(testMAC, netip.AddrFrom16(v4.As16()), true)
		}, "not an IPv6 unicast address"},
		{"advertisement of a group", func() ([]byte, error) {
			return UnsolicitedNA(testMAC, netip.MustParseAddr("ff02::1"), true)
		}, "not an IPv6 unicast address"},
		{"advertisement from zero MAC", func() ([]byte, error) { return UnsolicitedNA(dataplane.MAC{}, v6, true) }, "not the address of one interface"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame, err := tt.build()
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("got %x, %v; want error %q", frame, err, tt.wantErr)
			}
		})
	}
}
