package model

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

const (
	icmpLen   = 8
	quotedLen = 8 // of the transport header, at least (RFC 792)
)

// quote is the packet that an ICMP error is about, by where its parts lie in
// the frame.
type quote struct {
	at    int // of its IP header
	l4    int // of its TCP or UDP header
	end   int // of what the frame's IP packet has of it
	proto uint8
}

// parseICMP makes an error about a packet of a flow (RFC 792; RFC 4443, Section
// 3) a packet of that flow. It must go to who sent that packet, and come from
// a host: else it stays ICMP.
func (p *packet) parseICMP() {
	body := p.body()
	if len(body) < icmpLen || !p.isError(body[0]) {
		return
	}
	q := &quote{at: p.l2 + p.header + icmpLen, end: p.l2 + p.ipLen}
	src, dst, ok := q.read(p.frame[:q.end], p.v6)
	from, to := p.src.Addr(), p.dst.Addr()
	if !ok || src.Addr() != to || dst.Addr().Is4In6() || !isHost(from) || from == to {
		return
	}
	p.quote, p.proto, p.src, p.dst = q, q.proto, dst, src
}

func (p *packet) isError(kind uint8) bool {
	if p.v6 {
		return kind >= 1 && kind <= 4
	}
	return kind == 3 || kind == 11 || kind == 12
}

// read returns who sent the quoted packet to whom, or false where the quote
// does not tell.
func (q *quote) read(frame []byte, v6 bool) (src, dst netip.AddrPort, ok bool) {
	ip := frame[q.at:]
	if v6 {
		ok = q.readIP6(ip)
	} else {
		ok = q.readIP4(ip)
	}
	if !ok || q.proto != tcp && q.proto != udp || len(frame) < q.l4+quotedLen {
		return src, dst, false
	}
	from, to := ends(ip, v6)
	port := func(at int) uint16 { return binary.BigEndian.Uint16(frame[q.l4+at:]) }
	return netip.AddrPortFrom(from, port(0)), netip.AddrPortFrom(to, port(2)), true
}

func (q *quote) readIP4(ip []byte) bool {
	if len(ip) < ip4MinLen || ip[0]>>4 != 4 || ip[0]&0xf < 5 || binary.BigEndian.Uint16(ip[6:])&fragOffset != 0 {
		return false
	}
	q.proto, q.l4 = ip[9], q.at+int(ip[0]&0xf)*4
	return true
}

func (q *quote) readIP6(ip []byte) bool {
	if len(ip) < ip6Len || ip[0]>>4 != 6 {
		return false
	}
	c := walkIP6(ip)
	q.proto, q.l4 = c.proto, q.at+c.header
	return !c.broken && c.piece != laterPiece
}

// ends are the addresses of an IP header.
func ends(ip []byte, v6 bool) (src, dst netip.Addr) {
	at, size := 12, 4
	if v6 {
		at, size = 8, 16
	}
	src, _ = netip.AddrFromSlice(ip[at : at+size])
	dst, _ = netip.AddrFromSlice(ip[at+size : at+2*size])
	return src, dst
}

// rewrittenError is rewritten for an ICMP error: in what it quotes the other
// end is replaced, and in its own header the address where that is one of the
// flow's (RFC 5508, Section 4.2). A router that reports keeps its own.
func (p *packet) rewrittenError(d direction, addr netip.AddrPort, hop bool) []byte {
	frame := slices.Clone(p.frame)
	own := frame[p.l2:]
	if hop {
		own[p.hopField()]--
	}
	sender, _ := ends(own, p.v6)
	before := slices.Clone(p.pseudo(frame))
	if d == towardsBackend || sender == p.src.Addr() {
		copy(addressAt(own, p.v6, d), addr.Addr().AsSlice())
	}
	p.quote.replace(frame, p.v6, d, addr)
	icmp := frame[p.l2+p.header:]
	amend(icmp[2:4], before, p.pseudo(frame))
	if !p.v6 {
		amend(own[10:12], p.ip()[:p.header], own[:p.header])
	}
	return frame
}

// pseudo is what the ICMP checksum covers of a frame, without the checksum
// itself: IPv6 includes the addresses (RFC 4443, Section 2.3).
func (p *packet) pseudo(frame []byte) []byte {
	covered := slices.Clone(frame[p.quote.at:p.quote.end])
	if len(covered)%2 == 1 {
		covered = append(covered, 0)
	}
	if p.v6 {
		return append(covered, frame[p.l2+8:p.l2+40]...)
	}
	return covered
}

// replace changes the other end of the quoted packet, as it was on its way: its
// destination where the error goes to its sender, the client.
func (q *quote) replace(frame []byte, v6 bool, d direction, addr netip.AddrPort) {
	ip, l4 := frame[q.at:q.end], frame[q.l4:q.end]
	address, port := addressAt(ip, v6, d.back()), portAt(l4, d.back())
	before := slices.Concat(address, port)
	header := slices.Clone(ip[:q.l4-q.at])
	copy(address, addr.Addr().AsSlice())
	binary.BigEndian.PutUint16(port, addr.Port())
	if !v6 {
		amend(ip[10:12], header, ip[:q.l4-q.at])
	}
	amendTransport(q.proto, l4, before, slices.Concat(address, port))
}
