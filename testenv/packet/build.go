package packet

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"steelyard/dataplane"
)

// IP protocol numbers that the builder must name.
const (
	protoICMP  = 1
	protoICMP6 = 58
)

const (
	etherLen = 14
	tagLen   = 4
)

// Build makes a frame of layers. It panics on layers that cannot be one: they
// are constants of the test that calls it.
func Build(ls ...Layer) []byte {
	b := builder{}
	for i, l := range ls {
		b.add(l, ls[i+1:])
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, b.parts...); err != nil {
		panic(fmt.Sprintf("build packet: %v", err))
	}
	frame := buf.Bytes()
	for _, breakIt := range b.after {
		breakIt(frame)
	}
	frame = append(frame, make([]byte, b.pad)...)
	if b.cut > 0 && b.cut < len(frame) {
		frame = frame[:b.cut]
	}
	return frame
}

// builder collects gopacket's layers and what is broken after they are made.
type builder struct {
	parts    []gopacket.SerializableLayer
	after    []func(frame []byte)
	at       int // offset of the layer being added
	network  gopacket.NetworkLayer
	ipv6     bool
	pad, cut int
}

func (b *builder) add(l Layer, rest []Layer) {
	switch l := l.(type) {
	case Ether:
		// By hand: gopacket's would pad the frame to 60 bytes.
		header := slices.Concat(l.Dst[:], l.Src[:])
		b.parts = append(b.parts, gopacket.Payload(binary.BigEndian.AppendUint16(header, uint16(etherType(rest, l.Type)))))
		b.at += etherLen
	case Tag:
		b.parts = append(b.parts, &layers.Dot1Q{VLANIdentifier: l.ID, Priority: l.Priority, Type: etherType(rest, 0)})
		b.at += tagLen
	case IP:
		b.addIP(l, rest)
	case Extension:
		b.addExtension(l, rest)
	case TCP:
		b.addTCP(l)
	case UDP:
		b.addUDP(l)
	case ICMP:
		b.addICMP(l)
	case Bytes:
		b.parts = append(b.parts, gopacket.Payload(l))
	case Payload:
		b.parts = append(b.parts, gopacket.Payload(pattern(int(l))))
	case Pad:
		b.pad = int(l)
	case Cut:
		b.cut = int(l)
	}
}

func (b *builder) addIP(l IP, rest []Layer) {
	at, v4 := b.at, l.Src.Is4()
	proto := protocol(rest, l.Proto, v4)
	ttl := l.TTL
	if ttl == 0 && !l.ZeroTTL {
		ttl = 64
	}
	if v4 {
		b.addIP4(l, proto, ttl)
		b.after = append(b.after, func(frame []byte) { breakIP4(l, frame[at:]) })
		return
	}
	b.ipv6 = true
	ip := &layers.IPv6{Version: 6, TrafficClass: l.TOS, NextHeader: layers.IPProtocol(proto), HopLimit: ttl, SrcIP: l.Src.AsSlice(), DstIP: l.Dst.AsSlice()}
	b.parts, b.network = append(b.parts, ip), ip
	b.at += 40
	if f := l.Fragment; f != nil {
		ip.NextHeader = FragmentHeader
		header := [8]byte{0: proto, 7: byte(f.ID)}
		binary.BigEndian.PutUint16(header[2:], f.Offset<<3|bit(f.More))
		b.parts = append(b.parts, gopacket.Payload(header[:]))
		b.at += 8
	}
	b.after = append(b.after, func(frame []byte) { breakIP6(l, frame[at:]) })
}

func (b *builder) addExtension(l Extension, rest []Layer) {
	// Lengths are in units of 8 bytes past the first 8, but the one of the
	// authentication header, in units of 4 (RFC 4302, Section 2.2), and the
	// fragment header, which has none.
	unit := 8
	if l.Kind == Authentication {
		unit = 4
	}
	x := append([]byte{protocol(rest, l.Next, false), 0}, l.Data...)
	for len(x) < 8 || len(x)%unit != 0 {
		x = append(x, 0)
	}
	if l.Kind != FragmentHeader {
		x[1] = uint8((len(x) - 8) / unit)
	}
	if l.Length != nil {
		x[1] = *l.Length
	}
	b.parts = append(b.parts, gopacket.Payload(x))
	b.at += len(x)
}

func (b *builder) addIP4(l IP, proto, ttl uint8) {
	ip := &layers.IPv4{Version: 4, TOS: l.TOS, Id: l.ID, TTL: ttl, Protocol: layers.IPProtocol(proto), SrcIP: l.Src.AsSlice(), DstIP: l.Dst.AsSlice()}
	if l.DontFragment {
		ip.Flags |= layers.IPv4DontFragment
	}
	if f := l.Fragment; f != nil {
		ip.Id, ip.FragOffset = f.ID, f.Offset
		if f.More {
			ip.Flags |= layers.IPv4MoreFragments
		}
	}
	// gopacket takes options one by one; plain bytes are easier to read in
	// a test, so they are given as one option's data and copied over.
	if n := len(l.Options); n > 0 {
		ip.Options = []layers.IPv4Option{{OptionType: 0x88, OptionLength: uint8(n), OptionData: l.Options[2:]}}
	}
	b.parts, b.network = append(b.parts, ip), ip
	b.at += 20 + len(l.Options)
}

func breakIP4(l IP, ip []byte) {
	copy(ip[20:], l.Options)
	if l.Version != 0 {
		ip[0] = l.Version<<4 | ip[0]&0xf
	}
	if l.Length != nil {
		binary.BigEndian.PutUint16(ip[2:], *l.Length)
	}
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip[:20+len(l.Options)]))
	if l.HeaderWords != nil {
		ip[0] = ip[0]&0xf0 | *l.HeaderWords&0xf
	}
	if l.BadChecksum {
		ip[10] ^= 0x40
	}
}

func breakIP6(l IP, ip []byte) {
	if l.Version != 0 {
		ip[0] = l.Version<<4 | ip[0]&0xf
	}
	if l.Length != nil {
		binary.BigEndian.PutUint16(ip[4:], *l.Length)
	}
}

func (b *builder) addTCP(l TCP) {
	has := func(flag string) bool { return strings.Contains(l.Flags, flag) }
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(l.Src), DstPort: layers.TCPPort(l.Dst), Seq: l.Seq, Ack: l.Ack, Window: 0x7210,
		FIN: has("F"), SYN: has("S"), RST: has("R"), PSH: has("P"), ACK: has("A"), URG: has("U"),
	}
	for i := 0; i+4 <= len(l.Options); i += 4 {
		o := l.Options[i : i+4]
		tcp.Options = append(tcp.Options, layers.TCPOption{OptionType: layers.TCPOptionKind(o[0]), OptionLength: 4, OptionData: o[2:]})
	}
	b.checksum(tcp.SetNetworkLayerForChecksum)
	b.parts = append(b.parts, tcp)
	at := b.at
	b.after = append(b.after, func(frame []byte) {
		if l.DataWords != nil {
			frame[at+12] = frame[at+12]&0xf | *l.DataWords<<4
		}
		if l.BadChecksum {
			frame[at+16] ^= 0x40
		}
	})
}

func (b *builder) addUDP(l UDP) {
	udp := &layers.UDP{SrcPort: layers.UDPPort(l.Src), DstPort: layers.UDPPort(l.Dst)}
	b.checksum(udp.SetNetworkLayerForChecksum)
	b.parts = append(b.parts, udp)
	at := b.at
	b.after = append(b.after, func(frame []byte) {
		if l.Length != nil {
			binary.BigEndian.PutUint16(frame[at+4:], *l.Length)
		}
		if l.BadChecksum {
			frame[at+6] ^= 0x40
		}
		if l.NoChecksum {
			frame[at+6], frame[at+7] = 0, 0
		}
	})
}

func (b *builder) addICMP(l ICMP) {
	rest := binary.BigEndian.AppendUint32(nil, l.Rest)
	if b.ipv6 {
		icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(l.Type, l.Code)}
		b.checksum(icmp.SetNetworkLayerForChecksum)
		b.parts = append(b.parts, icmp, gopacket.Payload(rest))
		return
	}
	b.parts = append(b.parts, &layers.ICMPv4{
		TypeCode: layers.CreateICMPv4TypeCode(l.Type, l.Code),
		Id:       uint16(l.Rest >> 16), Seq: uint16(l.Rest),
	})
}

func (b *builder) checksum(set func(gopacket.NetworkLayer) error) {
	if b.network == nil {
		panic("build packet: a transport header without an IP header")
	}
	if err := set(b.network); err != nil {
		panic(fmt.Sprintf("build packet: %v", err))
	}
}

// etherType is that of the next layer.
func etherType(rest []Layer, otherwise uint16) layers.EthernetType {
	if len(rest) == 0 {
		return layers.EthernetType(otherwise)
	}
	switch l := rest[0].(type) {
	case Tag:
		if l.Service {
			return layers.EthernetTypeQinQ
		}
		return layers.EthernetTypeDot1Q
	case IP:
		if l.Src.Is4() {
			return layers.EthernetTypeIPv4
		}
		return layers.EthernetTypeIPv6
	}
	return layers.EthernetType(otherwise)
}

// protocol is that of the next layer.
func protocol(rest []Layer, otherwise uint8, v4 bool) uint8 {
	if len(rest) == 0 {
		return otherwise
	}
	switch rest[0].(type) {
	case TCP:
		return uint8(dataplane.TCP)
	case UDP:
		return uint8(dataplane.UDP)
	case ICMP:
		if v4 {
			return protoICMP
		}
		return protoICMP6
	case Extension:
		return rest[0].(Extension).Kind
	}
	return otherwise
}

func bit(b bool) uint16 {
	if b {
		return 1
	}
	return 0
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + 1)
	}
	return p
}
