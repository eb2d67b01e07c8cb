package xdp_test

import (
	"fmt"
	"maps"
	"math/rand"
	"net/netip"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/packet"
)

// town is a box with a bit of everything, both families side by side, and the
// random events in its life.
type town struct {
	rng   *rand.Rand
	box   *model.Box
	d     cases.Devices
	world packet.World
	seen  [dataplane.VerdictCount]int
	sent  map[string]int                             // packets sent on, by sentKinds
	first []byte                                     // the latest first fragment
	away  map[dataplane.ServiceKey]dataplane.Service // services that are gone for a while
}

const (
	townBackends = 8 // of each family
	townClosing  = 1 * time.Second
	townIdle     = 4 * time.Second
	townAnswers  = 30
)

// Ports of the services of each VIP. Those of one track share a ring.
const (
	portMoved  = 80
	portAlways = 81
	portNever  = 82
	portShared = 443
	portTwin   = 8443
)

var (
	townOutside = dataplane.MAC{0x02, 0x51, 0x62, 0x73, 0x84, 0x01}
	townInside  = dataplane.MAC{0x02, 0x51, 0x62, 0x73, 0x84, 0x02}
)

func newTown(rng *rand.Rand, d cases.Devices) *town {
	t := &town{rng: rng, box: model.New(), d: d, sent: map[string]int{}, away: map[dataplane.ServiceKey]dataplane.Service{}}
	b := t.box
	b.Now, b.Closing, b.AnswersPerSecond, b.Listens = 5*time.Hour, townClosing, townAnswers, listens
	b.Devices[d.Outside], b.Devices[d.Inside] = true, true
	t.world = packet.World{
		MACs:    []dataplane.MAC{townOutside, townInside},
		Foreign: []dataplane.MAC{{0x02, 9, 8, 7, 6, 5}, {0x02, 0xff, 0x81, 0, 0x88, 0xa8}, {255, 255, 255, 255, 255, 255}, {}},
		VLANs:   []uint16{1, 20, 4094},
		Ports:   []uint16{1024, 40000, 40001, 40002, 65535, cases.ListenPort, portMoved},
	}
	for _, pattern := range []string{"10.%d.0.%d", "2001:db8:%d::%d"} {
		t.addFamily(func(net, host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(pattern, net, host)) })
	}
	for _, ifindex := range []uint32{d.Outside, d.Inside} {
		t.changeInterface(ifindex)
	}
	return t
}

// addFamily adds everything in one family. Backends number on from the last.
func (t *town) addFamily(addr func(net, host int) netip.Addr) {
	b, first := t.box, dataplane.BackendID(len(t.box.Backends))
	for i := 1; i <= townBackends; i++ {
		id := first + dataplane.BackendID(i)
		b.Backends[id] = dataplane.Backend{ID: id, Alive: true, Addr: netip.AddrPortFrom(addr(1, i), uint16(8000+i%3))}
		t.changeNextHop(id)
	}
	vips := []netip.Addr{addr(3, 1), addr(3, 2), addr(3, 3)} // the last has no services
	for _, vip := range vips {
		b.VIPs[vip] = true
		b.Routes[netip.PrefixFrom(vip, vip.BitLen())] = dataplane.NextHop{Kind: dataplane.NextHopLocal}
	}
	local := addr(4, 1)
	b.Routes[netip.PrefixFrom(local, local.BitLen())] = dataplane.NextHop{Kind: dataplane.NextHopLocal}
	t.world.VIPs = append(t.world.VIPs, vips...)
	t.world.Locals = append(t.world.Locals, local)
	for i := range 16 {
		t.world.Clients = append(t.world.Clients, addr(5, i%6))
	}
	if !local.Is4() {
		// What must not be taken for IPv4, nor answered.
		mapped := netip.AddrFrom16(netip.MustParseAddr("10.5.0.1").As16())
		t.world.Clients = append(t.world.Clients, mapped, netip.IPv6Loopback(), netip.MustParseAddr("ff02::1"))
		t.world.VIPs = append(t.world.VIPs, netip.AddrFrom16(netip.MustParseAddr("10.3.0.1").As16()))
	} else {
		t.world.Clients = append(t.world.Clients, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("239.1.2.3"))
	}
	t.serve(vips[:2], first)
	for i := range 3 {
		t.changeRoute(addr(5, i), i)
	}
}

// serve adds services. Backends 1-5 serve the first VIP's services, one each
// of track, 6-8 those that share their backends.
func (t *town) serve(vips []netip.Addr, first dataplane.BackendID) {
	add := func(vip netip.Addr, port uint16, proto dataplane.Protocol, track dataplane.Track, shared bool) {
		b := t.box
		key := dataplane.ServiceKey{Addr: vip, Port: port, Proto: proto}
		s := dataplane.Service{ID: dataplane.ServiceID(len(b.Services) + 1), Mode: dataplane.ModeNAT, Track: track, SharedReplies: shared}
		s.Ring, s.Idle = t.ringFor(first, track, shared), townIdle
		b.Services[key] = s
		t.world.Services = append(t.world.Services, key)
		t.addOrigins(key, s)
	}
	for _, proto := range []dataplane.Protocol{dataplane.TCP, dataplane.UDP} {
		add(vips[0], portMoved, proto, dataplane.TrackMoved, false)
		add(vips[0], portAlways, proto, dataplane.TrackAlways, false)
		add(vips[1], portNever, proto, dataplane.TrackNever, false)
		add(vips[1], portShared, proto, dataplane.TrackAlways, true)
		add(vips[0], portTwin, proto, dataplane.TrackAlways, true)
	}
	// The most interesting one gets more packets.
	key := dataplane.ServiceKey{Addr: vips[0], Port: portMoved, Proto: dataplane.TCP}
	t.world.Services = append(t.world.Services, key, key, key)
}

// ringFor returns the ring of services of a kind: 1, 2 to 4 of IPv4, and 5 to
// 8 of IPv6.
func (t *town) ringFor(first dataplane.BackendID, track dataplane.Track, shared bool) dataplane.RingID {
	ring := dataplane.RingID(1+track) + dataplane.RingID(first)/townBackends*4
	if shared {
		ring = 4 + dataplane.RingID(first)/townBackends*4
	}
	if t.box.Rings[ring] == nil {
		t.changeRing(ring)
	}
	return ring
}

// members are the backends of a ring: two of each track, the rest shared.
func members(ring dataplane.RingID) []dataplane.BackendID {
	first := dataplane.BackendID((ring - 1) / 4 * townBackends)
	kind := dataplane.BackendID((ring - 1) % 4)
	return []dataplane.BackendID{first + 2*kind + 1, first + 2*kind + 2}
}

func (t *town) addOrigins(key dataplane.ServiceKey, s dataplane.Service) {
	for _, id := range members(s.Ring) {
		addr := t.box.Backends[id].Addr
		at := dataplane.OriginKey{Addr: addr.Addr(), Port: addr.Port(), Proto: key.Proto}
		o := dataplane.Origin{ID: uint32(len(t.box.Origins) + 1), Service: key, ServiceID: s.ID, Backend: id, Idle: townIdle}
		if s.SharedReplies {
			o = dataplane.Origin{ID: o.ID, Shared: true, Idle: townIdle}
		}
		if before, ok := t.box.Origins[at]; ok {
			o.ID = before.ID
		}
		t.box.Origins[at] = o
		t.world.Origins = append(t.world.Origins, at)
	}
}

func oneOf[T any](rng *rand.Rand, from ...T) T { return from[rng.Intn(len(from))] }

func (t *town) randomNextHop() dataplane.NextHop {
	kinds := []dataplane.NextHopKind{0, 1, 1, 1, 1, 1, 1, 1, 2}
	return dataplane.NextHop{
		Kind:    oneOf(t.rng, kinds...),
		Ifindex: oneOf(t.rng, t.d.Outside, t.d.Inside, t.d.Inside, t.d.Outside, t.d.Stray),
		VLAN:    oneOf[uint16](t.rng, 0, 0, 0, 5, 4094),
		MTU:     oneOf[uint16](t.rng, 0, 1500, 1500, 1280, 576, 68),
		Src:     townInside, Dst: dataplane.MAC{0x02, 0x77, byte(t.rng.Intn(256)), 1, 2, 3},
	}
}

func (t *town) changeNextHop(id dataplane.BackendID) {
	b := t.box.Backends[id]
	b.Next = t.randomNextHop()
	t.box.Backends[id] = b
}

// changeRoute routes or stops to route around a client.
func (t *town) changeRoute(client netip.Addr, i int) {
	bits := client.BitLen() - []int{0, 1, 8, 30}[i%4]
	prefix := netip.PrefixFrom(client, bits).Masked()
	if _, ok := t.box.Routes[prefix]; ok && t.rng.Intn(3) == 0 {
		delete(t.box.Routes, prefix)
		return
	}
	t.box.Routes[prefix] = t.randomNextHop()
}

func (t *town) changeInterface(ifindex uint32) {
	i := dataplane.Interface{Ifindex: ifindex, MAC: townOutside}
	if ifindex == t.d.Inside {
		i.MAC = townInside
	}
	if t.rng.Intn(4) > 0 {
		i.Addr4, i.Addr6 = netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("2001:db8:77::1")
	}
	t.box.Interfaces[ifindex] = i
}

// changeRing makes a ring of random slots: all that a history could leave
// behind, and more.
func (t *town) changeRing(ring dataplane.RingID) {
	sizes := []int{1, 7, 31, 61}
	r := &dataplane.Ring{Slots: t.randomSlots(oneOf(t.rng, sizes...), ring, true)}
	switch before := t.box.Rings[ring]; {
	case t.rng.Intn(20) == 0:
		r.Slots = nil
	case t.rng.Intn(3) == 0 && before != nil:
		r.Old = before.Slots
	case t.rng.Intn(3) == 0:
		r.Old = t.randomSlots(oneOf(t.rng, sizes...), ring, false)
	}
	t.box.Rings[ring] = r
}

func (t *town) randomSlots(n int, ring dataplane.RingID, mayAskOld bool) []dataplane.Slot {
	slots, who := make([]dataplane.Slot, n), members(ring)
	for i := range slots {
		s := dataplane.Slot{Current: oneOf(t.rng, who...), Ask: t.rng.Intn(2) == 0}
		if t.rng.Intn(30) == 0 {
			s.Current = 0
		}
		s.Settled = s.Current
		if s.Ask {
			s.Settled = oneOf(t.rng, append(who, 0)...)
			if mayAskOld && t.rng.Intn(3) == 0 {
				s.Settled = dataplane.SettledInOld
			}
		}
		slots[i] = s
	}
	return slots
}

// stir changes something, in the box and in its time.
func (t *town) stir() {
	rng, b := t.rng, t.box
	switch id := dataplane.BackendID(1 + rng.Intn(2*townBackends)); rng.Intn(12) {
	case 0, 1:
		be := b.Backends[id]
		be.Alive = rng.Intn(3) > 0
		b.Backends[id] = be
	case 2, 3:
		t.changeNextHop(id)
	case 4, 5, 6:
		t.changeRing(dataplane.RingID(1 + rng.Intn(8)))
	case 7:
		t.changeRoute(oneOf(rng, t.world.Clients...).Unmap(), rng.Intn(4))
	case 8:
		t.changeInterface(oneOf(rng, t.d.Outside, t.d.Inside))
	case 9:
		t.changeService(oneOf(rng, t.world.Services...))
	case 10:
		vip := oneOf(rng, t.world.VIPs...).Unmap()
		b.VIPs[vip] = true
		if rng.Intn(3) == 0 {
			delete(b.VIPs, vip)
		}
	case 11:
		b.Now += oneOf(rng, dataplane.TickDuration, townClosing, townIdle, 2*townIdle, time.Minute)
	}
}

// changeService alters how long a service's flows may be silent, or takes one
// away until the next change. Shared ones stay: what becomes of their replies
// when they go is not said anywhere.
func (t *town) changeService(key dataplane.ServiceKey) {
	maps.Copy(t.box.Services, t.away)
	clear(t.away)
	s := t.box.Services[key]
	if t.rng.Intn(2) == 0 && !s.SharedReplies {
		t.away[key] = s
		delete(t.box.Services, key)
		return
	}
	s.Idle = time.Duration(1+t.rng.Intn(6)) * time.Second
	t.box.Services[key] = s
}
