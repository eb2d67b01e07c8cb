package neigh

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/ndp"

	"steelyard/dataplane"
)

const (
	ipv6HeaderBytes = 40
	protocolICMPv6  = 58
)

// UnsolicitedNA returns a whole Ethernet frame with a neighbour advertisement
// that tells everybody on the link that addr (IPv6) is at mac (RFC 4861,
// Section 7.2.6): Override set so that known entries change, Solicited clear
// because nobody asked. router says whether the box forwards packets; a node
// that clears it is dropped from its neighbours' lists of default routers
// (RFC 4861, Section 7.2.5).
//
// The packet's source is addr itself, so that it is valid on a link where the
// box has no other address.
func UnsolicitedNA(mac dataplane.MAC, addr netip.Addr, router bool) ([]byte, error) {
	if err := checkMAC(mac); err != nil {
		return nil, fmt.Errorf("build advertisement of %s: %w", addr, err)
	}
	if !addr.Is6() || addr.Is4In6() || addr.IsMulticast() || addr.IsUnspecified() {
		return nil, fmt.Errorf("build advertisement of %s: not an IPv6 unicast address", addr)
	}
	addr = addr.WithZone("")
	allNodes := netip.IPv6LinkLocalAllNodes()
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router:        router,
		Override:      true,
		TargetAddress: addr,
		Options: []ndp.Option{
			&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac[:]},
		},
	}, addr, allNodes)
	if err != nil {
		return nil, fmt.Errorf("build advertisement of %s: %w", addr, err)
	}
	// RFC 2464, Section 7: 33:33 and the last four bytes of ff02::1.
	group := dataplane.MAC{0x33, 0x33, 0, 0, 0, 1}
	frame := make([]byte, 0, ethernetHeaderBytes+ipv6HeaderBytes+len(body))
	frame = appendEthernet(frame, group, mac, etherTypeIPv6)
	frame = append(frame, 6<<4, 0, 0, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(body)))
	frame = append(frame, protocolICMPv6, ndp.HopLimit)
	frame = append(frame, addr.AsSlice()...)
	frame = append(frame, allNodes.AsSlice()...)
	return append(frame, body...), nil
}
