package model

import (
	"net/netip"
	"time"

	"steelyard/dataplane"
)

// pieceMemory is how long later fragments may follow their first.
const pieceMemory = 30 * dataplane.TickDuration

// pieceKey is what the fragments of one packet have in common (RFC 791, Section
// 3.2; RFC 8200, Section 4.5).
type pieceKey struct {
	src, dst netip.Addr
	id       uint32
	proto    uint8 // IPv4 only
}

// firstSeen is what the first fragment said.
type firstSeen struct {
	src, dst uint16 // ports
	proto    uint8
	at       time.Duration
}

func (p *packet) pieceKey() pieceKey {
	key := pieceKey{src: p.src.Addr(), dst: p.dst.Addr(), id: p.id}
	if !p.v6 {
		key.proto = p.proto
	}
	return key
}

// note remembers the ports of a first fragment.
func (b *Box) note(p *packet) {
	if p.piece == firstPiece && p.ports() {
		b.pieces[p.pieceKey()] = firstSeen{p.src.Port(), p.dst.Port(), p.proto, b.Now}
	}
}

// recall gives a later fragment the ports of its first. Without them it is lost
// where ports matter.
func (b *Box) recall(p *packet) {
	if p.piece != laterPiece || p.trouble != dataplane.VerdictContinue {
		return
	}
	first, ok := b.pieces[p.pieceKey()]
	if ok && dataplane.Ticks(pieceMemory) >= b.tick()-uint32(first.at/dataplane.TickDuration) {
		p.proto = first.proto
		p.src = netip.AddrPortFrom(p.src.Addr(), first.src)
		p.dst = netip.AddrPortFrom(p.dst.Addr(), first.dst)
		return
	}
	if p.ports() {
		p.trouble = dataplane.DropFragment
	}
}
