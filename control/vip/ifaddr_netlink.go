package vip

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// ifaProto is IFA_PROTO: who added an address, one byte (Linux 5.18).
	ifaProto = 11
	// ownMark is Steelyard's value of it, 'S'. The kernel uses 0 to 3.
	ownMark = 'S'
	// foreverSeconds is INFINITY_LIFE_TIME of linux/if_addr.h.
	foreverSeconds = 0xffffffff
)

// ifAddr is one address of one device, as the kernel lists it.
type ifAddr struct {
	ifindex uint32
	prefix  netip.Prefix // the address itself and the length of its subnet
	mark    uint8        // 0 = none
}

// addresses lists all addresses of all devices and both families.
func (c *conn) addresses() ([]ifAddr, error) {
	var list []ifAddr
	err := c.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC),
		func() { list = list[:0] },
		func(m []byte) bool {
			if a, ok := parseAddr(m); ok {
				list = append(list, a)
			}
			return true
		})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return list, nil
}

// parseAddr reads a struct ifaddrmsg and its attributes. False for a family
// that is neither IPv4 nor IPv6, and for what cannot be read.
func parseAddr(m []byte) (ifAddr, bool) {
	if len(m) < unix.SizeofIfAddrmsg {
		return ifAddr{}, false
	}
	msg := nl.DeserializeIfAddrmsg(m)
	if !isIPFamily(msg.Family) {
		return ifAddr{}, false
	}
	a := ifAddr{ifindex: msg.Index}
	var local, addr netip.Addr
	whole := eachAttr(m[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(value)
		case ifaProto:
			if len(value) > 0 {
				a.mark = value[0]
			}
		}
	})
	// On a point-to-point device IFA_ADDRESS is the far end.
	if local.IsValid() {
		addr = local
	}
	a.prefix = netip.PrefixFrom(addr, int(msg.Prefixlen))
	return a, whole && a.prefix.IsValid()
}

// addVIP puts a marked host address on a device so that the box answers for
// it but never chooses it as the source of its own packets: IPv4 by host scope
// (inet_select_addr skips it for anything that leaves the box), IPv6 by a
// preferred lifetime of 0 (RFC 6724, Section 5, rule 3).
func (c *conn) addVIP(addr netip.Addr, ifindex uint32) error {
	msg := vipMessage(addr, ifindex)
	parts := []nl.NetlinkRequestData{msg}
	flags := uint32(unix.IFA_F_NOPREFIXROUTE)
	if addr.Is4() {
		msg.Scope = unix.RT_SCOPE_HOST
	} else {
		// Whether the address is free was decided by whoever gave it to
		// this node; a second of detection would be a second of silence.
		flags |= unix.IFA_F_NODAD
		life := &nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: foreverSeconds}}
		parts = append(parts, nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
	}
	parts = append(parts,
		nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()),
		nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()),
		nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(flags)),
		nl.NewRtAttr(ifaProto, []byte{ownMark}))
	return c.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, parts...)
}

// removeVIP takes a host address off a device.
func (c *conn) removeVIP(addr netip.Addr, ifindex uint32) error {
	return c.do(unix.RTM_DELADDR, 0, vipMessage(addr, ifindex),
		nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()),
		nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
}

func vipMessage(addr netip.Addr, ifindex uint32) *nl.IfAddrmsg {
	msg := nl.NewIfAddrmsg(familyOf(addr))
	msg.Prefixlen = uint8(addr.BitLen())
	msg.Index = ifindex
	return msg
}

func familyOf(addr netip.Addr) int {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func isIPFamily(family uint8) bool {
	return family == unix.AF_INET || family == unix.AF_INET6
}
