package config

import (
	"net/netip"
	"strconv"
	"strings"

	"steelyard/control/model"
	"steelyard/dataplane"
)

func (d *decoder) vips(v value) {
	for _, it := range d.named(v) {
		x := &vip{name: it.key, at: it.keyAt}
		if _, err := netip.ParseAddr(x.name); err == nil {
			d.r.errorf(x.at, "`vip: "+x.name+"` in a service needs no entry in vips", "a VIP's name must not be an address")
		}
		given := false
		for _, it := range d.fields(it.value, "vips.NAME") {
			switch it.key {
			case "addresses":
				given = true
				d.addresses(it.value, x)
			case "interface":
				x.iface.at = it.value.at
				x.iface.text, _ = d.name(it.value, "the name of an interface")
			}
		}
		if !given && isOpen(it.value) {
			d.r.errorf(x.at, "", "`addresses` is missing")
		}
		d.f.vips = append(d.f.vips, x)
	}
}

func (d *decoder) addresses(v value, x *vip) {
	before := len(d.r.errors)
	list := d.items(v, "a list of addresses, for example [203.0.113.53]")
	if len(list) == 0 && len(d.r.errors) == before {
		d.r.errorf(v.at, "", "no addresses")
	}
	if len(list) > maxAddresses {
		d.r.errorf(v.at, "", "%d addresses; at most %d", len(list), maxAddresses)
		list = nil
	}
	for _, it := range list {
		text, ok := d.text(it, "an address")
		if !ok {
			continue
		}
		addr, problem := parseAddr(text)
		if problem != "" {
			d.r.errorf(it.at, "", "%s", problem)
			continue
		}
		x.addrs = append(x.addrs, place{addr, it.at})
	}
}

func (d *decoder) pools(v value) {
	for _, it := range d.named(v) {
		p := &pool{name: it.key, at: it.keyAt}
		given := false
		for _, it := range d.fields(it.value, "pools.NAME") { // backends is the only key
			given = true
			d.backends(it.value, p)
		}
		if !given && isOpen(it.value) {
			d.r.errorf(p.at, "", "`backends` is missing")
		}
		d.f.pools = append(d.f.pools, p)
	}
}

func (d *decoder) backends(v value, p *pool) {
	before := len(d.r.errors)
	for _, it := range d.items(v, "a list of backends, for example [10.20.0.11:53]") {
		b := backend{weight: 1}
		if isScalar(it.node) {
			d.backendAddress(it, &b)
		} else {
			d.backendFields(it, &b)
		}
		if b.addr.IsValid() {
			p.backends = append(p.backends, b)
		}
	}
	p.complete = len(d.r.errors) == before
}

func (d *decoder) backendFields(v value, b *backend) {
	before, given := len(d.r.errors), false
	for _, it := range d.fields(v, "pools.NAME.backends") {
		switch it.key {
		case "name":
			b.nameAt = it.value.at
			if name, ok := d.name(it.value, "a name"); ok && d.checkName(name, it.value.at) {
				b.name = name
			}
		case "address":
			given = true
			d.backendAddress(it.value, b)
		case "weight":
			if n, ok := d.number(it.value, 0, maxWeight); ok {
				b.weight = n
			}
		}
	}
	if !given && len(d.r.errors) == before {
		d.r.errorf(v.at, "", "`address` is missing")
	}
}

func (d *decoder) backendAddress(v value, b *backend) {
	if text, ok := d.text(v, "address:port, for example 10.20.0.11:53"); ok {
		addr, problem, hint := parseAddrPort(text)
		if problem != "" {
			d.r.errorf(v.at, hint, "%s", problem)
			return
		}
		b.addr, b.addrAt = addr, v.at
	}
}

func (d *decoder) services(v value) {
	for _, it := range d.named(v) {
		s := &service{name: it.key, at: it.keyAt, mode: dataplane.ModeNAT}
		d.service(s, it.value)
		d.f.services = append(d.f.services, s)
	}
}

func (d *decoder) service(s *service, v value) {
	if !isOpen(v) {
		d.unexpected(v, aMapping)
		return
	}
	refused, seen := d.r.refused, map[string]field{}
	for _, it := range d.fields(v, "services.NAME") {
		seen[it.key] = it
		d.serviceField(s, it)
	}
	for _, key := range []string{"vip", "ports"} {
		if _, ok := seen[key]; !ok {
			d.r.errorf(s.at, "", "`%s` is missing", key)
		}
	}
	_, named := seen["pool"]
	inline, own := seen["backends"]
	switch {
	case named && own:
		d.r.errorf(inline.value.at, "keep one of them", "both `pool` and `backends`")
		s.pool, s.inline = ref{}, nil
	case !named && !own && d.r.refused == refused:
		// A service that uses what is not built may well need no pool.
		d.r.errorf(s.at, "", "`pool` (or `backends`) is missing")
	}
	if s.inline != nil {
		d.f.pools = append(d.f.pools, s.inline)
	}
}

func (d *decoder) serviceField(s *service, it field) {
	switch it.key {
	case "vip":
		s.vip.at = it.value.at
		s.vip.text, _ = d.name(it.value, "the name of a VIP or an address")
	case "ports":
		d.ports(it.value, s)
	case "pool":
		s.pool.at = it.value.at
		s.pool.text, _ = d.name(it.value, "the name of a pool")
	case "backends":
		s.inline = &pool{name: s.name, at: it.keyAt, inline: true}
		s.inline.at.path = it.value.at.path
		d.backends(it.value, s.inline)
	case "track":
		s.trackAt = it.value.at
		if word, ok := d.word(it.value, "services.NAME.track"); ok {
			s.track = map[string]dataplane.Track{
				"moved": dataplane.TrackMoved, "always": dataplane.TrackAlways, "never": dataplane.TrackNever,
			}[word]
		}
	case "udp":
		for _, it := range d.fields(it.value, "services.NAME.udp") { // idle is the only key
			s.udpIdleAt = it.value.at
			d.idle(it.value, &s.udpIdle)
		}
	case "mode", "scheduler", "hash", "no_backend":
		// One word of each is built, and it is the default.
		d.word(it.value, "services.NAME."+it.key)
	}
}

func (d *decoder) ports(v value, s *service) {
	before := len(d.r.errors)
	list := d.items(v, "a list of ports, for example [53/udp, 53/tcp]")
	if len(list) == 0 && len(d.r.errors) == before {
		d.r.errorf(v.at, "", "no ports")
	}
	if len(list) > maxPorts {
		d.r.errorf(v.at, "", "%d ports; at most %d", len(list), maxPorts)
		list = nil
	}
	first := map[model.Port]where{}
	for _, it := range list {
		port, ok := d.port(it)
		if !ok {
			continue
		}
		if at, again := first[port]; again {
			d.r.errorf(it.at, "", "port %d/%s twice, first at %s", port.Port, port.Proto, at)
			continue
		}
		first[port] = it.at
		s.ports = append(s.ports, portAt{port, it.at})
	}
}

func (d *decoder) port(v value) (model.Port, bool) {
	text, ok := d.text(v, "port/protocol, for example 53/udp")
	if !ok {
		return model.Port{}, false
	}
	number, proto, both := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	known := values["services.NAME.ports"]
	protos := map[string]dataplane.Protocol{"tcp": dataplane.TCP, "udp": dataplane.UDP}
	switch {
	case err != nil || !wholeNumber.MatchString(number):
		d.r.errorf(v.at, "", "expected port/protocol, for example 53/udp, found %s", quote(text))
	case n == 0:
		d.r.errorf(v.at, "ports are 1 to 65535", "port 0 cannot be used")
	case !both:
		d.r.errorf(v.at, "say the protocol, for example "+number+"/udp", "a port without protocol")
	case protos[proto] == 0:
		d.r.errorf(v.at, d.r.suggest(proto, known.all()), "%s, found %s", known.expected(), quote(proto))
	default:
		return model.Port{Port: uint16(n), Proto: protos[proto]}, true
	}
	return model.Port{}, false
}
