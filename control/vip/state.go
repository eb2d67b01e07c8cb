package vip

import (
	"net/netip"

	"steelyard/dataplane"
)

// state is what the kernel listed: plain structs, so that resolve is pure.
type state struct {
	links  []link // by index
	addrs  []ifAddr
	routes []route
	neighs []neighbour
	rules  []rule
	// tooMany is set per family (see famIndex) where the kernel has more
	// than maxRoutes routes; routes then has none of that family.
	tooMany [2]bool
}

// Kinds of link that resolve treats specially (IFLA_INFO_KIND).
const (
	kindVLAN = "vlan"
	kindBond = "bond"
)

// link is a network device.
type link struct {
	index  uint32
	name   string
	kind   string        // kindVLAN, kindBond or whatever the kernel says
	mac    dataplane.MAC // zero where the device has none
	up     bool          // it is up and has a carrier
	mtu    int
	master uint32 // the bond or bridge it belongs to; 0 = none

	parent     uint32 // valid iff kind == kindVLAN
	vlan       uint16 // valid iff kind == kindVLAN
	serviceTag bool   // an 802.1ad tag; valid iff kind == kindVLAN

	active uint32 // the only slave in use, 0 = several; valid iff kind == kindBond
}

// Routing tables that are mirrored (RT_TABLE_*).
const (
	tableMain  = 254
	tableLocal = 255
)

// route is one entry of a routing table.
type route struct {
	table  uint32
	kind   uint8 // RTN_*
	prefix netip.Prefix
	metric uint32
	gw     netip.Addr // zero: on-link
	oif    uint32     // 0 where there are several ways
	mtu    int        // 0 = the link's
	// special is set where more than the destination decides or more than
	// sending is done: several ways, a TOS, a source prefix, encapsulation.
	special bool
	dead    bool // the kernel says that it does not lead anywhere now
}

// neighbour is one entry of a neighbour table.
type neighbour struct {
	ifindex uint32
	addr    netip.Addr
	mac     dataplane.MAC // zero: not known
	state   uint16        // NUD_*
}

// rule is a policy rule. plain ones only name a table.
type rule struct {
	v6       bool
	priority uint32
	table    uint32
	plain    bool
}

// famIndex is the place of a family in an array of two.
func famIndex(addr netip.Addr) int {
	if addr.Is4() {
		return 0
	}
	return 1
}
