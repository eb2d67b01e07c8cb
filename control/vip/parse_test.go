package vip

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestToLink(t *testing.T) {
	attrs := func(change func(*netlink.LinkAttrs)) netlink.LinkAttrs {
		a := netlink.LinkAttrs{
			Index: 5, Name: "x", MTU: 1500, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 5},
			RawFlags: unix.IFF_UP | unix.IFF_RUNNING, ParentIndex: 3,
		}
		if change != nil {
			change(&a)
		}
		return a
	}
	plain := link{index: 5, name: "x", kind: "device", mac: mac(5), up: true, mtu: 1500}
	tests := []struct {
		name string
		dev  netlink.Link
		want func(*link)
	}{
		{"device", &netlink.Device{LinkAttrs: attrs(nil)}, func(*link) {}},
		{"no carrier", &netlink.Device{LinkAttrs: attrs(func(a *netlink.LinkAttrs) { a.RawFlags = unix.IFF_UP })},
			func(l *link) { l.up = false }},
		{"not up", &netlink.Device{LinkAttrs: attrs(func(a *netlink.LinkAttrs) { a.RawFlags = unix.IFF_RUNNING })},
			func(l *link) { l.up = false }},
		{"no Ethernet", &netlink.Device{LinkAttrs: attrs(func(a *netlink.LinkAttrs) { a.HardwareAddr = net.HardwareAddr{1, 2, 3, 4} })},
			func(l *link) { clear(l.mac[:]) }},
		{"VLAN", &netlink.Vlan{LinkAttrs: attrs(nil), VlanId: 100, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q},
			func(l *link) { l.kind, l.parent, l.vlan = kindVLAN, 3, 100 }},
		{"802.1ad", &netlink.Vlan{LinkAttrs: attrs(nil), VlanId: 9, VlanProtocol: netlink.VLAN_PROTOCOL_8021AD},
			func(l *link) { l.kind, l.parent, l.vlan, l.serviceTag = kindVLAN, 3, 9, true }},
		{"bond", &netlink.Bond{LinkAttrs: attrs(nil), ActiveSlave: 8},
			func(l *link) { l.kind, l.active = kindBond, 8 }},
		{"bond without an active slave", &netlink.Bond{LinkAttrs: attrs(nil), ActiveSlave: -1},
			func(l *link) { l.kind = kindBond }},
		{"slave", &netlink.Device{LinkAttrs: attrs(func(a *netlink.LinkAttrs) { a.MasterIndex = 7 })},
			func(l *link) { l.master = 7 }},
		{"veth, whose peer is no parent", &netlink.Veth{LinkAttrs: attrs(nil)}, func(l *link) { l.kind = "veth" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := plain
			tt.want(&want)
			if got := toLink(tt.dev); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestParseRule(t *testing.T) {
	message := func(action, flags uint8, attrs ...*nl.RtAttr) []byte {
		msg := nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET, Table: tableMain, Type: action, Flags: uint32(flags)}}
		b := msg.Serialize()
		for _, a := range attrs {
			b = append(b, a.Serialize()...)
		}
		return b
	}
	number := func(kind int, v uint32) *nl.RtAttr { return nl.NewRtAttr(kind, nl.Uint32Attr(v)) }
	off := number(unix.FRA_SUPPRESS_PREFIXLEN, ^uint32(0))
	priority := number(unix.FRA_PRIORITY, 32766)
	tests := []struct {
		name  string
		m     []byte
		plain bool
	}{
		{"the kernel's own", message(unix.FR_ACT_TO_TBL, 0, number(unix.FRA_TABLE, tableMain), off, priority), true},
		{"another action", message(unix.FR_ACT_BLACKHOLE, 0, priority), false},
		{"inverted", message(unix.FR_ACT_TO_TBL, unix.FIB_RULE_INVERT, priority), false},
		{"suppressing", message(unix.FR_ACT_TO_TBL, 0, number(unix.FRA_SUPPRESS_PREFIXLEN, 0), priority), false},
		{"by mark", message(unix.FR_ACT_TO_TBL, 0, number(unix.FRA_FWMARK, 1), priority), false},
		{"by something not known here", message(unix.FR_ACT_TO_TBL, 0, number(99, 1), priority), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseRule(tt.m); got.plain != tt.plain || got.priority != 32766 || got.table != tableMain {
				t.Errorf("got %+v, want plain %v", got, tt.plain)
			}
		})
	}
}

// No message, however short or odd, may stop the daemon.
func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{unix.AF_INET, 24, 0, 0, tableMain, 0, 0, 1, 0, 0, 0, 0}, 6, 0, unix.RTA_OIF, 0, 1, 2, 0, 0))
	f.Add(append([]byte{unix.AF_INET6, 200, 0, 0, tableMain, 0, 0, 1, 0, 0, 0, 0}, 5, 0, unix.RTA_VIA, 0, 2, 0, 0, 0))
	f.Add(append([]byte{unix.AF_INET, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0}, 7, 0, netlink.NDA_DST, 0, 1, 2, 3, 0))
	f.Add(append([]byte{unix.AF_INET, 33, 0, 0, 2, 0, 0, 0}, 8, 0, unix.IFA_LOCAL, 0, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, m []byte) {
		if a, ok := parseAddr(m); ok && !a.prefix.IsValid() {
			t.Errorf("address %+v", a)
		}
		if n, ok := parseNeighbour(m); ok && !n.addr.IsValid() {
			t.Errorf("neighbour %+v", n)
		}
		if r, ok := parseRoute(m); ok && !r.prefix.IsValid() {
			t.Errorf("route %+v", r)
		}
		parseRule(m)
		for _, kind := range []uint16{unix.RTM_NEWLINK, unix.RTM_NEWROUTE, unix.RTM_DELNEIGH, unix.RTM_NEWADDR} {
			touched(kind, m)
		}
	})
}
