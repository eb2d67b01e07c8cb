package packet

import (
	"math/rand"
	"net/netip"

	"steelyard/dataplane"
)

// randomError makes an ICMP error about a packet of a flow, from the one it
// went to or a router on the way: about a client's to a backend as the backend
// saw it, or about a reply as the client saw it; sometimes about one that no
// box has sent, or told to somebody else.
func randomError(rng *rand.Rand, w World) []Layer {
	var about ends
	switch n := rng.Intn(10); {
	case n < 4:
		o := pick(rng, w.Origins)
		about = ends{randomClient(rng, w, o.Addr), at(o), o.Proto}
	case n < 8:
		s := pick(rng, w.Services)
		about = ends{at(s), randomClient(rng, w, s.Addr), s.Proto}
	default:
		from := netip.AddrPortFrom(pick(rng, w.VIPs), pick(rng, w.Ports))
		about = ends{from, randomClient(rng, w, from.Addr()), randomProtocol(rng)}
	}
	from, to := about.to.Addr(), about.from.Addr()
	switch rng.Intn(8) {
	case 0, 1, 2:
		from = randomClient(rng, w, from).Addr()
	case 3:
		to = randomClient(rng, w, to).Addr()
	}
	ip := randomIP(rng, from, to)
	if rng.Intn(4) > 0 {
		ip.Fragment = nil
	}
	out := append([]Layer{ip}, randomExtensions(rng, ip)...)
	return append(out, randomErrorType(rng, ip), randomQuote(rng, about))
}

func randomErrorType(rng *rand.Rand, ip IP) ICMP {
	kinds := []uint8{3, 3, 11, 12, 4, 5, 8, 0}
	if !ip.Src.Is4() {
		kinds = []uint8{1, 2, 3, 4, 1, 2, 3, 4, 0, 5, 128}
	}
	return ICMP{Type: pick(rng, kinds), Code: uint8(rng.Intn(16)), Rest: rng.Uint32()}
}

// randomQuote is what a router quotes of a packet that got so far: all of it,
// or as little as RFC 792 asks for, or less.
func randomQuote(rng *rand.Rand, about ends) Bytes {
	ls := randomTransport(rng, about)
	ls[len(ls)-1] = Payload(rng.Intn(80))
	if about.proto == dataplane.TCP && rng.Intn(12) == 0 {
		ls[len(ls)-2] = ICMP{Type: 8}
	}
	quote := Build(append([]Layer{Ether{}}, ls...)...)[etherLen:]
	headers := 40
	if about.from.Addr().Is4() {
		headers = int(quote[0]&0xf) * 4
	}
	switch rng.Intn(4) {
	case 0:
		quote = quote[:min(len(quote), headers+8)]
	case 1:
		quote = quote[:min(len(quote), headers+rng.Intn(24))]
	}
	if rng.Intn(10) == 0 {
		return quote[:rng.Intn(len(quote)+1)]
	}
	return quote
}
