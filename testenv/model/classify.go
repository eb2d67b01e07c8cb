package model

import "steelyard/dataplane"

// classify says what a packet is about: a service, an origin, or, with any
// other verdict than VerdictContinue, neither.
func (b *Box) classify(p *packet) (dataplane.Verdict, *dataplane.Service, *dataplane.Origin) {
	switch {
	case p.trouble == dataplane.PassNotOurs:
		return p.trouble, nil, nil
	case p.trouble != dataplane.VerdictContinue:
		return b.onlyForVIP(p, p.trouble), nil, nil
	case !p.ports():
		return b.onlyForVIP(p, dataplane.PassLocal), nil, nil
	}
	to := dataplane.ServiceKey{Addr: p.dst.Addr(), Port: p.dst.Port(), Proto: dataplane.Protocol(p.proto)}
	from := dataplane.OriginKey{Addr: p.src.Addr(), Port: p.src.Port(), Proto: dataplane.Protocol(p.proto)}
	service, isService := b.Services[to]
	origin, isReply := b.Origins[from]
	addressed, isDirect := b.Origins[to]
	switch {
	case !b.addressedToUs(p):
		return dataplane.PassNotOurs, nil, nil
	case isService:
		return dataplane.VerdictContinue, &service, nil
	case isReply:
		return dataplane.VerdictContinue, nil, &origin
	case b.VIPs[p.dst.Addr()]:
		return b.bareVIP(p), nil, nil
	case isDirect && !addressed.Shared:
		b.noteDirect(p, addressed)
	}
	return dataplane.PassNotOurs, nil, nil
}

// onlyForVIP is verdict for what is addressed to a VIP of this box. Anything
// else is not ours to judge.
func (b *Box) onlyForVIP(p *packet, verdict dataplane.Verdict) dataplane.Verdict {
	if b.VIPs[p.dst.Addr()] && b.addressedToUs(p) {
		return verdict
	}
	return dataplane.PassNotOurs
}

// bareVIP judges a packet for a VIP's port that no service has.
func (b *Box) bareVIP(p *packet) dataplane.Verdict {
	if b.Listens != nil && b.Listens(dataplane.Protocol(p.proto), p.dst, p.src) {
		return dataplane.PassLocal
	}
	return dataplane.DropNoService
}

// addressedToUs says whether the frame's destination MAC is the one of the
// interface it came in by: switches flood frames for others too.
func (b *Box) addressedToUs(p *packet) bool {
	in, ok := b.Interfaces[p.ifindex]
	return ok && dataplane.MAC(p.frame[:macLen]) == in.MAC
}

// noteDirect remembers that a client speaks to a backend's own address, so
// that the replies are left alone.
func (b *Box) noteDirect(p *packet, o dataplane.Origin) {
	b.direct[o.ID] = true
	scope, idle := dataplane.ScopeDirect|o.ID, dataplane.Ticks(o.Idle)
	if f := b.liveFlow(p.src, scope); f != nil {
		b.refresh(f, p, idle)
		return
	}
	b.remember(p, scope, 0, idle)
}
