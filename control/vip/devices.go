package vip

import (
	"fmt"

	"steelyard/dataplane"
)

// egress is the physical way out of a link.
type egress struct {
	ok      bool   // frames can be sent by the packet path
	ifindex uint32 // the carrier that sends them
	vlan    uint16
	src     dataplane.MAC
	mtu     int
}

// devices answers questions about links for one state.
type devices struct {
	byIndex  map[uint32]*link
	slaves   map[uint32][]*link // of a bond, by its index; ordered by index
	carriers map[string]bool
}

func newDevices(links []link, carriers map[string]bool) *devices {
	d := &devices{
		byIndex:  make(map[uint32]*link, len(links)),
		slaves:   make(map[uint32][]*link),
		carriers: carriers,
	}
	for i := range links {
		d.byIndex[links[i].index] = &links[i]
	}
	for i := range links {
		l := &links[i]
		if master := d.byIndex[l.master]; master != nil && master.kind == kindBond {
			d.slaves[master.index] = append(d.slaves[master.index], l)
		}
	}
	return d
}

// egress finds how frames of a link leave. Not ok where the link or what is
// below it is down, is no Ethernet, or ends at a device that carries no program.
func (d *devices) egress(ifindex uint32) egress {
	l := d.byIndex[ifindex]
	if l == nil || !l.up || l.mac == (dataplane.MAC{}) {
		return egress{}
	}
	base := d.base(l)
	if base == nil {
		return egress{}
	}
	carrier := d.carrier(base)
	if carrier == nil || !base.up || !carrier.up {
		return egress{}
	}
	return egress{ok: true, ifindex: carrier.index, vlan: vlanOf(l), src: l.mac, mtu: l.mtu}
}

func vlanOf(l *link) uint16 {
	if l.kind == kindVLAN {
		return l.vlan
	}
	return 0
}

// base is the link itself or a VLAN's parent; nil where the parent is not
// there, or there would be more than one tag or an 802.1ad tag, which the
// packet path does not write.
func (d *devices) base(l *link) *link {
	if l.kind != kindVLAN {
		return l
	}
	parent := d.byIndex[l.parent]
	if parent == nil || parent.kind == kindVLAN || l.serviceTag {
		return nil
	}
	return parent
}

// carrier is the device below base that carries the program: base itself, or
// for a bond one of its slaves. Of several slaves the one in use is taken, else
// the first that is up: all frames of a flow leave by one.
func (d *devices) carrier(base *link) *link {
	if d.carriers[base.name] {
		return base
	}
	var first *link
	for _, slave := range d.slaves[base.index] {
		if !d.carriers[slave.name] || !slave.up {
			continue
		}
		if slave.index == base.active {
			return slave
		}
		if first == nil {
			first = slave
		}
	}
	return first
}

// physical is the device that frames of a link leave by, and their tag, for
// people and for finding a VIP's interface; a link that egress has no way for
// is its own.
func (d *devices) physical(l *link) (ifindex uint32, vlan uint16) {
	base := d.base(l)
	if base == nil {
		return l.index, 0
	}
	if carrier := d.carrier(base); carrier != nil {
		return carrier.index, vlanOf(l)
	}
	if master := d.byIndex[base.master]; master != nil && master.kind == kindBond {
		base = master
	}
	return base.index, vlanOf(l)
}

// limits names the links over carriers whose tags the packet path cannot write.
func (d *devices) limits(links []link) []string {
	var texts []string
	for i := range links {
		l := &links[i]
		if l.kind != kindVLAN || d.base(l) != nil {
			continue
		}
		bottom := l
		for range len(links) { // a bound, should the kernel's answer have a loop
			if bottom == nil || bottom.kind != kindVLAN {
				break
			}
			bottom = d.byIndex[bottom.parent]
		}
		if bottom != nil && d.carrier(bottom) != nil {
			texts = append(texts, fmt.Sprintf(
				"link %s: frames with two VLAN tags or an 802.1ad tag are left to the kernel", l.name))
		}
	}
	return texts
}
