package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"steelyard/control/announce"
	"steelyard/control/reconcile"
	"steelyard/control/vip"
	"steelyard/dataplane"
	"steelyard/dataplane/xdp"
)

// packetPath is the loaded program as reconcile sees it. Attaching prepares
// the device's kernel settings too, and detaching restores them.
type packetPath struct {
	*xdp.Balancer
	log *slog.Logger

	mu      sync.Mutex
	restore map[uint32]func() error
}

func newPacketPath(b *xdp.Balancer, log *slog.Logger) *packetPath {
	return &packetPath{Balancer: b, log: log, restore: make(map[uint32]func() error)}
}

// Attach implements reconcile.PacketPath.
func (p *packetPath) Attach(ifindex uint32, mode dataplane.AttachMode) (dataplane.AttachMode, error) {
	got, err := p.Balancer.Attach(ifindex, mode)
	if err != nil {
		return got, err
	}
	if mode == dataplane.AttachAuto && got == dataplane.AttachGeneric {
		p.log.Warn("the driver has no native XDP: generic mode works, several times slower", "ifindex", ifindex)
	}
	dev, err := net.InterfaceByIndex(int(ifindex))
	if err != nil {
		return got, err
	}
	restore, err := vip.AllowOwnSource(dev.Name)
	if err != nil {
		return got, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restore[ifindex] = restore
	return got, nil
}

// Detach implements reconcile.PacketPath. The settings of a device that is
// gone went with it.
func (p *packetPath) Detach(ifindex uint32) error {
	if err := p.Balancer.Detach(ifindex); err != nil {
		return err
	}
	p.mu.Lock()
	restore := p.restore[ifindex]
	delete(p.restore, ifindex)
	p.mu.Unlock()
	var err error
	if _, gone := net.InterfaceByIndex(int(ifindex)); gone == nil && restore != nil {
		err = restore()
	}
	return err
}

func (p *packetPath) close() error {
	p.mu.Lock()
	ifindexes := make([]uint32, 0, len(p.restore))
	for ifindex := range p.restore {
		ifindexes = append(ifindexes, ifindex)
	}
	p.mu.Unlock()
	var errs []error
	for _, ifindex := range ifindexes {
		errs = append(errs, p.Detach(ifindex))
	}
	return errors.Join(append(errs, p.Balancer.Close())...)
}

// claimer puts VIPs on devices and has them announced.
type claimer struct {
	addresses *vip.Addresses
	announcer *announce.Announcer
	said      map[announce.Address]bool // of the last Claim
}

// Claim implements reconcile.Claimer. What is given up is no longer announced
// when its address goes. What could not be added is announced all the same:
// the packet path serves it already.
func (c *claimer) Claim(ctx context.Context, claims []reconcile.Claim) error {
	want := make([]vip.Want, len(claims))
	say := make([]announce.Address, len(claims))
	var kept []announce.Address
	for i, cl := range claims {
		want[i] = vip.Want{Addr: cl.Addr, Ifindex: cl.Ifindex}
		say[i] = announce.Address{Addr: cl.Addr, Ifindex: cl.Ifindex, MAC: cl.MAC}
		if c.said[say[i]] {
			kept = append(kept, say[i])
		}
	}
	c.announcer.Set(kept)
	err := c.addresses.Ensure(ctx, want)
	c.announcer.Set(say)
	c.said = make(map[announce.Address]bool, len(say))
	for _, a := range say {
		c.said[a] = true
	}
	return err
}
