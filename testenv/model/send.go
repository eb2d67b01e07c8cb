package model

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"steelyard/dataplane"
)

// direction says which end of a packet is rewritten.
type direction int

const (
	towardsBackend direction = iota // the destination
	towardsClient                   // the source
)

// send rewrites one end of a packet to addr and sends it to next, answers that
// it does not fit, or leaves it to the kernel. Only who forwards takes a hop
// off the TTL.
func (b *Box) send(p *packet, d direction, addr netip.AddrPort, next dataplane.NextHop) Result {
	fits := next.MTU == 0 || p.ipLen <= int(next.MTU)
	switch {
	case !fits && p.whole:
		return b.answerTooBig(p, next.MTU)
	case !fits:
		return Result{Verdict: dataplane.PassFragmentNeeded, Frame: p.rewritten(d, addr, false)}
	case next.Kind != dataplane.NextHopNeighbor:
		return Result{Verdict: dataplane.PassUnresolved, Frame: p.rewritten(d, addr, false)}
	}
	out := slices.Concat(etherHeader(next, p.v6), p.rewritten(d, addr, true)[p.l2:])
	switch {
	case next.Ifindex == p.ifindex:
		return Result{Verdict: dataplane.SendBack, Frame: out, Ifindex: p.ifindex}
	case !b.Devices[next.Ifindex]:
		return Result{Verdict: dataplane.DropInternal}
	}
	return Result{Verdict: dataplane.Redirect, Frame: out, Ifindex: next.Ifindex}
}

func etherHeader(next dataplane.NextHop, v6 bool) []byte {
	header := slices.Concat(next.Dst[:], next.Src[:])
	if next.VLAN != 0 {
		header = binary.BigEndian.AppendUint16(header, typeVLAN)
		header = binary.BigEndian.AppendUint16(header, next.VLAN)
	}
	if v6 {
		return binary.BigEndian.AppendUint16(header, typeIPv6)
	}
	return binary.BigEndian.AppendUint16(header, typeIPv4)
}

// rewritten returns a copy of the frame with one end replaced and the
// checksums brought along.
func (p *packet) rewritten(d direction, addr netip.AddrPort, hop bool) []byte {
	frame := slices.Clone(p.frame)
	ip, body := frame[p.l2:], frame[p.l2+p.header:]
	address, port := p.endAt(ip, body, d)
	before := slices.Concat(address, port)
	copy(address, addr.Addr().AsSlice())
	binary.BigEndian.PutUint16(port, addr.Port())
	p.amendTransport(body, before, slices.Concat(address, port))
	if p.v6 {
		if hop {
			ip[7]--
		}
		return frame
	}
	headerBefore := p.ip()[:p.header]
	if hop {
		ip[8]--
	}
	// The checksum field itself stands unchanged in both and cancels out.
	amend(ip[10:12], headerBefore, ip[:p.header])
	return frame
}

// endAt returns where the address and port of an end lie.
func (p *packet) endAt(ip, body []byte, d direction) (address, port []byte) {
	size, at := 4, 12
	if p.v6 {
		size, at = 16, 8
	}
	if d == towardsBackend {
		return ip[at+size : at+2*size], body[2:4]
	}
	return ip[at : at+size], body[:2]
}

func (p *packet) amendTransport(body, before, after []byte) {
	if p.isTCP() {
		amend(body[16:18], before, after)
		return
	}
	field := body[6:8]
	if binary.BigEndian.Uint16(field) == 0 {
		return // none was made (RFC 768)
	}
	amend(field, before, after)
	if binary.BigEndian.Uint16(field) == 0 {
		binary.BigEndian.PutUint16(field, 0xffff)
	}
}
