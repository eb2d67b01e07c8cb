package bench

import (
	"errors"
	"net/netip"

	"steelyard/dataplane"
	"steelyard/dataplane/xdp"
)

// gateway is the product in the rig.
type gateway struct {
	rig      *rig
	balancer *xdp.Balancer
}

// The rig's service has the same number and ring for each kind of traffic of
// one family.
const (
	ring4 = 1
	ring6 = 2
)

// newGateway loads the product with room for flows and a service for each kind
// of traffic.
func (r *rig) newGateway(flows int) (g *gateway, err error) {
	b, err := xdp.Load(xdp.Options{
		Sizes: xdp.Sizes{
			Flows: flows, Services: 8, VIPs: 2, Origins: 4 * backends, Backends: 2 * backends,
			Rings: 2, Slots: 4 * ringSize(), Routes: 16,
		},
		Closing:     closing,
		LongestIdle: idle,
	})
	if err != nil {
		return nil, err
	}
	g = &gateway{rig: r, balancer: b}
	if err := g.fill(); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *gateway) close() error { return g.balancer.Close() }

func (g *gateway) fill() error {
	var list []dataplane.Backend
	var rings [2]dataplane.Ring
	origins := make(map[dataplane.OriginKey]dataplane.Origin)
	next := dataplane.NextHop{
		Kind: dataplane.NextHopNeighbor, Ifindex: uint32(g.rig.back), MTU: 1500, Dst: farMAC, Src: backMAC,
	}
	for i := range 2 * backends {
		b := dataplane.Backend{
			ID: dataplane.BackendID(i + 1), Addr: backendAddr(i%backends, i >= backends), Alive: true, Next: next,
		}
		list = append(list, b)
		vip := vip4
		if i >= backends {
			vip = vip6
		}
		key := dataplane.OriginKey{Addr: b.Addr.Addr(), Port: b.Addr.Port(), Proto: dataplane.UDP}
		origins[key] = dataplane.Origin{
			ID: uint32(i + 1), Backend: b.ID, Idle: idle,
			Service: dataplane.ServiceKey{Addr: vip, Port: vipPort, Proto: dataplane.UDP},
		}
	}
	for i := range rings {
		for slot := range ringSize() {
			id := dataplane.BackendID(1 + i*backends + slot%backends)
			rings[i].Slots = append(rings[i].Slots, dataplane.Slot{Current: id, Settled: id})
		}
	}
	return errors.Join(
		g.balancer.PutInterface(dataplane.Interface{Ifindex: uint32(g.rig.front), MAC: frontMAC}),
		g.balancer.PutInterface(dataplane.Interface{Ifindex: uint32(g.rig.back), MAC: backMAC}),
		g.balancer.PutBackends(list),
		g.balancer.PutOrigins(origins),
		g.balancer.PutRoutes(map[netip.Prefix]dataplane.NextHop{
			netip.MustParsePrefix("10.0.0.0/8"):      next,
			netip.MustParsePrefix("2001:db8:c::/64"): next,
		}),
		g.balancer.ReplaceRing(ring4, &rings[0]),
		g.balancer.ReplaceRing(ring6, &rings[1]),
		g.balancer.PutVIPs([]netip.Addr{vip4, vip6}),
	)
}

// serve makes t's service the only one.
func (g *gateway) serve(t Traffic, track dataplane.Track) error {
	key := dataplane.ServiceKey{Addr: vip4, Port: vipPort, Proto: t.Proto}
	s := dataplane.Service{ID: 1, Ring: ring4, Mode: dataplane.ModeNAT, Track: track, Idle: idle}
	if t.IPv6 {
		key.Addr, s.ID, s.Ring = vip6, 2, ring6
	}
	return g.balancer.PutServices(map[dataplane.ServiceKey]dataplane.Service{key: s})
}

// subject is the product serving t.
func (g *gateway) subject(t Traffic, track dataplane.Track) subject {
	devices := []uint32{uint32(g.rig.front), uint32(g.rig.back)}
	return subject{
		name: track.String(),
		attach: func() (func() error, error) {
			detach := func() error {
				return g.rig.env.Host("gateway").Do(func() error {
					return errors.Join(g.balancer.Detach(devices[0]), g.balancer.Detach(devices[1]))
				})
			}
			err := g.rig.env.Host("gateway").Do(func() error {
				if err := g.serve(t, track); err != nil {
					return err
				}
				for _, d := range devices {
					if _, err := g.balancer.Attach(d, dataplane.AttachNative); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return nil, errors.Join(err, detach())
			}
			return detach, nil
		},
		stats: g.balancer.ProgramStats,
	}
}

// tracks are the two ends: with moved and a settled ring no flow is looked up,
// with always every packet's is. Replies are none of the flow table's business.
func (t Traffic) tracks() []dataplane.Track {
	if t.Reply {
		return []dataplane.Track{dataplane.TrackMoved}
	}
	return []dataplane.Track{dataplane.TrackMoved, dataplane.TrackAlways}
}

// traffics are the kinds that the program's time is measured with.
func traffics() []Traffic {
	return []Traffic{
		{Proto: dataplane.UDP}, {Proto: dataplane.UDP, IPv6: true},
		{Proto: dataplane.TCP}, {Proto: dataplane.TCP, IPv6: true},
		{Proto: dataplane.UDP, Reply: true}, {Proto: dataplane.UDP, IPv6: true, Reply: true},
	}
}

// subjects returns the bare program and then the product in each way.
func (g *gateway) subjects(t Traffic) []subject {
	list := []subject{g.rig.bare()}
	for _, track := range t.tracks() {
		list = append(list, g.subject(t, track))
	}
	return list
}
