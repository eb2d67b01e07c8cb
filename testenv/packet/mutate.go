package packet

import (
	"encoding/binary"
	"math/rand"
)

// leastFrame is the shortest frame that Mutate leaves: an Ethernet header.
const leastFrame = etherLen

// Mutate returns a copy of a frame with one to three things broken, mostly in
// its headers. It mends the IPv4 header checksum half of the time, so that the
// damage gets further than the first check. The result has at least 14 bytes.
func Mutate(rng *rand.Rand, frame []byte) []byte {
	out := append([]byte(nil), frame...)
	for range 1 + rng.Intn(3) {
		out = mutateOnce(rng, out)
	}
	if rng.Intn(2) == 0 {
		mendIP4(out)
	}
	return out
}

func mutateOnce(rng *rand.Rand, b []byte) []byte {
	l3 := networkOffset(b)
	switch rng.Intn(12) {
	case 0:
		return b[:max(leastFrame, rng.Intn(len(b)+1))]
	case 1:
		// Just short of, at, or just past a header's end.
		return b[:min(len(b), max(leastFrame, l3+pick(rng, []int{0, 1, 19, 20, 27, 28, 39, 40, 41, 47, 48, 59, 60})))]
	case 2:
		return append(b, pattern(1+rng.Intn(64))...)
	case 3:
		flip(rng, b, 0, min(len(b), etherLen+2*tagLen))
	case 4:
		flip(rng, b, 0, len(b))
	case 5:
		flip(rng, b, min(l3, len(b)-1), min(len(b), l3+64))
	case 6: // what an ICMP error quotes, or extension headers
		flip(rng, b, min(l3+20, len(b)-1), min(len(b), l3+128))
	default:
		mutateHeader(rng, b, l3)
	}
	return b
}

// mutateHeader sets one field of the IP or transport header.
func mutateHeader(rng *rand.Rand, b []byte, l3 int) {
	if len(b) < l3+40 {
		flip(rng, b, 0, len(b))
		return
	}
	ip, v4 := b[l3:], b[l3]>>4 == 4
	l4 := ip[40:]
	if v4 {
		l4 = ip[min(20, int(ip[0]&0xf)*4):]
	}
	switch rng.Intn(8) {
	case 0: // TTL or hop limit
		ip[choose(v4, 8, 7)] = uint8(rng.Intn(3))
	case 1: // a length a little or much off
		at := choose(v4, 2, 4)
		length := binary.BigEndian.Uint16(ip[at:])
		binary.BigEndian.PutUint16(ip[at:], pick(rng, []uint16{length - 1, length + 1, length - 8, 0, 20, 28, 40, uint16(rng.Intn(1 << 16))}))
	case 2: // version and IHL
		ip[0] = uint8(rng.Intn(256))
	case 3: // IPv4 fragments, IPv6 addresses
		binary.BigEndian.PutUint16(ip[6:], uint16(rng.Intn(1<<16)))
	case 4: // protocol
		ip[choose(v4, 9, 6)] = pick(rng, []uint8{0, 1, 6, 17, 43, 44, 51, 58, 60, uint8(rng.Intn(256))})
	case 5: // TCP data offset and flags
		if len(l4) > 13 {
			l4[pick(rng, []int{12, 13})] = uint8(rng.Intn(256))
		}
	case 6: // UDP length
		if len(l4) > 5 {
			binary.BigEndian.PutUint16(l4[4:], pick(rng, []uint16{0, 7, 8, uint16(len(l4)), uint16(len(l4) + 1), uint16(rng.Intn(1 << 16))}))
		}
	case 7: // ports
		flip(rng, l4, 0, min(4, len(l4)))
	}
}

// mendIP4 makes the checksum of a whole IPv4 header right.
func mendIP4(b []byte) {
	ip := b[min(networkOffset(b), len(b)):]
	if len(ip) < 20 || ip[0]>>4 != 4 {
		return
	}
	hlen := int(ip[0]&0xf) * 4
	if hlen < 20 || hlen > len(ip) {
		return
	}
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^onesSum(ip[:hlen]))
}

// networkOffset is where the IP header begins, if the frame has one.
func networkOffset(b []byte) int {
	at := etherLen
	for len(b) >= at && (b[at-2] == 0x81 && b[at-1] == 0 || b[at-2] == 0x88 && b[at-1] == 0xa8) {
		at += tagLen
	}
	return at
}

// flip inverts one bit of b[from:to].
func flip(rng *rand.Rand, b []byte, from, to int) {
	if to > from {
		b[from+rng.Intn(to-from)] ^= 1 << rng.Intn(8)
	}
}

func choose(first bool, a, b int) int {
	if first {
		return a
	}
	return b
}
