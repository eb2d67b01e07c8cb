package xdp

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"

	"steelyard/dataplane"
)

// putAll writes keys and values in as few system calls as the kernel allows.
func putAll[K, V any](m *ebpf.Map, what string, keys []K, values []V) error {
	if len(keys) == 0 {
		return nil
	}
	_, err := m.BatchUpdate(keys, values, nil)
	if errors.Is(err, ebpf.ErrNotSupported) {
		err = nil
		for i := range keys {
			err = errors.Join(err, m.Put(&keys[i], &values[i]))
		}
	}
	if err != nil {
		return fmt.Errorf("write %d %s: %w", len(keys), what, explainFull(err))
	}
	return nil
}

// deleteAll removes keys; one that is not there is not an error.
func deleteAll[K any](m *ebpf.Map, what string, keys []K) error {
	for i := range keys {
		if err := m.Delete(&keys[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete from %s: %w", what, err)
		}
	}
	return nil
}

// explainFull turns the kernel's E2BIG and ENOSPC into ErrNoSpace.
func explainFull(err error) error {
	if errors.Is(err, errTooBig) || errors.Is(err, errNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// PutServices adds or replaces services. Returns ErrNoSpace where the table
// or the range of ids is used up.
func (b *Balancer) PutServices(services map[dataplane.ServiceKey]dataplane.Service) error {
	keys := make([]balancerEndpoint, 0, len(services))
	values := make([]balancerService, 0, len(services))
	ids := make([]uint32, 0, len(services))
	for k, s := range services {
		if int(s.ID) > b.opts.Services || int(s.Ring) > b.opts.Rings {
			return fmt.Errorf("write service %s: id %d, ring %d: %w", k, s.ID, s.Ring, ErrNoSpace)
		}
		keys = append(keys, toEndpoint(k))
		values = append(values, toService(s))
		ids = append(ids, uint32(s.ID))
	}
	// Ids lead back to keys before a service can be hit.
	if err := putAll(b.objs.ServiceKeys, "service keys", ids, keys); err != nil {
		return err
	}
	return putAll(b.objs.Services, "services", keys, values)
}

// DeleteServices removes services; missing ones are no error.
func (b *Balancer) DeleteServices(keys []dataplane.ServiceKey) error {
	var ids []uint32
	for _, key := range convert(keys, toEndpoint) {
		var s balancerService
		if err := b.objs.Services.Lookup(&key, &s); err == nil {
			ids = append(ids, s.Id)
		}
	}
	if err := deleteAll(b.objs.Services, "services", convert(keys, toEndpoint)); err != nil {
		return err
	}
	// An id without a key: replies that name it belong to nobody now.
	return putAll(b.objs.ServiceKeys, "service keys", ids, make([]balancerEndpoint, len(ids)))
}

// PutVIPs adds addresses whose every port the program answers for.
func (b *Balancer) PutVIPs(addrs []netip.Addr) error {
	values := make([]uint32, len(addrs))
	for i := range values {
		values[i] = 1
	}
	return putAll(b.objs.Vips, "VIPs", convert(addrs, toAddr), values)
}

// DeleteVIPs removes addresses; missing ones are no error.
func (b *Balancer) DeleteVIPs(addrs []netip.Addr) error {
	return deleteAll(b.objs.Vips, "VIPs", convert(addrs, toAddr))
}

// PutOrigins adds or replaces origins. What the program knew about direct
// clients of a replaced one is kept.
func (b *Balancer) PutOrigins(origins map[dataplane.OriginKey]dataplane.Origin) error {
	keys := make([]balancerEndpoint, 0, len(origins))
	values := make([]balancerOrigin, 0, len(origins))
	for k, o := range origins {
		key, value := toEndpoint(k), toOrigin(o)
		var old balancerOrigin
		if err := b.objs.Origins.Lookup(&key, &old); err == nil && old.Id == value.Id {
			value.Direct = old.Direct
		}
		keys, values = append(keys, key), append(values, value)
	}
	return putAll(b.objs.Origins, "origins", keys, values)
}

// DeleteOrigins removes origins; missing ones are no error.
func (b *Balancer) DeleteOrigins(keys []dataplane.OriginKey) error {
	return deleteAll(b.objs.Origins, "origins", convert(keys, toEndpoint))
}

// DirectOrigins lists the origins whose replies ask the flow table for direct
// clients.
func (b *Balancer) DirectOrigins() (map[uint32]dataplane.OriginKey, error) {
	direct := make(map[uint32]dataplane.OriginKey)
	var key balancerEndpoint
	var value balancerOrigin
	it := b.objs.Origins.Iterate()
	for it.Next(&key, &value) {
		if value.Direct != 0 {
			direct[value.Id] = fromEndpoint(key)
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("list origins: %w", err)
	}
	return direct, nil
}

// ClearDirect tells the program that no entry of a direct client of this
// origin is left, so that replies need not ask for one.
func (b *Balancer) ClearDirect(key dataplane.OriginKey) error {
	k := toEndpoint(key)
	var o balancerOrigin
	if err := b.objs.Origins.Lookup(&k, &o); err != nil {
		return fmt.Errorf("read origin %s: %w", key, err)
	}
	o.Direct = 0
	if err := b.objs.Origins.Put(&k, &o); err != nil {
		return fmt.Errorf("write origin %s: %w", key, err)
	}
	return nil
}

// PutBackends adds or replaces backends by their id. While one changes it has
// no next hop, so that no packet leaves with half of an address: the kernel
// forwards meanwhile.
func (b *Balancer) PutBackends(backends []dataplane.Backend) error {
	for _, be := range backends {
		if be.ID == 0 || int(be.ID) >= len(b.backends) {
			return fmt.Errorf("write backend %d: %w", be.ID, ErrNoSpace)
		}
	}
	for _, be := range backends {
		at, next := &b.backends[be.ID], toBackend(be)
		kind, alive := next.Next.Kind, next.Alive
		next.Next.Kind, next.Alive = 0, at.Alive
		storeByte(&at.Next.Kind, 0)
		*at = next
		storeByte(&at.Next.Kind, kind)
		storeByte(&at.Alive, alive)
	}
	return nil
}

// storeByte stores after everything before it, as seen by other CPUs.
func storeByte(p *uint8, v uint8) {
	word := (*uint32)(unsafe.Pointer(uintptr(unsafe.Pointer(p)) &^ 3))
	shift := (uintptr(unsafe.Pointer(p)) & 3) * 8
	old := atomic.LoadUint32(word)
	atomic.StoreUint32(word, old&^(0xff<<shift)|uint32(v)<<shift)
}

// PutRoutes adds or replaces routes: prefix to next hop.
func (b *Balancer) PutRoutes(routes map[netip.Prefix]dataplane.NextHop) error {
	keys := make([]balancerRouteKey, 0, len(routes))
	values := make([]balancerNextHop, 0, len(routes))
	for p, n := range routes {
		keys, values = append(keys, toRouteKey(p)), append(values, toNextHop(n))
	}
	return putAll(b.objs.Routes, "routes", keys, values)
}

// DeleteRoutes removes routes; missing ones are no error.
func (b *Balancer) DeleteRoutes(prefixes []netip.Prefix) error {
	return deleteAll(b.objs.Routes, "routes", convert(prefixes, toRouteKey))
}

// PutInterface tells the program about a device that carries it: frames that
// come in there for its MAC are looked at.
func (b *Balancer) PutInterface(i dataplane.Interface) error {
	if i.Ifindex > MaxIfindex {
		return fmt.Errorf("write interface %d: ifindex above %d: %w", i.Ifindex, MaxIfindex, ErrNoSpace)
	}
	value := toInterface(i)
	if err := b.objs.Interfaces.Put(i.Ifindex, &value); err != nil {
		return fmt.Errorf("write interface %d: %w", i.Ifindex, err)
	}
	return nil
}

// DeleteInterface makes the program pass what comes in by a device.
func (b *Balancer) DeleteInterface(ifindex uint32) error {
	return b.PutInterface(dataplane.Interface{Ifindex: ifindex})
}

func convert[A, B any](from []A, f func(A) B) []B {
	to := make([]B, len(from))
	for i := range from {
		to[i] = f(from[i])
	}
	return to
}
