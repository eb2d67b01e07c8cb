package config

import (
	"iter"
	"maps"
	"net/netip"
	"strings"

	"steelyard/dataplane"
)

// maxServiceKeys bounds the VIP:port/protocol triples of all services
// together, which grow with the product of two lists.
const maxServiceKeys = 1 << 16

// validator looks at how the values of a file go together. It looks up every
// name, and leaves in the file what it found.
type validator struct {
	r *report
	f *file

	interfaces map[string]*iface
	vips       map[string]*vip
	pools      map[string]*pool // by pools
	inline     map[string]*pool // by services
	// addrs says which VIP an address belongs to, and where that was said.
	addrs map[netip.Addr]vipAddr
}

type vipAddr struct {
	vip *vip
	at  where
}

// validate reports what contradicts itself, names nothing or is probably not
// meant.
func validate(r *report, f *file) {
	v := &validator{
		r: r, f: f,
		interfaces: map[string]*iface{}, vips: map[string]*vip{}, pools: map[string]*pool{}, inline: map[string]*pool{},
		addrs: map[netip.Addr]vipAddr{},
	}
	v.checkInterfaces()
	v.checkVIPs()
	v.indexPools()
	for _, s := range f.services {
		v.resolveVIP(s)
		v.resolvePool(s)
	}
	for _, p := range f.pools {
		v.checkPool(p)
	}
	v.checkServiceKeys()
	for _, s := range f.services {
		v.checkFamilies(s)
		if s.udpIdleAt.line > 0 && len(s.ports) > 0 && !s.proto(dataplane.UDP) {
			r.warnf(s.udpIdleAt, "", "without effect: the service has no UDP port")
		}
	}
	checkTrackNever(r, f)
	v.warnUnused()
}

func (v *validator) checkInterfaces() {
	if !v.f.interfacesGiven {
		v.r.errorf(v.f.interfacesAt, "name the devices that carry traffic, as in `interfaces: {eth0: {}}`", "no interfaces")
	}
	devices := map[string]*iface{}
	for _, i := range v.f.interfaces {
		v.interfaces[i.name] = i
		if i.device == "" {
			continue
		}
		if first, again := devices[i.device]; again {
			v.r.errorf(i.deviceAt, "", "interface %q (%s) has the device %s too", first.name, first.at, i.device)
			continue
		}
		devices[i.device] = i
	}
}

func (v *validator) checkVIPs() {
	for _, x := range v.f.vips {
		v.vips[x.name] = x
		for _, p := range x.addrs {
			if first, again := v.addrs[p.addr]; again {
				v.r.errorf(p.at, "", "%s belongs to VIP %q already, see %s", p.addr, first.vip.name, first.at)
				continue
			}
			v.addrs[p.addr] = vipAddr{x, p.at}
		}
		if _, ok := v.interfaces[x.iface.text]; x.iface.text != "" && !ok {
			v.undefined(x.iface, "interface", maps.Keys(v.interfaces))
		}
	}
}

// indexPools takes the named pools; those of services are only kept from
// having a name twice.
func (v *validator) indexPools() {
	for _, p := range v.f.pools {
		if !p.inline {
			v.pools[p.name] = p
		}
	}
	for _, p := range v.f.pools {
		if !p.inline {
			continue
		}
		v.inline[p.name] = p
		if named := v.pools[p.name]; named != nil {
			v.r.errorf(p.at, "rename one of them", "these backends make a pool %q, and there is one already (%s)", p.name, named.at)
		}
	}
}

// resolveVIP finds the addresses of a service.
func (v *validator) resolveVIP(s *service) {
	if s.vip.text == "" {
		return
	}
	if x := v.vips[s.vip.text]; x != nil {
		x.used = true
		s.vipName = x.name
		for _, p := range x.addrs {
			s.vips = append(s.vips, p.addr)
		}
		return
	}
	if !looksLikeAddr(s.vip.text) {
		v.undefined(s.vip, "VIP", maps.Keys(v.vips))
		return
	}
	addr, problem := parseAddr(s.vip.text)
	if problem != "" {
		v.r.errorf(s.vip.at, "", "%s", problem)
		return
	}
	s.vips, s.vipName = []netip.Addr{addr}, addr.String()
	known, ok := v.addrs[addr]
	if !ok {
		// The same literal in several services is one VIP, so it is
		// named after itself and not after any of them.
		x := &vip{name: addr.String(), at: s.vip.at, addrs: []place{{addr, s.vip.at}}}
		v.f.vips = append(v.f.vips, x)
		known = vipAddr{x, s.vip.at}
		v.addrs[addr] = known
	}
	known.vip.used = true
}

// looksLikeAddr is true for an address and for what was meant as one: no name
// has a colon or slash, or consists of digits and dots alone.
func looksLikeAddr(s string) bool {
	return strings.ContainsAny(s, ":/") || strings.Trim(s, "0123456789.") == ""
}

// resolvePool finds the pool of a service.
func (v *validator) resolvePool(s *service) {
	s.members = s.inline
	if s.pool.text != "" {
		s.members = v.pools[s.pool.text]
		if s.members == nil {
			v.undefinedPool(s.pool)
		}
	}
	if s.members != nil {
		s.members.used = true
	}
}

// undefinedPool explains, before it guesses, that the backends of a service
// are its own.
func (v *validator) undefinedPool(name ref) {
	if p := v.inline[name.text]; p != nil {
		v.r.errorf(name.at, "move them to `pools` to share them", "the backends of service %q are its own (%s)", p.name, p.at)
		return
	}
	v.undefined(name, "pool", maps.Keys(v.pools))
}

// undefined reports a name that nothing has.
func (v *validator) undefined(name ref, what string, known iter.Seq[string]) {
	v.r.errorf(name.at, v.r.suggest(name.text, known), "no %s named %s", what, quote(name.text))
}

// checkPool reports what is wrong with the backends of one pool.
func (v *validator) checkPool(p *pool) {
	addrs := make(map[netip.AddrPort]where, len(p.backends))
	names := make(map[string]where, len(p.backends))
	for _, b := range p.backends {
		if first, again := addrs[b.addr]; again {
			v.r.errorf(b.addrAt, "", "backend %s twice in pool %q, first at %s", b.addr, p.name, first)
		} else {
			addrs[b.addr] = b.addrAt
		}
		if first, again := names[b.name]; again && b.name != "" {
			v.r.errorf(b.nameAt, "", "backend name %q twice in pool %q, first at %s", b.name, p.name, first)
		} else {
			names[b.name] = b.nameAt
		}
		if vip, ok := v.addrs[b.addr.Addr()]; ok {
			v.r.errorf(b.addrAt, "a backend needs an address of its own", "%s is the address of VIP %q (%s)", b.addr.Addr(), vip.vip.name, vip.at)
		}
	}
	weights := map[bool]int{} // by family: true is IPv4
	for _, b := range p.backends {
		weights[b.addr.Addr().Is4()] += b.weight
	}
	_, p.has4 = weights[true]
	_, p.has6 = weights[false]
	if !p.complete {
		return
	}
	if len(p.backends) == 0 {
		v.r.warnf(p.at, "", "pool %q has no backends: its services drop everything", p.name)
	}
	for _, is4 := range []bool{true, false} {
		if weight, any := weights[is4]; any && weight == 0 {
			v.r.warnf(p.at, "", "every %s backend of pool %q has weight 0: no new flows", family(is4), p.name)
		}
	}
}

func (v *validator) warnUnused() {
	if len(v.f.services) == 0 {
		v.r.warnf(v.f.servicesAt, "", "no services: nothing is balanced")
	}
	for _, x := range v.f.vips {
		if !x.used {
			v.r.warnf(x.at, "", "VIP %q is not used by any service", x.name)
		}
	}
	for _, p := range v.f.pools {
		if !p.used {
			v.r.warnf(p.at, "", "pool %q is not used by any service", p.name)
		}
	}
}
