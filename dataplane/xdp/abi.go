package xdp

import (
	"net/netip"

	"steelyard/dataplane"
)

// This file is the only one that knows both forms of the vocabulary: the
// human one of package dataplane and the kernel's of bpf/abi.h.

// toAddr returns the kernel form of an address: IPv4 is mapped.
func toAddr(a netip.Addr) (k balancerAddr) {
	if a.IsValid() {
		k.Octets = a.As16()
	}
	return k
}

func fromAddr(k balancerAddr) netip.Addr {
	return netip.AddrFrom16(k.Octets).Unmap()
}

// swap16 turns host into network byte order and back; the object is built for
// little-endian machines only.
func swap16(v uint16) uint16 { return v<<8 | v>>8 }

func flag(v bool) uint8 {
	if v {
		return 1
	}
	return 0
}

func toEndpoint(k dataplane.ServiceKey) balancerEndpoint {
	return balancerEndpoint{Addr: toAddr(k.Addr), PortBe: swap16(k.Port), Proto: uint8(k.Proto)}
}

func fromEndpoint(k balancerEndpoint) dataplane.ServiceKey {
	return dataplane.ServiceKey{Addr: fromAddr(k.Addr), Port: swap16(k.PortBe), Proto: dataplane.Protocol(k.Proto)}
}

func toService(s dataplane.Service) balancerService {
	return balancerService{
		Id:            uint32(s.ID),
		Ring:          uint32(s.Ring),
		IdleTicks:     dataplane.Ticks(s.Idle),
		Mode:          uint8(s.Mode),
		Track:         uint8(s.Track),
		SharedReplies: flag(s.SharedReplies),
	}
}

func toOrigin(o dataplane.Origin) balancerOrigin {
	return balancerOrigin{
		Vip:       toAddr(o.Service.Addr),
		VipPortBe: swap16(o.Service.Port),
		Shared:    flag(o.Shared),
		Id:        o.ID,
		Service:   uint32(o.ServiceID),
		Backend:   uint32(o.Backend),
		IdleTicks: dataplane.Ticks(o.Idle),
	}
}

func toNextHop(n dataplane.NextHop) balancerNextHop {
	return balancerNextHop{
		Ifindex: n.Ifindex,
		Vlan:    n.VLAN,
		Mtu:     n.MTU,
		Dst:     n.Dst,
		Src:     n.Src,
		Kind:    uint8(n.Kind),
	}
}

func toBackend(b dataplane.Backend) balancerBackend {
	return balancerBackend{
		Addr:   toAddr(b.Addr.Addr()),
		Next:   toNextHop(b.Next),
		PortBe: swap16(b.Addr.Port()),
		Alive:  flag(b.Alive),
	}
}

func toSlot(s dataplane.Slot) balancerSlot {
	k := balancerSlot{Current: uint32(s.Current), Settled: uint32(s.Settled)}
	if s.Ask {
		k.Settled |= slotAsk
	}
	return k
}

func toInterface(i dataplane.Interface) balancerInterface {
	return balancerInterface{
		Mac:      i.MAC,
		HasAddr4: flag(i.Addr4.IsValid()),
		HasAddr6: flag(i.Addr6.IsValid()),
		Addr4:    toAddr(i.Addr4),
		Addr6:    toAddr(i.Addr6),
	}
}

// toRouteKey returns the key of a prefix; IPv4 prefixes are mapped too.
func toRouteKey(p netip.Prefix) balancerRouteKey {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return balancerRouteKey{Prefixlen: uint32(bits), Addr: toAddr(p.Masked().Addr())}
}

// fromFlow returns the human form of an entry; left is computed by the caller.
func fromFlow(k *balancerFlow) dataplane.Flow {
	f := dataplane.Flow{
		Client: netip.AddrPortFrom(fromAddr(k.Client), swap16(k.ClientPortBe)),
		State:  dataplane.FlowState(k.State),
	}
	switch {
	case k.Scope&dataplane.ScopeDirect != 0:
		f.Kind, f.Origin = dataplane.FlowDirect, k.Scope&^dataplane.ScopeDirect
	case k.Scope&dataplane.ScopeReply != 0:
		f.Kind, f.Origin = dataplane.FlowReply, k.Scope&^dataplane.ScopeReply
		f.Service = dataplane.ServiceID(k.Value)
	default:
		f.Kind, f.Service = dataplane.FlowService, dataplane.ServiceID(k.Scope)
		f.Backend = dataplane.BackendID(k.Value)
	}
	return f
}

func fromCount(k balancerCount) dataplane.Count {
	return dataplane.Count{Packets: k.Packets, Bytes: k.Bytes}
}
