package model

import (
	"encoding/binary"
	"net/netip"

	"steelyard/dataplane"
)

// Numbers from the IANA registries.
const (
	typeIPv4    = 0x0800
	typeVLAN    = 0x8100 // 802.1Q
	typeService = 0x88a8 // 802.1ad
	typeIPv6    = 0x86dd

	tcp          = uint8(dataplane.TCP)
	udp          = uint8(dataplane.UDP)
	hopByHop     = 0 // IPv6, as are the next four
	protoICMP    = 1
	routing      = 43
	fragmentPart = 44
	authHeader   = 51
	protoICMP6   = 58
	destOptions  = 60
)

// TCP flags (RFC 9293, Section 3.1).
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
)

const (
	etherLen   = 14
	tagLen     = 4
	maxTags    = 2 // 802.1Q inside 802.1ad
	ip4MinLen  = 20
	ip6Len     = 40
	tcpMinLen  = 20
	udpLen     = 8
	macLen     = 6
	fragMore   = 0x2000
	fragOffset = 0x1fff
	fragDont   = 0x4000
)

// piece is which part of a packet a frame carries.
type piece uint8

const (
	entire piece = iota
	firstPiece
	laterPiece // without a transport header
)

// packet is a frame and what is known about it. addresses are set once the IP
// header is there, ports once the transport header is sound.
//
// An ICMP error about a packet of a flow counts as a packet of that flow from
// the other end: src, dst and proto are those of what it quotes, the other way
// round.
type packet struct {
	ifindex uint32
	frame   []byte
	l2      int // bytes before the IP header
	ipLen   int // bytes of the IP packet
	header  int // bytes of the IP header and IPv6's extension headers

	v6       bool
	src, dst netip.AddrPort
	proto    uint8
	ttl      uint8
	flags    uint8 // of TCP
	piece    piece
	id       uint32 // valid iff piece is not entire
	whole    bool   // must not be fragmented on the way
	quote    *quote // of an ICMP error about a flow; else nil
	// trouble is what is wrong with it, if it is for us; PassNotOurs where
	// it is not even IP.
	trouble dataplane.Verdict
}

func (p *packet) isTCP() bool  { return p.proto == tcp }
func (p *packet) ports() bool  { return p.proto == tcp || p.proto == udp }
func (p *packet) ip() []byte   { return p.frame[p.l2:] }
func (p *packet) body() []byte { return p.frame[p.l2+p.header : p.l2+p.ipLen] }

// finish ends the packet's way here: untouched to the kernel, or dropped.
func (p *packet) finish(v dataplane.Verdict) Result {
	if v.Action() == dataplane.ActionDrop {
		return Result{Verdict: v}
	}
	return Result{Verdict: v, Frame: append([]byte(nil), p.frame...)}
}

func parse(ifindex uint32, frame []byte) *packet {
	p := &packet{ifindex: ifindex, frame: frame, trouble: dataplane.PassNotOurs}
	kind, ok := p.parseEther()
	switch {
	case !ok:
		return p
	case kind == typeIPv4 && len(p.ip()) >= ip4MinLen:
		p.trouble = p.parseIP4()
	case kind == typeIPv6 && len(p.ip()) >= ip6Len:
		p.v6 = true
		p.trouble = p.parseIP6()
	default:
		return p
	}
	if p.trouble != dataplane.VerdictContinue || p.piece == laterPiece {
		return p
	}
	switch p.proto {
	case tcp:
		p.trouble = p.parseTCP()
	case udp:
		p.trouble = p.parseUDP()
	case p.icmp():
		if p.piece == entire {
			p.parseICMP()
		}
	}
	return p
}

// icmp is the protocol number of the family's ICMP.
func (p *packet) icmp() uint8 {
	if p.v6 {
		return protoICMP6
	}
	return protoICMP
}

// parseEther finds the EtherType behind up to two VLAN tags.
func (p *packet) parseEther() (kind uint16, ok bool) {
	p.l2 = etherLen
	for tags := 0; len(p.frame) >= p.l2; tags++ {
		kind = binary.BigEndian.Uint16(p.frame[p.l2-2:])
		if kind != typeVLAN && kind != typeService || tags == maxTags {
			return kind, true
		}
		p.l2 += tagLen
	}
	return 0, false
}

func (p *packet) parseIP4() dataplane.Verdict {
	ip := p.ip()
	p.addresses(ip[12:16], ip[16:20])
	p.ttl = ip[8]
	p.header = int(ip[0]&0xf) * 4
	p.ipLen = int(binary.BigEndian.Uint16(ip[2:]))
	frag := binary.BigEndian.Uint16(ip[6:])
	switch {
	case ip[0]>>4 != 4 || p.header < ip4MinLen:
		return dataplane.DropBadHeader
	case p.header > len(ip):
		return dataplane.DropTruncated
	case p.ipLen < p.header || p.ipLen > len(ip):
		return dataplane.DropBadLength
	case !onesComplementOf(ip[:p.header]).isZero():
		return dataplane.DropBadChecksum
	case p.ttl == 0:
		return dataplane.DropTTLZero
	}
	p.whole = frag&fragDont != 0
	p.proto = ip[9]
	p.id = uint32(binary.BigEndian.Uint16(ip[4:]))
	switch {
	case frag&fragOffset != 0:
		p.piece = laterPiece
	case frag&fragMore != 0:
		p.piece = firstPiece
	}
	return dataplane.VerdictContinue
}

func (p *packet) parseIP6() dataplane.Verdict {
	ip := p.ip()
	p.addresses(ip[8:24], ip[24:40])
	p.ttl = ip[7]
	p.ipLen = ip6Len + int(binary.BigEndian.Uint16(ip[4:]))
	switch {
	case p.src.Addr().Is4In6() || p.dst.Addr().Is4In6():
		// No business on the wire (RFC 4291, Section 2.5.5.2 is for
		// programs): neither our VIP nor a client to answer.
		return dataplane.PassNotOurs
	case ip[0]>>4 != 6:
		return dataplane.DropBadHeader
	case p.ipLen > len(ip):
		return dataplane.DropBadLength
	case p.ttl == 0:
		return dataplane.DropTTLZero
	}
	// Routers never fragment IPv6 (RFC 8200, Section 5).
	p.whole = true
	c := walkIP6(ip[:p.ipLen])
	p.proto, p.header, p.piece, p.id = c.proto, c.header, c.piece, c.id
	if c.broken {
		return dataplane.DropBadLength
	}
	return dataplane.VerdictContinue
}

func (p *packet) parseTCP() dataplane.Verdict {
	body := p.body()
	if len(body) < tcpMinLen {
		return dataplane.DropTruncated
	}
	data := int(body[12]>>4) * 4
	switch {
	case data < tcpMinLen:
		return dataplane.DropBadHeader
	case data > len(body):
		return dataplane.DropBadLength
	}
	p.flags = body[13]
	p.takePorts(body)
	return dataplane.VerdictContinue
}

func (p *packet) parseUDP() dataplane.Verdict {
	body := p.body()
	if len(body) < udpLen {
		return dataplane.DropTruncated
	}
	length := int(binary.BigEndian.Uint16(body[4:]))
	// A first fragment says the length of the whole datagram.
	if length < udpLen || length > len(body) && p.piece == entire {
		return dataplane.DropBadLength
	}
	p.takePorts(body)
	return dataplane.VerdictContinue
}

// addresses takes source and destination.
func (p *packet) addresses(src, dst []byte) {
	s, _ := netip.AddrFromSlice(src)
	d, _ := netip.AddrFromSlice(dst)
	p.src, p.dst = netip.AddrPortFrom(s, 0), netip.AddrPortFrom(d, 0)
}

func (p *packet) takePorts(body []byte) {
	p.src = netip.AddrPortFrom(p.src.Addr(), binary.BigEndian.Uint16(body))
	p.dst = netip.AddrPortFrom(p.dst.Addr(), binary.BigEndian.Uint16(body[2:]))
}
