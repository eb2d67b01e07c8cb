package vip

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"steelyard/dataplane"
)

// links lists all devices by index.
func (c *conn) links() ([]link, error) {
	var list []link
	var bad error
	err := c.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC),
		func() { list, bad = list[:0], nil },
		func(m []byte) bool {
			dev, err := netlink.LinkDeserialize(nil, m)
			if err != nil {
				bad = err
				return false
			}
			list = append(list, toLink(dev))
			return true
		})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	slices.SortFunc(list, func(a, b link) int { return int(a.index) - int(b.index) })
	return list, nil
}

func (c *conn) deviceNames() (map[uint32]string, error) {
	links, err := c.links()
	if err != nil {
		return nil, err
	}
	names := make(map[uint32]string, len(links))
	for _, l := range links {
		names[l.index] = l.name
	}
	return names, nil
}

func toLink(dev netlink.Link) link {
	attrs := dev.Attrs()
	l := link{
		index: uint32(attrs.Index), name: attrs.Name, kind: dev.Type(), mtu: attrs.MTU,
		up:     attrs.RawFlags&unix.IFF_UP != 0 && attrs.RawFlags&unix.IFF_RUNNING != 0,
		master: uint32(attrs.MasterIndex),
	}
	l.mac, _ = toMAC(attrs.HardwareAddr)
	switch dev := dev.(type) {
	case *netlink.Vlan:
		l.parent, l.vlan = uint32(attrs.ParentIndex), uint16(dev.VlanId)
		l.serviceTag = dev.VlanProtocol == netlink.VLAN_PROTOCOL_8021AD
	case *netlink.Bond:
		if dev.ActiveSlave > 0 {
			l.active = uint32(dev.ActiveSlave)
		}
	}
	return l
}

func toMAC(b []byte) (mac dataplane.MAC, ok bool) {
	if len(b) != len(mac) {
		return mac, false
	}
	copy(mac[:], b)
	return mac, true
}

// neighbours lists the neighbour tables of both families.
func (c *conn) neighbours() ([]neighbour, error) {
	var list []neighbour
	err := c.dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, &netlink.Ndmsg{},
		func() { list = list[:0] },
		func(m []byte) bool {
			if n, ok := parseNeighbour(m); ok {
				list = append(list, n)
			}
			return true
		})
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	return list, nil
}

// parseNeighbour reads a struct ndmsg and its attributes. False for anything
// but one IP neighbour, such as a bridge's table of MACs.
func parseNeighbour(m []byte) (neighbour, bool) {
	if len(m) < sizeofNdmsg || !isIPFamily(m[0]) {
		return neighbour{}, false
	}
	n := neighbour{
		ifindex: binary.NativeEndian.Uint32(m[4:]),
		state:   binary.NativeEndian.Uint16(m[8:]),
	}
	whole := eachAttr(m[sizeofNdmsg:], func(kind uint16, value []byte) {
		switch kind {
		case netlink.NDA_DST:
			n.addr, _ = netip.AddrFromSlice(value)
		case netlink.NDA_LLADDR:
			n.mac, _ = toMAC(value)
		}
	})
	return n, whole && n.addr.IsValid() && !n.addr.IsMulticast()
}

// sizeofNdmsg is the size of struct ndmsg: family at 0, interface at 4, state
// at 8, flags at 10, type at 11.
const sizeofNdmsg = 12

// useNeighbour tells the kernel that the neighbour is about to be used, as a
// packet for it would: it is asked for where its MAC is not known, and asked
// whether it is still there where that was long ago.
func (c *conn) useNeighbour(ifindex uint32, addr netip.Addr) error {
	msg := &netlink.Ndmsg{
		Family: uint8(familyOf(addr)),
		Index:  ifindex,
		State:  netlink.NUD_NONE,
		Flags:  netlink.NTF_USE,
	}
	return c.do(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, msg,
		nl.NewRtAttr(netlink.NDA_DST, addr.AsSlice()))
}
