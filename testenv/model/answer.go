package model

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"steelyard/dataplane"
)

const (
	quoteMost = 128 // bytes of the offending packet in an ICMP error
	answerTTL = 64
	answerTOS = 0xc0 // internetwork control (RFC 1812, Section 4.3.2.5)
)

// icmpError is the head of an error: type, code and its second word.
type icmpError struct {
	kind, code uint8
	rest       uint32
}

// answerBudget is a token bucket: a second's worth of answers, refilled in
// steps of at least a tenth of a second.
type answerBudget struct {
	tokens   uint64
	refilled time.Duration
}

// answerExpired tells the sender that its packet's last hop was here.
func (b *Box) answerExpired(p *packet) Result {
	e := icmpError{kind: 11} // RFC 792
	if p.v6 {
		e = icmpError{kind: 3} // RFC 4443, Section 3.3
	}
	return b.answer(p, e, dataplane.AnswerTimeExceeded, dataplane.DropTTLExpired)
}

// answerTooBig tells the sender how large its packets may be.
func (b *Box) answerTooBig(p *packet, mtu uint16) Result {
	e := icmpError{kind: 3, code: 4, rest: uint32(mtu)} // RFC 1191, Section 4
	if p.v6 {
		e = icmpError{kind: 2, rest: uint32(mtu)} // RFC 4443, Section 3.2
	}
	return b.answer(p, e, dataplane.AnswerTooBig, dataplane.DropTooBig)
}

func (b *Box) answer(p *packet, e icmpError, sent, silent dataplane.Verdict) Result {
	speaker := b.speaker(p)
	if p.quote != nil || p.piece == laterPiece || !isHost(p.src.Addr()) || !speaker.IsValid() || !b.takeToken() {
		return Result{Verdict: silent}
	}
	quote := p.ip()[:min(p.ipLen&^3, quoteMost)]
	body := []byte{e.kind, e.code, 0, 0}
	body = append(binary.BigEndian.AppendUint32(body, e.rest), quote...)
	var ip []byte
	if p.v6 {
		ip = answerIP6(speaker, p.src.Addr(), body)
	} else {
		ip = answerIP4(speaker, p.src.Addr(), body)
	}
	// The same VLANs, the other way round.
	out := slices.Concat(p.frame[macLen:2*macLen], p.frame[:macLen], p.frame[2*macLen:p.l2], ip, body)
	return Result{Verdict: sent, Frame: out, Ifindex: p.ifindex}
}

// isHost says whether an address can be one host's on a network: neither
// unspecified, loopback, multicast nor broadcast (RFC 1122, Section 3.2.1.3),
// and in IPv6 none of the block of those and of IPv4's old forms (RFC 4291,
// Section 2.5).
func isHost(addr netip.Addr) bool {
	if addr.Is4() {
		first := addr.As4()[0]
		return first != 0 && first != 127 && first < 224
	}
	return !addr.IsMulticast() && !netip.MustParsePrefix("::/96").Contains(addr)
}

// speaker is the source of an answer: the interface's address, else the VIP
// that the packet was sent to; invalid where there is neither.
func (b *Box) speaker(p *packet) netip.Addr {
	in := b.Interfaces[p.ifindex]
	switch {
	case p.v6 && in.Addr6.IsValid():
		return in.Addr6
	case !p.v6 && in.Addr4.IsValid():
		return in.Addr4
	}
	if b.VIPs[p.dst.Addr()] {
		return p.dst.Addr()
	}
	return netip.Addr{}
}

func answerIP4(src, dst netip.Addr, icmp []byte) []byte {
	binary.BigEndian.PutUint16(icmp[2:], onesComplementOf(icmp).complement())
	length := uint16(ip4MinLen + len(icmp))
	ip := []byte{0x45, answerTOS}
	ip = binary.BigEndian.AppendUint16(ip, length)
	ip = append(ip, 0, 0, fragDont>>8, 0, answerTTL, protoICMP, 0, 0)
	ip = slices.Concat(ip, src.AsSlice(), dst.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], onesComplementOf(ip).complement())
	return ip
}

func answerIP6(src, dst netip.Addr, icmp []byte) []byte {
	addrs := slices.Concat(src.AsSlice(), dst.AsSlice())
	// The pseudo header of RFC 8200, Section 8.1.
	pseudo := binary.BigEndian.AppendUint32(slices.Clone(addrs), uint32(len(icmp)))
	pseudo = append(pseudo, 0, 0, 0, protoICMP6)
	binary.BigEndian.PutUint16(icmp[2:], onesComplementOf(slices.Concat(pseudo, icmp)).complement())
	ip := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(icmp)))
	return slices.Concat(append(ip, protoICMP6, answerTTL), addrs)
}

// takeToken spends one answer of the budget.
func (b *Box) takeToken() bool {
	rate := uint64(b.AnswersPerSecond)
	if since := b.Now - b.budget.refilled; since >= time.Second/10 {
		earned := rate
		if since < time.Second {
			earned = rate * uint64(since) / uint64(time.Second)
		}
		b.budget = answerBudget{tokens: min(rate, b.budget.tokens+earned), refilled: b.Now}
	}
	if b.budget.tokens == 0 {
		return false
	}
	b.budget.tokens--
	return true
}
