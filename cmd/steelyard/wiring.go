package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"steelyard/control/announce"
	"steelyard/control/model"
	"steelyard/control/reconcile"
	"steelyard/control/vip"
	"steelyard/dataplane"
	"steelyard/dataplane/xdp"
)

// routeCapacity is how many routes and neighbours are mirrored; the watcher
// mirrors no more of either family.
const routeCapacity = 2 * 16384

// loadOptions sizes the tables for a config with room to grow: what a later
// config needs beyond that is refused by name in the status, until a restart.
func loadOptions(snap *model.Snapshot) xdp.Options {
	d := reconcile.DemandOf(snap)
	return xdp.Options{
		Sizes: xdp.Sizes{
			Flows:    snap.Flows.Capacity,
			Services: room(d.Services, 1024),
			VIPs:     room(d.VIPs, 1024),
			Origins:  room(d.Origins, 4096),
			Backends: room(d.Backends, 4096),
			Rings:    room(d.Rings, 1024),
			// A ring is replaced beside the one before.
			Slots:  d.Slots + d.Rings + d.Slots/4 + 2*d.LargestRing + 1<<18,
			Routes: routeCapacity,
		},
		Closing:     snap.Flows.TCPClosing,
		LongestIdle: max(d.LongestIdle, 24*time.Hour),
	}
}

func room(need, least int) int { return max(need+need/2, least) }

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
	p.mu.Lock()
	restore := p.restore[ifindex]
	delete(p.restore, ifindex)
	p.mu.Unlock()
	err := p.Balancer.Detach(ifindex)
	if _, gone := net.InterfaceByIndex(int(ifindex)); gone == nil && restore != nil {
		err = errors.Join(err, restore())
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
