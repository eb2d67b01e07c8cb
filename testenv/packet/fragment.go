package packet

import (
	"encoding/binary"
	"slices"
)

// Later makes a later fragment of the packet that an untagged frame holds the
// first fragment of; more says whether others follow. The bytes past the IP
// header are the same. It returns false for other frames.
func Later(frame []byte, offset uint16, more bool) ([]byte, bool) {
	const (
		ip6Len  = 40
		more4   = 0x2000
		offset4 = 0x1fff
	)
	out := slices.Clone(frame)
	if len(out) < etherLen+ip6Len+8 {
		return nil, false
	}
	ip := out[etherLen:]
	switch binary.BigEndian.Uint16(out[etherLen-2:]) {
	case 0x0800:
		if binary.BigEndian.Uint16(ip[6:])&(more4|offset4) != more4 {
			return nil, false
		}
		binary.BigEndian.PutUint16(ip[6:], offset|bit(more)<<13)
		mendIP4(out)
		return out, true
	case 0x86dd:
		if ip[6] != FragmentHeader || binary.BigEndian.Uint16(ip[ip6Len+2:])&0xfff9 != 1 {
			return nil, false
		}
		binary.BigEndian.PutUint16(ip[ip6Len+2:], offset<<3|bit(more))
		return out, true
	}
	return nil, false
}
