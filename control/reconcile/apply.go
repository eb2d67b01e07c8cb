package reconcile

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"steelyard/dataplane"
)

// applied is what the packet path holds, as far as its answers tell.
type applied struct {
	interfaces table[uint32, dataplane.Interface]
	routes     table[netip.Prefix, dataplane.NextHop]
	backends   table[dataplane.BackendID, dataplane.Backend]
	rings      table[dataplane.RingID, *dataplane.Ring]
	origins    table[dataplane.OriginKey, dataplane.Origin]
	services   table[dataplane.ServiceKey, dataplane.Service]
	vips       table[netip.Addr, bool]
}

func newApplied() *applied {
	return &applied{
		interfaces: newTable[uint32, dataplane.Interface](),
		routes:     newTable[netip.Prefix, dataplane.NextHop](),
		backends:   newTable[dataplane.BackendID, dataplane.Backend](),
		rings:      newTable[dataplane.RingID, *dataplane.Ring](),
		origins:    newTable[dataplane.OriginKey, dataplane.Origin](),
		services:   newTable[dataplane.ServiceKey, dataplane.Service](),
		vips:       newTable[netip.Addr, bool](),
	}
}

// addInterfaces writes the devices that the program looks at frames from.
func (a *applied) addInterfaces(path tableWriter, t Tables) (int, error) {
	return putEach(a.interfaces, t.Interfaces, func(_ uint32, i dataplane.Interface) error { return path.PutInterface(i) })
}

// addRoutes writes the ways to clients. Nothing else depends on it: where one
// is missing, the kernel forwards.
func (a *applied) addRoutes(path tableWriter, t Tables) (int, error) {
	return a.routes.put(t.Routes, path.PutRoutes)
}

// addServices writes what is new, what is named before what names it: a packet
// never meets an id whose entry is not there yet. A backend's origin is there
// before a ring can choose the backend, or its first replies would not find
// their way back. It stops after the first table that fails.
func (a *applied) addServices(path tableWriter, t Tables) (writes int, err error) {
	return inOrder([]func() (int, error){
		func() (int, error) {
			return a.backends.put(t.Backends, func(put map[dataplane.BackendID]dataplane.Backend) error {
				return path.PutBackends(sortedValues(put))
			})
		},
		func() (int, error) { return a.origins.put(t.Origins, path.PutOrigins) },
		func() (int, error) { return putEach(a.rings, t.Rings, path.ReplaceRing) },
		func() (int, error) { return a.services.put(t.Services, path.PutServices) },
		func() (int, error) {
			return a.vips.put(t.VIPs, func(put map[netip.Addr]bool) error {
				return path.PutVIPs(slices.Collect(maps.Keys(put)))
			})
		},
	})
}

// remove takes away what is not wanted, in the opposite order. It may follow
// only an addServices that succeeded: until then what was may still name it.
func (a *applied) remove(path tableWriter, t Tables) (writes int, err error) {
	return inOrder([]func() (int, error){
		func() (int, error) { return a.services.remove(t.Services, path.DeleteServices) },
		func() (int, error) { return a.vips.remove(t.VIPs, path.DeleteVIPs) },
		func() (int, error) {
			return a.rings.remove(t.Rings, func(gone []dataplane.RingID) error {
				return each(gone, func(id dataplane.RingID) error { return path.ReplaceRing(id, nil) })
			})
		},
		func() (int, error) { return a.origins.remove(t.Origins, path.DeleteOrigins) },
		func() (int, error) {
			return a.backends.remove(t.Backends, func(gone []dataplane.BackendID) error {
				dead := make([]dataplane.Backend, len(gone))
				for i, id := range gone {
					dead[i] = dataplane.Backend{ID: id}
				}
				return path.PutBackends(dead)
			})
		},
	})
}

// removeWays takes away routes and devices, on which nothing depends.
func (a *applied) removeWays(path tableWriter, t Tables) (int, error) {
	n, err := a.routes.remove(t.Routes, path.DeleteRoutes)
	m, devErr := a.interfaces.remove(t.Interfaces, func(gone []uint32) error {
		return each(gone, path.DeleteInterface)
	})
	return n + m, errors.Join(err, devErr)
}

func inOrder(steps []func() (int, error)) (writes int, err error) {
	for _, step := range steps {
		n, err := step()
		writes += n
		if err != nil {
			return writes, err
		}
	}
	return writes, nil
}

func each[K any](keys []K, f func(K) error) error {
	var errs []error
	for _, k := range keys {
		if err := f(k); err != nil {
			errs = append(errs, err)
		}
	}
	return joinFew(errs)
}

func sortedValues[K ~uint32, V any](m map[K]V) []V {
	list := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[k])
	}
	return list
}
