package packet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"steelyard/dataplane"
)

// ErrChecksum is wrapped by what VerifyChecksums says about a wrong checksum.
var ErrChecksum = errors.New("checksum is wrong")

// ErrUndecodable is wrapped by what VerifyChecksums says about a frame that
// has no IP packet or whose lengths contradict each other.
var ErrUndecodable = errors.New("frame cannot be decoded")

// onesSum is the ones' complement sum of RFC 1071 over b.
func onesSum(b []byte) uint16 {
	var sum uint64
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// VerifyChecksums recomputes the checksums of a frame's IPv4 header and of its
// TCP, UDP, ICMP or ICMPv6 packet. A UDP checksum of 0 is right over IPv4 (RFC
// 768) and wrong over IPv6 (RFC 8200, Section 8.1). The transport checksum of
// a fragment covers more than the frame and is not looked at, nor is that of
// an IPv6 packet that has further to go (RFC 8200, Section 4.4). Errors wrap
// ErrChecksum or ErrUndecodable.
func VerifyChecksums(frame []byte) error {
	ip, err := ipPacket(frame)
	if err != nil {
		return err
	}
	if ip[0]>>4 == 6 {
		return verifyIP6(ip)
	}
	hlen := int(ip[0]&0xf) * 4
	if hlen < 20 || len(ip) < hlen {
		return fmt.Errorf("verify IPv4 header of %d bytes: %w", hlen, ErrUndecodable)
	}
	if onesSum(ip[:hlen]) != 0xffff {
		return fmt.Errorf("verify IPv4 header: %w", ErrChecksum)
	}
	length := int(binary.BigEndian.Uint16(ip[2:]))
	if length < hlen || length > len(ip) {
		return fmt.Errorf("verify IPv4 length %d: %w", length, ErrUndecodable)
	}
	if binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 {
		return nil
	}
	return verifyTransport(ip[9], ip[12:20], ip[hlen:length])
}

func verifyIP6(ip []byte) error {
	if len(ip) < 40 {
		return fmt.Errorf("verify IPv6 header: %w", ErrUndecodable)
	}
	length := 40 + int(binary.BigEndian.Uint16(ip[4:]))
	if length > len(ip) {
		return fmt.Errorf("verify IPv6 length %d: %w", length, ErrUndecodable)
	}
	proto, body, whole := skipExtensions(ip[6], ip[40:length])
	if !whole {
		return nil
	}
	if proto == byte(dataplane.UDP) && len(body) >= 8 && binary.BigEndian.Uint16(body[6:]) == 0 {
		return fmt.Errorf("verify UDP over IPv6: no checksum: %w", ErrChecksum)
	}
	return verifyTransport(proto, ip[8:40], body)
}

// skipExtensions returns what IPv6 extension headers carry, and whether it is
// all of it and addressed to the header's destination.
func skipExtensions(proto uint8, body []byte) (uint8, []byte, bool) {
	for len(body) >= 8 {
		size := 8 + 8*int(body[1])
		switch proto {
		case HopByHop, Destination:
		case Routing:
			if body[3] != 0 {
				return proto, body, false
			}
		case Authentication:
			size = 8 + 4*int(body[1])
		case FragmentHeader:
			if size = 8; binary.BigEndian.Uint16(body[2:])&0xfff9 != 0 {
				return proto, body, false
			}
		default:
			return proto, body, true
		}
		if size > len(body) {
			return proto, body, false
		}
		proto, body = body[0], body[size:]
	}
	return proto, body, true
}

// verifyTransport checks what lies past the IP header; addrs are source and
// destination as they lie in it.
func verifyTransport(proto uint8, addrs, body []byte) error {
	field := map[uint8]int{uint8(dataplane.TCP): 16, uint8(dataplane.UDP): 6, protoICMP: 2, protoICMP6: 2}
	at, known := field[proto]
	if !known {
		return nil
	}
	if len(body) < at+2 {
		return fmt.Errorf("verify protocol %d: %w", proto, ErrUndecodable)
	}
	if proto == uint8(dataplane.UDP) {
		if binary.BigEndian.Uint16(body[6:]) == 0 {
			return nil
		}
		length := int(binary.BigEndian.Uint16(body[4:]))
		if length < 8 || length > len(body) {
			return fmt.Errorf("verify UDP length %d: %w", length, ErrUndecodable)
		}
		body = body[:length]
	}
	covered := append([]byte{}, body...)
	if len(covered)%2 == 1 {
		covered = append(covered, 0)
	}
	if proto != protoICMP {
		covered = append(covered, addrs...)
		covered = binary.BigEndian.AppendUint32(covered, uint32(len(body)))
		covered = append(covered, 0, 0, 0, proto)
	}
	if onesSum(covered) != 0xffff {
		return fmt.Errorf("verify protocol %d: %w", proto, ErrChecksum)
	}
	return nil
}

// ipPacket returns what follows Ethernet and its VLAN tags.
func ipPacket(frame []byte) ([]byte, error) {
	at := etherLen - 2
	for len(frame) >= at+2 {
		switch binary.BigEndian.Uint16(frame[at:]) {
		case 0x8100, 0x88a8:
			at += tagLen
			continue
		case 0x0800, 0x86dd:
			if ip := frame[at+2:]; len(ip) >= 20 {
				return ip, nil
			}
		}
		break
	}
	return nil, fmt.Errorf("find IP packet: %w", ErrUndecodable)
}
