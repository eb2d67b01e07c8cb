package xdp_test

import (
	"encoding/binary"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/packet"
)

// enoughSent is how many packets of a kind a random run must send on.
const enoughSent = 50

// sentKinds tell the packets apart that take a way of their own through the
// program, by what an untagged IP packet begins with.
var sentKinds = map[string]func(ip []byte) bool{
	"icmp error":      func(ip []byte) bool { return ip[0]>>4 == 4 && ip[9] == 1 },
	"icmpv6 error":    func(ip []byte) bool { return ip[0]>>4 == 6 && ip[6] == 58 },
	"first fragment":  func(ip []byte) bool { return ip[0]>>4 == 4 && word(ip, 6)&0x3fff == 0x2000 },
	"later fragment":  func(ip []byte) bool { return ip[0]>>4 == 4 && word(ip, 6)&0x1fff != 0 },
	"first fragment6": func(ip []byte) bool { return ip[0]>>4 == 6 && ip[6] == 44 && word(ip, 42)&0xfff9 == 1 },
	"later fragment6": func(ip []byte) bool { return ip[0]>>4 == 6 && ip[6] == 44 && word(ip, 42)&0xfff8 != 0 },
	"extension":       func(ip []byte) bool { return ip[0]>>4 == 6 && (ip[6] == 0 || ip[6] == 60) },
}

func word(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }

// noteKind counts a packet that was sent on.
func (t *town) noteKind(frame []byte, r model.Result) {
	const l3, least = 14, 48
	if r.Verdict.Action() != dataplane.ActionSend || len(frame) < l3+least || word(frame, 12) != 0x800 && word(frame, 12) != 0x86dd {
		return
	}
	for kind, is := range sentKinds {
		if is(frame[l3:]) {
			t.sent[kind]++
		}
	}
}

// nextFrame is a random frame, or one that follows the latest first fragment.
func (t *town) nextFrame() []byte {
	if t.first != nil && t.rng.Intn(12) == 0 {
		if frame, ok := packet.Later(t.first, uint16(1+t.rng.Intn(100)), t.rng.Intn(2) == 0); ok {
			return frame
		}
	}
	frame := packet.Random(t.rng, t.world)
	if _, ok := packet.Later(frame, 1, false); ok {
		t.first = frame
	}
	return frame
}
