package vip

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// staleUse is how often a neighbour is confirmed that the kernel has
	// no recent word of: packets that bypass the kernel confirm nothing.
	staleUse = 20 * time.Second
	// Between questions for a neighbour that does not answer.
	minRetry = time.Second
	maxRetry = 10 * time.Second
)

// hopsToKeep returns the neighbours that must stay resolved: the gateways of
// all routes that the packet path can use, and those on the way to addrs.
// Those behind other devices are the kernel's own business.
func hopsToKeep(v *view, addrs []netip.Addr) map[hop]bool {
	keep := make(map[hop]bool)
	add := func(h hop) {
		if v.egress[h.ifindex].ok {
			keep[h] = true
		}
	}
	for _, w := range v.ways.list {
		if w.kind == wayGateway {
			add(hop{w.oif, w.gw})
		}
	}
	for _, addr := range addrs {
		if isPerLink(netip.PrefixFrom(addr, addr.BitLen())) {
			continue
		}
		if w := v.ways.lookup(addr); w != nil && w.kind == wayDirect {
			add(hop{w.oif, addr})
		}
	}
	return keep
}

// prober decides when the kernel is asked to look for a neighbour. It knows no
// clock and no socket.
type prober struct {
	probes map[hop]*probe
}

type probe struct {
	lastUse time.Time     // zero: never
	retry   time.Duration // wait after lastUse while unresolved; 0 = at once
}

func newProber() *prober { return &prober{probes: make(map[hop]*probe)} }

// plan returns the neighbours to ask for now and the time until the next call
// at the latest; 0 means that nothing is due until the state changes.
func (p *prober) plan(now time.Time, v *view, addrs []netip.Addr) (use []hop, again time.Duration) {
	keep := hopsToKeep(v, addrs)
	for h := range p.probes {
		if !keep[h] {
			delete(p.probes, h)
		}
	}
	for h := range keep {
		pr := p.probes[h]
		if pr == nil {
			pr = &probe{}
			p.probes[h] = pr
		}
		wait, due := pr.next(now, v.neighs[h].state)
		if due {
			use = append(use, h)
		}
		if wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
	}
	return use, again
}

// next says whether the neighbour is to be asked for now, and how long from now
// it may be necessary again; 0 = not while it stays in that state.
func (pr *probe) next(now time.Time, state uint16) (wait time.Duration, due bool) {
	switch {
	case state&netlink.NUD_STALE != 0:
		pr.retry = 0
		if wait := pr.lastUse.Add(staleUse).Sub(now); wait > 0 {
			return wait, false
		}
		pr.lastUse = now
		return staleUse, true
	case state&usableStates != 0:
		pr.retry = 0
		return 0, false
	case state&netlink.NUD_INCOMPLETE != 0:
		// The kernel is asking already, and will say how it went.
		return minRetry, false
	}
	if wait := pr.lastUse.Add(pr.retry).Sub(now); pr.retry > 0 && wait > 0 {
		return wait, false
	}
	pr.lastUse = now
	pr.retry = min(max(minRetry, 2*pr.retry), maxRetry)
	return pr.retry, true
}
