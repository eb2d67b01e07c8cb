package dataplane

import (
	"encoding/binary"
	"net/netip"
)

// Multipliers with well spread bits: the 64-bit golden ratio and two primes
// used by common mixers. The same numbers stand in bpf/hash.h.
const (
	hashK0 = 0x9e3779b97f4a7c15
	hashK1 = 0xc2b2ae3d27d4eb4f
	hashK2 = 0x165667b19e3779f9
)

// FlowHash returns the hash that picks a flow's ring slot; see Index. client
// and vip are of one family. It is the same on every box and every run, so
// two boxes with one config agree, and it equals flow_hash in bpf/hash.h.
func FlowHash(client netip.AddrPort, vip ServiceKey) uint64 {
	ports := uint64(client.Port()) | uint64(vip.Port)<<16 | uint64(vip.Proto)<<32
	if client.Addr().Is4() {
		c, v := client.Addr().As4(), vip.Addr.As4()
		w := uint64(binary.LittleEndian.Uint32(c[:])) | uint64(binary.LittleEndian.Uint32(v[:]))<<32
		return hashFinish(hashMix(ports*hashK0, w))
	}
	c, v := client.Addr().As16(), vip.Addr.As16()
	h := hashMix(ports*hashK0, binary.LittleEndian.Uint64(c[:8]))
	h = hashMix(h, binary.LittleEndian.Uint64(c[8:]))
	h = hashMix(h, binary.LittleEndian.Uint64(v[:8]))
	h = hashMix(h, binary.LittleEndian.Uint64(v[8:]))
	return hashFinish(h)
}

// TableHash returns the hash that places a flow in the flow table: the
// client and the scope (see FlowScope). It equals table_hash in bpf/hash.h.
func TableHash(client netip.AddrPort, scope uint32) uint64 {
	c := client.Addr().As16()
	h := hashMix((uint64(client.Port())|uint64(scope)<<16)*hashK0, binary.LittleEndian.Uint64(c[:8]))
	h = hashMix(h, binary.LittleEndian.Uint64(c[8:]))
	return hashFinish(h)
}

func hashMix(h, word uint64) uint64 {
	h = (h ^ word) * hashK1
	return h ^ h>>32
}

func hashFinish(h uint64) uint64 {
	h ^= h >> 33
	h *= hashK2
	h ^= h >> 29
	h *= hashK1
	return h ^ h>>32
}
