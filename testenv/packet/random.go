package packet

import (
	"math/rand"
	"net/netip"
	"slices"

	"steelyard/dataplane"
)

// World is what random packets are aimed at. Addresses of both families may
// stand side by side; Random keeps to one family within a packet.
type World struct {
	MACs     []dataplane.MAC // of the box
	Foreign  []dataplane.MAC // of others, and the broadcast address
	VLANs    []uint16
	Services []dataplane.ServiceKey
	VIPs     []netip.Addr // with and without services
	Origins  []dataplane.OriginKey
	Clients  []netip.Addr // few, so that flows have many packets
	Ports    []uint16     // of clients, and of VIPs without a service
	Locals   []netip.Addr // the box's own
}

// Random makes one well-formed frame: mostly clients' packets to services and
// backends' replies, the rest everything else that a box sees.
func Random(rng *rand.Rand, w World) []byte {
	ls := []Layer{Ether{Src: pick(rng, w.Foreign), Dst: randomDestination(rng, w)}}
	for range randomTags(rng) {
		ls = append(ls, Tag{ID: pick(rng, w.VLANs), Priority: uint8(rng.Intn(8)), Service: rng.Intn(4) == 0})
	}
	ls = append(ls, randomPacket(rng, w)...)
	if rng.Intn(8) == 0 {
		ls = append(ls, Pad(rng.Intn(40)))
	}
	return Build(ls...)
}

func randomDestination(rng *rand.Rand, w World) dataplane.MAC {
	if rng.Intn(24) == 0 {
		return pick(rng, w.Foreign)
	}
	return pick(rng, w.MACs)
}

func randomTags(rng *rand.Rand) int {
	switch n := rng.Intn(20); {
	case n < 14:
		return 0
	case n < 18:
		return 1
	case n < 19:
		return 2
	}
	return rng.Intn(4)
}

// ends are who speaks to whom.
type ends struct {
	from, to netip.AddrPort
	proto    dataplane.Protocol
}

func randomPacket(rng *rand.Rand, w World) []Layer {
	switch n := rng.Intn(100); {
	case n < 45:
		s := pick(rng, w.Services)
		return randomTransport(rng, ends{randomClient(rng, w, s.Addr), at(s), s.Proto})
	case n < 66:
		o := pick(rng, w.Origins)
		return randomTransport(rng, ends{at(o), randomClient(rng, w, o.Addr), o.Proto})
	case n < 72:
		o := pick(rng, w.Origins)
		return randomTransport(rng, ends{randomClient(rng, w, o.Addr), at(o), o.Proto})
	case n < 76:
		to := netip.AddrPortFrom(pick(rng, w.VIPs), pick(rng, w.Ports))
		return randomTransport(rng, ends{randomClient(rng, w, to.Addr()), to, randomProtocol(rng)})
	case n < 80:
		o, to := pick(rng, w.Origins), pick(rng, slices.Concat(w.VIPs, w.Locals))
		return randomTransport(rng, ends{at(o), netip.AddrPortFrom(sameFamily(rng, to, o.Addr, w.VIPs), pick(rng, w.Ports)), o.Proto})
	case n < 92:
		return randomError(rng, w)
	case n < 96:
		return randomPortless(rng, w)
	case n < 98:
		to := pick(rng, w.Clients)
		return randomTransport(rng, ends{randomClient(rng, w, to), netip.AddrPortFrom(to, pick(rng, w.Ports)), randomProtocol(rng)})
	}
	return []Layer{Bytes(pattern(rng.Intn(120)))}
}

func at(k dataplane.ServiceKey) netip.AddrPort { return netip.AddrPortFrom(k.Addr, k.Port) }

func randomClient(rng *rand.Rand, w World, like netip.Addr) netip.AddrPort {
	return netip.AddrPortFrom(sameFamily(rng, pick(rng, w.Clients), like, w.Clients), pick(rng, w.Ports))
}

// sameFamily returns addr, or another of choices where addr is not of like's
// family.
func sameFamily(rng *rand.Rand, addr, like netip.Addr, choices []netip.Addr) netip.Addr {
	for addr.Is4() != like.Is4() {
		addr = pick(rng, choices)
	}
	return addr
}

func randomProtocol(rng *rand.Rand) dataplane.Protocol {
	if rng.Intn(2) == 0 {
		return dataplane.TCP
	}
	return dataplane.UDP
}

func randomIP(rng *rand.Rand, src, dst netip.Addr) IP {
	ip := IP{Src: src, Dst: dst, TTL: 64, TOS: uint8(rng.Intn(256)), ID: uint16(rng.Intn(1 << 16)), DontFragment: rng.Intn(2) == 0}
	switch rng.Intn(20) {
	case 0:
		ip.TTL = uint8(1 + rng.Intn(3))
	case 1:
		ip.TTL = uint8(1 + rng.Intn(255))
	}
	if rng.Intn(12) == 0 {
		ip.Options = pattern(4 * (1 + rng.Intn(10)))
	}
	if rng.Intn(12) == 0 {
		ip.Fragment = randomFragment(rng)
	}
	return ip
}

// randomFragment is often one of a packet whose others are on their way.
func randomFragment(rng *rand.Rand) *Fragment {
	f := &Fragment{ID: uint16(rng.Intn(3)), More: rng.Intn(2) == 0}
	if rng.Intn(2) == 0 {
		f.Offset = uint16(1 + rng.Intn(200))
	} else if rng.Intn(6) > 0 {
		f.More = true // else it is atomic
	}
	return f
}

// randomExtensions are IPv6 extension headers, mostly none.
func randomExtensions(rng *rand.Rand, ip IP) (list []Layer) {
	if ip.Src.Is4() || rng.Intn(8) > 0 {
		return nil
	}
	kinds := []uint8{HopByHop, Destination, Routing, Authentication, Destination, FragmentHeader}
	for range 1 + rng.Intn(3)*rng.Intn(4) {
		x := Extension{Kind: pick(rng, kinds), Data: pattern(rng.Intn(30))}
		if rng.Intn(3) > 0 {
			x.Data = make([]byte, rng.Intn(12)) // an atomic fragment, no segments left
		}
		list = append(list, x)
	}
	return list
}

func randomTransport(rng *rand.Rand, e ends) []Layer {
	ip := randomIP(rng, e.from.Addr(), e.to.Addr())
	headers := append([]Layer{ip}, randomExtensions(rng, ip)...)
	if e.proto == dataplane.UDP {
		return append(headers, UDP{Src: e.from.Port(), Dst: e.to.Port(), NoChecksum: rng.Intn(10) == 0}, randomPayload(rng))
	}
	tcp := TCP{Src: e.from.Port(), Dst: e.to.Port(), Flags: randomFlags(rng), Seq: rng.Uint32(), Ack: rng.Uint32()}
	for range rng.Intn(2) * rng.Intn(10) {
		tcp.Options = append(tcp.Options, 2, 4, byte(rng.Intn(256)), byte(rng.Intn(256)))
	}
	return append(headers, tcp, randomPayload(rng))
}

func randomFlags(rng *rand.Rand) string {
	usual := []string{"S", "S", "SA", "A", "A", "A", "PA", "PA", "FA", "R", "RA"}
	if rng.Intn(20) > 0 {
		return pick(rng, usual)
	}
	var flags []byte
	for _, f := range []byte("FSRPAU") {
		if rng.Intn(2) == 0 {
			flags = append(flags, f)
		}
	}
	return string(flags)
}

func randomPayload(rng *rand.Rand) Layer {
	switch n := rng.Intn(20); {
	case n < 12:
		return Payload(rng.Intn(64))
	case n < 17:
		return Payload(rng.Intn(600))
	}
	return Payload(1100 + rng.Intn(500))
}

// randomPortless makes packets without ports: ICMP and other protocols.
func randomPortless(rng *rand.Rand, w World) []Layer {
	to := pick(rng, slices.Concat(w.VIPs, w.Locals))
	ip := randomIP(rng, randomClient(rng, w, to).Addr(), to)
	if rng.Intn(3) == 0 {
		// Whatever an extension header, a tunnel or the number of a real
		// protocol with nonsense in it may be.
		ip.Proto = pick(rng, []uint8{0, 4, 6, 17, 41, 43, 44, 47, 50, 60, 132, uint8(rng.Intn(256))})
		return []Layer{ip, randomPayload(rng)}
	}
	icmp := ICMP{Type: uint8(rng.Intn(256)), Code: uint8(rng.Intn(4)), Rest: rng.Uint32()}
	return append(append([]Layer{ip}, randomExtensions(rng, ip)...), icmp, randomPayload(rng))
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.Intn(len(from))] }
