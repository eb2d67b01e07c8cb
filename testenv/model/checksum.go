package model

import "encoding/binary"

// ones is a number in ones' complement arithmetic of 16 bits, which is
// arithmetic modulo 65535 (RFC 1071, Section 2): both 0 and 0xffff are zero.
type ones uint64

const onesModulus = 0xffff

// onesComplementOf adds up b as 16-bit words.
func onesComplementOf(b []byte) ones {
	var n uint64
	for i, c := range b {
		if i%2 == 0 {
			n += uint64(c) << 8
		} else {
			n += uint64(c)
		}
	}
	return ones(n % onesModulus)
}

func (n ones) isZero() bool       { return n%onesModulus == 0 }
func (n ones) plus(m ones) ones   { return (n + m) % onesModulus }
func (n ones) minus(m ones) ones  { return (n + onesModulus - m%onesModulus) % onesModulus }
func (n ones) complement() uint16 { return ^n.word() }

// word is the number as the sum of anything but zeros gives it: never 0.
func (n ones) word() uint16 {
	if n.isZero() {
		return onesModulus
	}
	return uint16(n % onesModulus)
}

// amend updates the checksum at field after the bytes it covers changed from
// before to after (RFC 1624, Section 3): a packet that came with a wrong
// checksum leaves with one as wrong.
func amend(field, before, after []byte) {
	sum := ones(^binary.BigEndian.Uint16(field)).minus(onesComplementOf(before)).plus(onesComplementOf(after))
	binary.BigEndian.PutUint16(field, sum.complement())
}
