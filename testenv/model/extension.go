package model

import "encoding/binary"

// maxExtensions is how many extension headers are walked over.
const maxExtensions = 6

// chain is what follows an IPv6 header.
type chain struct {
	proto  uint8 // of what the chain carries, as far as it was walked
	header int   // bytes before that
	piece  piece
	id     uint32 // valid iff piece is not entire
	broken bool   // an extension header is longer than the packet
}

// walkIP6 walks over the extension headers of an IPv6 packet (RFC 8200, Section
// 4). It stops at the transport header, at what it does not know, where the
// packet ends before the next eight bytes, and past the header of a later
// fragment, behind which lies only data.
func walkIP6(ip []byte) chain {
	c := chain{proto: ip[6], header: ip6Len}
	for range maxExtensions {
		rest := ip[c.header:]
		if c.piece == laterPiece || len(rest) < 8 {
			return c
		}
		size, ok := extensionSize(c.proto, rest)
		if !ok {
			return c
		}
		if size > len(rest) {
			c.broken = true
			return c
		}
		if c.proto == fragmentPart {
			c.noteFragment(rest)
		}
		c.proto = rest[0]
		c.header += size
	}
	return c
}

// extensionSize says how long an extension header is, and whether it is one to
// walk over.
func extensionSize(kind uint8, x []byte) (size int, ok bool) {
	switch kind {
	case hopByHop, destOptions:
		return 8 + 8*int(x[1]), true
	case routing:
		// With segments left the destination is one on the way only (RFC
		// 8200, Section 4.4).
		return 8 + 8*int(x[1]), x[3] == 0
	case authHeader:
		return 8 + 4*int(x[1]), true // RFC 4302, Section 2.2
	case fragmentPart:
		return 8, true
	}
	return 0, false
}

// noteFragment reads a fragment header. One of a packet that has no other part
// says nothing (RFC 6946).
func (c *chain) noteFragment(x []byte) {
	field := binary.BigEndian.Uint16(x[2:])
	offset, more := field>>3, field&1 != 0
	switch {
	case offset != 0:
		c.piece = laterPiece
	case more:
		c.piece = firstPiece
	default:
		return
	}
	c.id = binary.BigEndian.Uint32(x[4:])
}
