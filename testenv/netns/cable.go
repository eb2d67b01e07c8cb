package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"steelyard/dataplane"
)

// bridgeName is the device that switches inside a switch's namespace.
const bridgeName = "br0"

// prepare gives a fresh namespace its settings and brings up its loopback.
func (s *space) prepare() error {
	if err := s.setSysctls(commonSysctls()); err != nil {
		return err
	}
	lo, err := s.nl.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	if err := s.nl.LinkSetUp(lo); err != nil {
		return fmt.Errorf("raise loopback: %w", err)
	}
	return nil
}

// cable connects the hosts. Devices carry packets before they get addresses,
// so that those are usable at once.
func (e *Env) cable(ctx context.Context, w World) error {
	for _, l := range w.Links {
		if err := plug(ctx, e.side(l.A), e.side(l.B), l.MTU); err != nil {
			return fmt.Errorf("cable %s/%s to %s/%s: %w", l.A.Host, l.A.Device, l.B.Host, l.B.Device, err)
		}
	}
	for _, s := range w.Switches {
		if err := e.addSwitch(ctx, s); err != nil {
			return fmt.Errorf("build switch %s: %w", s.Name, err)
		}
	}
	for _, end := range w.ends() {
		if err := e.hosts[end.Host].space.address(end); err != nil {
			return fmt.Errorf("address %s/%s: %w", end.Host, end.Device, err)
		}
	}
	return nil
}

// side is one end of a cable and the namespace it is plugged into.
type side struct {
	space *space
	end   End
	free  bool // for XDP programs of the caller
}

func (e *Env) side(end End) side {
	h := e.hosts[end.Host]
	return side{space: h.space, end: end, free: h.xdp}
}

// plug makes a veth pair between two namespaces and waits until both ends
// carry packets.
func plug(ctx context.Context, a, b side, mtu int) error {
	if mtu == 0 {
		mtu = defaultMTU
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = a.end.Device, mtu, hardwareAddr(a.end.MAC)
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerMTU = b.end.Device, uint32(mtu)
	veth.PeerHardwareAddr = hardwareAddr(b.end.MAC)
	veth.PeerNamespace = netlink.NsFd(b.space.handle)
	if err := a.space.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("make veth pair: %w", err)
	}
	a.space.veths = append(a.space.veths, veth)
	// Each step is for both ends before the next one: a veth that comes up
	// looks once whether its peer has GRO on, and refuses redirected frames
	// for good if it has not. A program takes offloads away from the peer,
	// which can then not be set, not even to off.
	for _, step := range []func(side) error{
		side.setOffloads,
		side.attachPass,
		func(s side) error { return s.space.raiseDevice(s.end.Device) },
		func(s side) error { return s.space.waitUp(ctx, s.end.Device) },
	} {
		if err := errors.Join(step(a), step(b)); err != nil {
			return err
		}
	}
	return nil
}

func (s side) setOffloads() error {
	return s.space.do(func() error { return setOffloads(s.end.Device) })
}

func (s side) attachPass() error {
	if s.free {
		return nil
	}
	return s.space.do(func() error { return attachPass(s.end.Device) })
}

// hardwareAddr returns nil for the zero MAC: the kernel then picks one.
func hardwareAddr(mac dataplane.MAC) net.HardwareAddr {
	if mac == (dataplane.MAC{}) {
		return nil
	}
	return mac[:]
}

func (s *space) raiseDevice(device string) error {
	link, err := s.nl.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	if err := s.nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("raise device %s: %w", device, err)
	}
	return nil
}

// waitUp waits for the kernel to notice the carrier. Until then the device
// drops what is sent to it.
func (s *space) waitUp(ctx context.Context, device string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		link, err := s.nl.LinkByName(device)
		if err != nil {
			return fmt.Errorf("find device %s: %w", device, err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for carrier of %s: %w", device, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// addSwitch makes a bridge and plugs its ports. A port joins when its carrier
// is up already, so it forwards from then on.
func (e *Env) addSwitch(ctx context.Context, sw Switch) error {
	s, err := e.addSpace(sw.Name)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	// Snooping would hold back neighbour solicitations until the first
	// multicast reports are seen.
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
	if err := s.nl.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make bridge: %w", err)
	}
	if err := s.nl.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("raise bridge: %w", err)
	}
	for i, end := range sw.Ports {
		port := End{Device: fmt.Sprintf("port%d", i)}
		if err := plug(ctx, side{space: s, end: port}, e.side(end), sw.MTU); err != nil {
			return fmt.Errorf("plug %s/%s: %w", end.Host, end.Device, err)
		}
		link, err := s.nl.LinkByName(port.Device)
		if err != nil {
			return fmt.Errorf("find device %s: %w", port.Device, err)
		}
		if err := s.nl.LinkSetMaster(link, bridge); err != nil {
			return fmt.Errorf("join bridge with %s: %w", port.Device, err)
		}
	}
	return nil
}

// address gives a device its addresses.
func (s *space) address(end End) error {
	link, err := s.nl.LinkByName(end.Device)
	if err != nil {
		return fmt.Errorf("find device: %w", err)
	}
	for _, p := range end.Addrs {
		addr := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := s.nl.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add %s: %w", p, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	a := p.Addr()
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(p.Bits(), a.BitLen())}
}
