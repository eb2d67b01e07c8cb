package vip

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// maxRoutes is how many routes of one family are mirrored, and how many
// entries they may become. A gateway's own table is a few dozen; a full
// Internet table would fill the packet path's maps, and each change would cost
// as much as reading all of it.
const maxRoutes = 16384

// allRoutes lists the main and local tables of both families. tooMany says for
// which family there are more than maxRoutes; its routes are left out.
func (c *conn) allRoutes() (list []route, tooMany [2]bool, err error) {
	for i, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		routes, err := c.familyRoutes(family)
		if err != nil {
			return nil, tooMany, fmt.Errorf("list routes: %w", err)
		}
		if len(routes) > maxRoutes {
			tooMany[i] = true
			continue
		}
		list = append(list, routes...)
	}
	return list, tooMany, nil
}

// familyRoutes stops after one more than maxRoutes.
func (c *conn) familyRoutes(family uint8) ([]route, error) {
	var list []route
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}
	err := c.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, msg,
		func() { list = list[:0] },
		func(m []byte) bool {
			if r, ok := parseRoute(m); ok {
				list = append(list, r)
			}
			return len(list) <= maxRoutes
		})
	return list, err
}

// isMirrored says whether a route message is about something that parseRoute
// takes: a route of the main or local table that is not a cached one.
func isMirrored(m []byte) bool {
	if len(m) < unix.SizeofRtMsg {
		return false
	}
	msg := nl.DeserializeRtMsg(m)
	return isIPFamily(msg.Family) && msg.Flags&unix.RTM_F_CLONED == 0 &&
		(msg.Table == tableMain || msg.Table == tableLocal)
}

// parseRoute reads a struct rtmsg and its attributes. Anything about the route
// that is not understood makes it special: the kernel then forwards.
func parseRoute(m []byte) (route, bool) {
	if !isMirrored(m) {
		return route{}, false
	}
	msg := nl.DeserializeRtMsg(m)
	r := route{
		table: uint32(msg.Table), kind: msg.Type,
		special: msg.Tos != 0 || msg.Src_len != 0,
		dead:    msg.Flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN|unix.RTNH_F_UNRESOLVED) != 0,
	}
	dst := netip.IPv4Unspecified()
	if msg.Family == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	whole := eachAttr(m[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(value)
		case unix.RTA_GATEWAY:
			r.gw, _ = netip.AddrFromSlice(value)
		case unix.RTA_VIA:
			r.gw = parseVia(value)
			r.special = r.special || !r.gw.IsValid()
		case unix.RTA_OIF:
			r.oif = attrUint32(value)
		case unix.RTA_PRIORITY:
			r.metric = attrUint32(value)
		case unix.RTA_METRICS:
			r.mtu = parseMTU(value)
		case unix.RTA_MULTIPATH, unix.RTA_ENCAP, unix.RTA_ENCAP_TYPE, unix.RTA_NEWDST, unix.RTA_SRC:
			r.special = true
		}
	})
	r.prefix = netip.PrefixFrom(dst, int(msg.Dst_len))
	return r, whole && r.prefix.IsValid()
}

// parseVia reads a struct rtvia: a gateway of another family than the route.
func parseVia(b []byte) netip.Addr {
	if len(b) < 2 || !isIPFamily(uint8(binary.NativeEndian.Uint16(b))) {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(b[2:])
	return addr
}

func parseMTU(metrics []byte) (mtu int) {
	eachAttr(metrics, func(kind uint16, value []byte) {
		if kind == unix.RTAX_MTU {
			mtu = int(attrUint32(value))
		}
	})
	return mtu
}

// policyRules lists the policy rules of both families.
func (c *conn) policyRules() ([]rule, error) {
	var list []rule
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		var part []rule
		msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}
		err := c.dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, msg,
			func() { part = part[:0] },
			func(m []byte) bool {
				part = append(part, parseRule(m))
				return true
			})
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		list = append(list, part...)
	}
	return list, nil
}

// parseRule reads a struct fib_rule_hdr, which has the layout of struct rtmsg
// with the action in the place of the type. A rule is plain only if every part
// of it is known to be without effect.
func parseRule(m []byte) rule {
	if len(m) < unix.SizeofRtMsg {
		return rule{}
	}
	msg := nl.DeserializeRtMsg(m)
	r := rule{
		v6: msg.Family == unix.AF_INET6, table: uint32(msg.Table),
		plain: msg.Type == unix.FR_ACT_TO_TBL && msg.Src_len == 0 && msg.Dst_len == 0 && msg.Tos == 0 &&
			msg.Flags&unix.FIB_RULE_INVERT == 0,
	}
	whole := eachAttr(m[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.FRA_PRIORITY:
			r.priority = attrUint32(value)
		case unix.FRA_TABLE:
			r.table = attrUint32(value)
		case unix.FRA_PROTOCOL: // who made it
		case unix.FRA_SUPPRESS_PREFIXLEN, unix.FRA_SUPPRESS_IFGROUP:
			r.plain = r.plain && attrUint32(value) == ^uint32(0) // off
		default:
			r.plain = false
		}
	})
	r.plain = r.plain && whole
	return r
}
