package neigh

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/arp"

	"steelyard/dataplane"
)

const (
	ethernetHeaderBytes = 14
	// minFrameBytes is the shortest Ethernet frame without its checksum
	// (IEEE 802.3, Section 3.2.8). Not every driver pads raw frames.
	minFrameBytes = 60

	etherTypeARP  = 0x0806
	etherTypeIPv6 = 0x86dd
)

// Form is one of the two shapes of a gratuitous ARP. Some hosts learn from one
// only, so both are sent (see Sender.Announce).
type Form uint8

const (
	// Request is the ARP announcement of RFC 5227, Section 3: the target
	// hardware address is not used and set to zero (Section 2.1.1).
	Request Form = 1
	// Reply is the unasked reply of RFC 5944, Section 4.6: the target
	// hardware address is the announced one too.
	Reply Form = 2
)

// String returns "request" or "reply".
func (f Form) String() string {
	switch f {
	case Request:
		return "request"
	case Reply:
		return "reply"
	}
	return fmt.Sprintf("form-%d", uint8(f))
}

// GratuitousARP returns a whole Ethernet frame, padded to 60 bytes, that tells
// everybody on the link that addr (IPv4) is at mac. In both forms sender and
// target protocol address are addr, which is what makes hosts update an entry
// they have (RFC 826, "Packet Reception").
func GratuitousARP(mac dataplane.MAC, addr netip.Addr, form Form) ([]byte, error) {
	if err := checkMAC(mac); err != nil {
		return nil, fmt.Errorf("build gratuitous ARP for %s: %w", addr, err)
	}
	var op arp.Operation
	target := make(net.HardwareAddr, len(mac))
	switch form {
	case Request:
		op = arp.OperationRequest
	case Reply:
		op = arp.OperationReply
		copy(target, mac[:])
	default:
		return nil, fmt.Errorf("build gratuitous ARP for %s: unknown %s", addr, form)
	}
	p, err := arp.NewPacket(op, mac[:], addr, target, addr)
	if err != nil {
		return nil, fmt.Errorf("build gratuitous ARP for %s: %w", addr, err)
	}
	body, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("build gratuitous ARP for %s: %w", addr, err)
	}
	broadcast := dataplane.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame := appendEthernet(make([]byte, 0, minFrameBytes), broadcast, mac, etherTypeARP)
	frame = append(frame, body...)
	return frame[:minFrameBytes], nil
}

func appendEthernet(b []byte, dst, src dataplane.MAC, etherType uint16) []byte {
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

// checkMAC refuses what cannot be the address of one interface: an announced
// group address would be taken as an attack by most hosts.
func checkMAC(mac dataplane.MAC) error {
	if mac == (dataplane.MAC{}) || mac[0]&1 != 0 {
		return fmt.Errorf("%s is not the address of one interface", net.HardwareAddr(mac[:]))
	}
	return nil
}
