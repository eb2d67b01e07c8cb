package reconcile

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// Idle times of the snapshots in tests.
const (
	tcpIdle = 60 * time.Second
	udpIdle = 20 * time.Second
)

// want reads a snapshot from lines like these:
//
//	interface wan eth0 [native|generic]
//	vip 203.0.113.1 [wan]
//	pool web 10.0.0.1:80 10.0.0.2:80*3
//	service web 203.0.113.1,203.0.113.2 80/tcp,53/udp web [always|never]
//
// A weight follows the star.
func want(text string) *model.Snapshot {
	s := &model.Snapshot{Node: "gw", Flows: model.Flows{TCPEstablished: tcpIdle, UDPIdle: udpIdle}}
	for f := range sentences(text) {
		switch f[0] {
		case "interface":
			s.Interfaces = append(s.Interfaces, model.Interface{Name: f[1], Device: f[2], XDP: cmp.Or(model.XDPMode(f[3]), model.XDPAuto)})
		case "vip":
			s.VIPs = append(s.VIPs, model.VIP{Name: f[1], Addr: netip.MustParseAddr(f[1]), Interface: f[2]})
		case "pool":
			s.Pools = append(s.Pools, poolOf(f[1], f[2:]))
		case "service":
			s.Services = append(s.Services, serviceOf(f))
		default:
			panic("unknown word " + f[0])
		}
	}
	slices.SortFunc(s.Services, func(a, b model.Service) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// sentences yields the words of each line, with empty ones behind them.
func sentences(text string) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 0 && !yield(append(f, "", "", "", "")) {
				return
			}
		}
	}
}

func poolOf(name string, backends []string) model.Pool {
	p := model.Pool{Name: name}
	for _, text := range backends {
		if text == "" {
			continue
		}
		addr, weight, weighted := strings.Cut(text, "*")
		b := model.Backend{Name: addr, Addr: netip.MustParseAddrPort(addr), Weight: 1}
		if weighted {
			b.Weight = number(weight)
		}
		p.Backends = append(p.Backends, b)
	}
	return p
}

func serviceOf(f []string) model.Service {
	s := model.Service{Name: f[1], Mode: dataplane.ModeNAT, Pool: f[4], UDPIdle: udpIdle}
	for _, addr := range strings.Split(f[2], ",") {
		s.VIPs = append(s.VIPs, netip.MustParseAddr(addr))
	}
	for _, port := range strings.Split(f[3], ",") {
		key := keyOf("0.0.0.0:" + port)
		s.Ports = append(s.Ports, model.Port{Port: key.Port, Proto: key.Proto})
	}
	s.Track = map[string]dataplane.Track{"always": dataplane.TrackAlways, "never": dataplane.TrackNever}[f[5]]
	return s
}

// keyOf reads "203.0.113.1:80/tcp".
func keyOf(text string) dataplane.ServiceKey {
	addr, proto, _ := strings.Cut(text, "/")
	at := netip.MustParseAddrPort(addr)
	return dataplane.ServiceKey{Addr: at.Addr(), Port: at.Port(), Proto: map[string]dataplane.Protocol{"tcp": dataplane.TCP, "udp": dataplane.UDP}[proto]}
}

// machine reads a topology from lines like these:
//
//	link 2 eth0 203.0.113.2/24
//	vlan 4 eth0.7 7 on 2 198.51.100.2/24
//	next 10.0.0.1/32 by 3 [tagged 7]
//	local 203.0.113.2
//	unknown 10.0.0.0/24
func machine(text string) model.Topology {
	var t model.Topology
	for f := range sentences(text) {
		switch f[0] {
		case "link":
			index := uint32(number(f[1]))
			t.Links = append(t.Links, model.Link{Index: index, Name: f[2], MAC: macOf(index), Up: true, MTU: 1500, Addrs: prefixes(f[3:]), Physical: index})
		case "vlan":
			t.Links = append(t.Links, model.Link{
				Index: uint32(number(f[1])), Name: f[2], MAC: macOf(uint32(number(f[5]))), Up: true, MTU: 1500,
				Addrs: prefixes(f[6:]), Physical: uint32(number(f[5])), VLAN: uint16(number(f[3])),
			})
		case "next":
			n := dataplane.NextHop{Kind: dataplane.NextHopNeighbor, Ifindex: uint32(number(f[3])), MTU: 1500, Dst: dataplane.MAC{2, 0xaa}}
			n.Src = macOf(n.Ifindex)
			if f[4] == "tagged" {
				n.VLAN = uint16(number(f[5]))
			}
			t.Routes = append(t.Routes, model.Route{Prefix: netip.MustParsePrefix(f[1]), Next: n})
		case "local":
			addr := netip.MustParseAddr(f[1])
			t.Routes = append(t.Routes, model.Route{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Next: dataplane.NextHop{Kind: dataplane.NextHopLocal}})
		case "unknown":
			t.Routes = append(t.Routes, model.Route{Prefix: netip.MustParsePrefix(f[1])})
		default:
			panic("unknown word " + f[0])
		}
	}
	return t
}

func prefixes(texts []string) (list []netip.Prefix) {
	for _, text := range texts {
		if text != "" {
			list = append(list, netip.MustParsePrefix(text))
		}
	}
	return list
}

func macOf(index uint32) dataplane.MAC { return dataplane.MAC{2, 0, 0, 0, 0, byte(index)} }

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(fmt.Sprintf("not a number: %q", text))
	}
	return n
}
