package netns

import (
	"context"
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
		a, b := e.hosts[l.A.Host].space, e.hosts[l.B.Host].space
		if err := plug(ctx, a, l.A, b, l.B, l.MTU); err != nil {
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

// plug makes a veth pair between two namespaces and waits until both ends
// carry packets.
func plug(ctx context.Context, a *space, endA End, b *space, endB End, mtu int) error {
	if mtu == 0 {
		mtu = defaultMTU
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = endA.Device, mtu, hardwareAddr(endA.MAC)
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerMTU = endB.Device, uint32(mtu)
	veth.PeerHardwareAddr = hardwareAddr(endB.MAC)
	veth.PeerNamespace = netlink.NsFd(b.handle)
	if err := a.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("make veth pair: %w", err)
	}
	a.veths = append(a.veths, veth)
	for _, side := range []struct {
		space  *space
		device string
	}{{a, endA.Device}, {b, endB.Device}} {
		if err := side.space.raiseDevice(side.device); err != nil {
			return err
		}
	}
	if err := a.waitUp(ctx, endA.Device); err != nil {
		return err
	}
	return b.waitUp(ctx, endB.Device)
}

// hardwareAddr returns nil for the zero MAC: the kernel then picks one.
func hardwareAddr(mac dataplane.MAC) net.HardwareAddr {
	if mac == (dataplane.MAC{}) {
		return nil
	}
	return mac[:]
}

func (s *space) raiseDevice(device string) error {
	if err := s.do(func() error { return setOffloads(device) }); err != nil {
		return err
	}
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
		if err := plug(ctx, s, port, e.hosts[end.Host].space, end, sw.MTU); err != nil {
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
