package reconcile

import (
	"net/netip"

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
		interfaces: make(table[uint32, dataplane.Interface]),
		routes:     make(table[netip.Prefix, dataplane.NextHop]),
		backends:   make(table[dataplane.BackendID, dataplane.Backend]),
		rings:      make(table[dataplane.RingID, *dataplane.Ring]),
		origins:    make(table[dataplane.OriginKey, dataplane.Origin]),
		services:   make(table[dataplane.ServiceKey, dataplane.Service]),
		vips:       make(table[netip.Addr, bool]),
	}
}

// add writes what is new, what is named before what names it: a packet never
// meets an id whose entry is not there yet. It stops at the first error.
func (a *applied) add(path tableWriter, t Tables) (writes int, err error) {
	steps := []func() (int, error){
		func() (int, error) {
			return a.interfaces.put(t.Interfaces, func(put map[uint32]dataplane.Interface) error {
				return each(put, func(_ uint32, i dataplane.Interface) error { return path.PutInterface(i) })
			})
		},
		func() (int, error) { return a.routes.put(t.Routes, path.PutRoutes) },
		func() (int, error) {
			return a.backends.put(t.Backends, func(put map[dataplane.BackendID]dataplane.Backend) error {
				return path.PutBackends(values(put))
			})
		},
		func() (int, error) {
			return a.rings.put(t.Rings, func(put map[dataplane.RingID]*dataplane.Ring) error {
				return each(put, path.ReplaceRing)
			})
		},
		func() (int, error) { return a.origins.put(t.Origins, path.PutOrigins) },
		func() (int, error) { return a.services.put(t.Services, path.PutServices) },
		func() (int, error) {
			return a.vips.put(t.VIPs, func(put map[netip.Addr]bool) error {
				addrs := make([]netip.Addr, 0, len(put))
				for addr := range put {
					addrs = append(addrs, addr)
				}
				return path.PutVIPs(addrs)
			})
		},
	}
	return inOrder(steps)
}

// remove takes away what is not wanted, in the opposite order.
func (a *applied) remove(path tableWriter, t Tables) (writes int, err error) {
	steps := []func() (int, error){
		func() (int, error) { return a.services.remove(t.Services, path.DeleteServices) },
		func() (int, error) { return a.vips.remove(t.VIPs, path.DeleteVIPs) },
		func() (int, error) { return a.origins.remove(t.Origins, path.DeleteOrigins) },
		func() (int, error) {
			return a.rings.remove(t.Rings, func(gone []dataplane.RingID) error {
				for _, id := range gone {
					if err := path.ReplaceRing(id, nil); err != nil {
						return err
					}
				}
				return nil
			})
		},
		func() (int, error) {
			return a.backends.remove(t.Backends, func(gone []dataplane.BackendID) error {
				dead := make([]dataplane.Backend, len(gone))
				for i, id := range gone {
					dead[i] = dataplane.Backend{ID: id}
				}
				return path.PutBackends(dead)
			})
		},
		func() (int, error) { return a.routes.remove(t.Routes, path.DeleteRoutes) },
		func() (int, error) {
			return a.interfaces.remove(t.Interfaces, func(gone []uint32) error {
				for _, ifindex := range gone {
					if err := path.DeleteInterface(ifindex); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	return inOrder(steps)
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

func each[K interface{ ~uint32 }, V any](m map[K]V, f func(K, V) error) error {
	for _, k := range sortedKeys(m) {
		if err := f(k, m[k]); err != nil {
			return err
		}
	}
	return nil
}

func values[K interface{ ~uint32 }, V any](m map[K]V) []V {
	list := make([]V, 0, len(m))
	for _, k := range sortedKeys(m) {
		list = append(list, m[k])
	}
	return list
}
