package cases

import (
	"net/netip"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model"
)

// Devices are the interfaces of the gateway, by what lies behind them. The
// program needs ifindexes that exist; Stray carries no configuration.
type Devices struct{ Outside, Inside, Stray uint32 }

// The MACs of the gateway and its neighbours.
var (
	macOutside = dataplane.MAC{0x02, 0x51, 0x62, 0x73, 0x0a, 1}
	macInside  = dataplane.MAC{0x02, 0x51, 0x62, 0x73, 0x0a, 2}
	macRouter  = dataplane.MAC{0x02, 0x15, 0x26, 0x37, 0x0b, 1}
	macOther   = dataplane.MAC{0x02, 0x15, 0x26, 0x37, 0x0c, 1}
	macNone    = dataplane.MAC{}
)

// macOf is a backend's.
func macOf(id dataplane.BackendID) dataplane.MAC {
	return dataplane.MAC{0x02, 0x84, 0x95, 0xa6, 0x0d, byte(id)}
}

// The backends of the gateway. Web serves port 80, DNS port 53, and Shared
// both 443 and 8443; Spare is in no ring until a case puts it there.
const (
	Web    dataplane.BackendID = 1
	DNS    dataplane.BackendID = 2
	Shared dataplane.BackendID = 3
	Spare  dataplane.BackendID = 4
)

const (
	ringWeb    dataplane.RingID = 1
	ringDNS    dataplane.RingID = 2
	ringShared dataplane.RingID = 3
)

const (
	clientPort = 40000
	webIdle    = 60 * time.Second
	closing    = 5 * time.Second
)

// family is the gateway's addresses in one IP version.
type family struct {
	name   string
	v6     bool
	client netip.Addr
	vip    netip.Addr
	box    netip.Addr // the box's own, outside and inside alike
	far    netip.Addr // without a route
	all    netip.Prefix
	addr   map[dataplane.BackendID]netip.Addr
}

func families() []family {
	a := netip.MustParseAddr
	return []family{{
		name: "v4", client: a("198.51.100.7"), vip: a("203.0.113.80"), box: a("192.0.2.1"), far: a("100.64.9.9"),
		all:  netip.MustParsePrefix("198.51.100.0/24"),
		addr: map[dataplane.BackendID]netip.Addr{Web: a("10.0.1.1"), DNS: a("10.0.1.2"), Shared: a("10.0.1.3"), Spare: a("10.0.1.4")},
	}, {
		name: "v6", v6: true, client: a("2001:db8:c::7"), vip: a("2001:db8:f::80"), box: a("2001:db8:a::1"), far: a("2001:db8:9::9"),
		all:  netip.MustParsePrefix("2001:db8:c::/64"),
		addr: map[dataplane.BackendID]netip.Addr{Web: a("2001:db8:b::1"), DNS: a("2001:db8:b::2"), Shared: a("2001:db8:b::3"), Spare: a("2001:db8:b::4")},
	}}
}

func (f family) key(port uint16, proto dataplane.Protocol) dataplane.ServiceKey {
	return dataplane.ServiceKey{Addr: f.vip, Port: port, Proto: proto}
}

// portOf is the port a backend listens on.
func portOf(id dataplane.BackendID) uint16 {
	if id == DNS {
		return 5353
	}
	return 8080
}

func (f family) at(id dataplane.BackendID) netip.AddrPort {
	return netip.AddrPortFrom(f.addr[id], portOf(id))
}

// gateway is the box that every case starts from.
func (f family) gateway(d Devices) *model.Box {
	b := model.New()
	b.Now, b.Closing, b.AnswersPerSecond = 3*time.Hour, closing, 100
	b.Interfaces[d.Outside] = f.device(d.Outside, macOutside)
	b.Interfaces[d.Inside] = f.device(d.Inside, macInside)
	b.Devices[d.Outside], b.Devices[d.Inside] = true, true
	b.VIPs[f.vip] = true
	for id := range f.addr {
		b.Backends[id] = dataplane.Backend{ID: id, Addr: f.at(id), Alive: true, Next: dataplane.NextHop{
			Kind: dataplane.NextHopNeighbor, Ifindex: d.Inside, MTU: 1500, Src: macInside, Dst: macOf(id),
		}}
	}
	for ring, id := range map[dataplane.RingID]dataplane.BackendID{ringWeb: Web, ringDNS: DNS, ringShared: Shared} {
		b.Rings[ring] = ringOf(dataplane.Slot{Current: id, Settled: id})
	}
	f.serve(b)
	b.Routes[f.all] = dataplane.NextHop{Kind: dataplane.NextHopNeighbor, Ifindex: d.Outside, MTU: 1500, Src: macOutside, Dst: macRouter}
	for _, local := range []netip.Addr{f.vip, f.box} {
		b.Routes[netip.PrefixFrom(local, local.BitLen())] = dataplane.NextHop{Kind: dataplane.NextHopLocal}
	}
	return b
}

func (f family) device(ifindex uint32, mac dataplane.MAC) dataplane.Interface {
	i := dataplane.Interface{Ifindex: ifindex, MAC: mac}
	if f.v6 {
		i.Addr6 = f.box
	} else {
		i.Addr4 = f.box
	}
	return i
}

// serve adds the services and the origins of their replies.
func (f family) serve(b *model.Box) {
	web, dns := f.key(80, dataplane.TCP), f.key(53, dataplane.UDP)
	b.Services[web] = dataplane.Service{ID: 1, Ring: ringWeb, Mode: dataplane.ModeNAT, Idle: webIdle}
	b.Services[dns] = dataplane.Service{ID: 2, Ring: ringDNS, Mode: dataplane.ModeNAT, Idle: webIdle}
	for id, port := range map[dataplane.ServiceID]uint16{3: 443, 4: 8443} {
		b.Services[f.key(port, dataplane.TCP)] = dataplane.Service{
			ID: id, Ring: ringShared, Mode: dataplane.ModeNAT, Track: dataplane.TrackAlways, Idle: webIdle, SharedReplies: true,
		}
	}
	origin := func(id dataplane.BackendID, proto dataplane.Protocol, o dataplane.Origin) {
		o.ID, o.Idle = uint32(id), webIdle
		b.Origins[dataplane.OriginKey{Addr: f.addr[id], Port: portOf(id), Proto: proto}] = o
	}
	origin(Web, dataplane.TCP, dataplane.Origin{Service: web, ServiceID: 1, Backend: Web})
	origin(Spare, dataplane.TCP, dataplane.Origin{Service: web, ServiceID: 1, Backend: Spare})
	origin(DNS, dataplane.UDP, dataplane.Origin{Service: dns, ServiceID: 2, Backend: DNS})
	origin(Shared, dataplane.TCP, dataplane.Origin{Shared: true})
}

// ringOf is a ring whose slots are all alike.
func ringOf(slot dataplane.Slot) *dataplane.Ring {
	r := &dataplane.Ring{Slots: make([]dataplane.Slot, 7)}
	for i := range r.Slots {
		r.Slots[i] = slot
	}
	return r
}
