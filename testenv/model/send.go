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

// back is the direction of the packets that answer.
func (d direction) back() direction { return 1 - d }

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
	if p.quote != nil {
		return p.rewrittenError(d, addr, hop)
	}
	frame := slices.Clone(p.frame)
	ip, body := frame[p.l2:], frame[p.l2+p.header:]
	address := addressAt(ip, p.v6, d)
	before := slices.Clone(address)
	copy(address, addr.Addr().AsSlice())
	if p.piece != laterPiece {
		port := portAt(body, d)
		before = append(before, port...)
		binary.BigEndian.PutUint16(port, addr.Port())
		amendTransport(p.proto, body, before, slices.Concat(address, port))
	}
	if hop {
		ip[p.hopField()]--
	}
	if !p.v6 {
		// The checksum field itself stands unchanged in both and cancels out.
		amend(ip[10:12], p.ip()[:p.header], ip[:p.header])
	}
	return frame
}

// hopField is where an IP header has its TTL or hop limit.
func (p *packet) hopField() int {
	if p.v6 {
		return 7
	}
	return 8
}

// addressAt returns where an IP header has the address of an end.
func addressAt(ip []byte, v6 bool, d direction) []byte {
	size, at := 4, 12
	if v6 {
		size, at = 16, 8
	}
	if d == towardsBackend {
		at += size
	}
	return ip[at : at+size]
}

// portAt returns where a transport header has the port of an end.
func portAt(l4 []byte, d direction) []byte {
	if d == towardsBackend {
		return l4[2:4]
	}
	return l4[:2]
}

// amendTransport brings a TCP or UDP checksum along, where l4 reaches that far.
func amendTransport(proto uint8, l4, before, after []byte) {
	if proto == tcp {
		if len(l4) >= 18 {
			amend(l4[16:18], before, after)
		}
		return
	}
	field := l4[6:8]
	if binary.BigEndian.Uint16(field) == 0 {
		return // none was made (RFC 768)
	}
	amend(field, before, after)
	if binary.BigEndian.Uint16(field) == 0 {
		binary.BigEndian.PutUint16(field, 0xffff)
	}
}
