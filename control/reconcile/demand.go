package reconcile

import (
	"time"

	"steelyard/control/model"
	"steelyard/dataplane/maglev"
)

// Demand is what a snapshot needs of the packet path's tables, which are sized
// once, when they are loaded.
type Demand struct {
	Services, VIPs, Origins, Backends, Rings int
	// Slots of all rings; LargestRing is the largest of them.
	Slots, LargestRing int
	LongestIdle        time.Duration
}

// DemandOf computes the demand of a snapshot.
func DemandOf(snap *model.Snapshot) Demand {
	d := Demand{VIPs: len(snap.VIPs)}
	members := make(map[poolKey]int)
	for _, p := range snap.Pools {
		for _, b := range p.Backends {
			members[poolKey{p.Name, b.Addr.Addr().Is6()}]++
		}
	}
	rings := poolIdles(snap)
	for key, idle := range rings {
		size := maglev.Size(members[key])
		d.Backends += members[key]
		d.Slots += size
		d.LargestRing = max(d.LargestRing, size)
		d.LongestIdle = max(d.LongestIdle, idle)
	}
	d.Rings = len(rings)
	for i := range snap.Services {
		s := &snap.Services[i]
		for _, vip := range s.VIPs {
			d.Services += len(s.Ports)
			d.Origins += len(s.Ports) * members[poolKey{s.Pool, vip.Is6()}]
		}
	}
	return d
}
