package config

import (
	"net/netip"

	"steelyard/dataplane"
)

// checkServiceKeys reports two services on one VIP:port/protocol.
func (v *validator) checkServiceKeys() {
	type use struct {
		service *service
		at      where
	}
	keys := map[dataplane.ServiceKey]use{}
	for _, s := range v.f.services {
		for _, addr := range s.vips {
			if len(keys)+len(s.ports) > maxServiceKeys {
				v.r.errorf(s.at, "", "too many services: at most %d of VIP times ports", maxServiceKeys)
				return
			}
			for _, p := range s.ports {
				key := dataplane.ServiceKey{Addr: addr, Port: p.Port.Port, Proto: p.Proto}
				if first, taken := keys[key]; taken {
					if first.service != s { // else an address that is listed twice, which is reported
						v.r.errorf(p.at, "", "%s of service %q is taken by service %q (%s)", key, s.name, first.service.name, first.at)
					}
					continue
				}
				keys[key] = use{s, p.at}
			}
		}
	}
}

// checkFamilies reports a VIP none of whose packets could go anywhere.
func (v *validator) checkFamilies(s *service) {
	if s.members == nil || !s.members.complete || len(s.members.backends) == 0 {
		return
	}
	reported := map[bool]bool{}
	for _, addr := range s.vips {
		is4 := addr.Is4()
		if !s.members.has(is4) && !reported[is4] {
			v.r.errorf(s.vip.at, "", "VIP %q has the %s address %s, and pool %q has no %s backend",
				s.vipName, family(is4), addr, s.members.name, family(is4))
			reported[is4] = true
		}
	}
}

// origin is a backend as the source of replies.
type origin struct {
	addr  netip.AddrPort
	proto dataplane.Protocol
}

// team is a pool as used with one protocol in one family.
type team struct {
	pool  *pool
	proto dataplane.Protocol
	is4   bool
}

// users are the first two services that share something, in the order of the
// file; two are enough to find one that is not oneself.
type users [2]*service

func (u *users) add(s *service) {
	switch {
	case s == nil || u[0] == s || u[1] == s:
	case u[0] == nil:
		u[0] = s
	case u[1] == nil:
		u[1] = s
	}
}

func (u *users) other(s *service) *service {
	if u[0] != s {
		return u[0]
	}
	return u[1]
}

// checkTrackNever reports services without any flow state whose replies could
// be those of another VIP:port. It takes time in the number of backends and
// services, not in their product.
func checkTrackNever(r *report, f *file) {
	teams := map[team]*users{}
	for _, s := range f.services {
		for _, t := range s.teams() {
			if teams[t] == nil {
				teams[t] = &users{}
			}
			teams[t].add(s)
		}
	}
	origins := map[origin]*users{}
	for _, p := range f.pools {
		for _, b := range p.backends {
			for _, proto := range []dataplane.Protocol{dataplane.TCP, dataplane.UDP} {
				u := teams[team{p, proto, b.addr.Addr().Is4()}]
				if u == nil {
					continue
				}
				o := origin{b.addr, proto}
				if origins[o] == nil {
					origins[o] = &users{}
				}
				origins[o].add(u[0])
				origins[o].add(u[1])
			}
		}
	}
	for _, s := range f.services {
		if s.track == dataplane.TrackNever {
			checkReplies(r, s, origins)
		}
	}
}

// checkReplies reports the first backend of s whose replies are ambiguous.
func checkReplies(r *report, s *service, origins map[origin]*users) {
	const hint = "use `track: always`, or backend ports of their own"
	for _, t := range s.teams() {
		if keys := s.keys(t.proto, t.is4); keys > 1 {
			r.errorf(s.trackAt, hint, "service %q has %d pairs of VIP and %s port for the same %s backends: their replies are ambiguous",
				s.name, keys, t.proto, family(t.is4))
			return
		}
		for _, b := range t.pool.backends {
			if b.addr.Addr().Is4() != t.is4 {
				continue
			}
			if other := origins[origin{b.addr, t.proto}].other(s); other != nil {
				r.errorf(s.trackAt, hint, "backend %s/%s of service %q also serves service %q (%s): its replies are ambiguous",
					b.addr, t.proto, s.name, other.name, other.at)
				return
			}
		}
	}
}

// teams returns the pool of a service by protocol and family.
func (s *service) teams() []team {
	if s.members == nil {
		return nil
	}
	var list []team
	for _, proto := range []dataplane.Protocol{dataplane.TCP, dataplane.UDP} {
		for _, is4 := range []bool{true, false} {
			if s.keys(proto, is4) > 0 {
				list = append(list, team{s.members, proto, is4})
			}
		}
	}
	return list
}

// keys returns in how many ways a client can address the service.
func (s *service) keys(proto dataplane.Protocol, is4 bool) int {
	vips, ports := 0, 0
	for _, addr := range s.vips {
		if addr.Is4() == is4 {
			vips++
		}
	}
	for _, p := range s.ports {
		if p.Proto == proto {
			ports++
		}
	}
	return vips * ports
}
