package netns

import (
	"context"
	"fmt"
)

// Unplug removes a device of a host, and the other end of its cable with it.
func (e *Env) Unplug(host, device string) error {
	nl := e.Host(host).space.nl
	link, err := nl.LinkByName(device)
	if err == nil {
		err = nl.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("unplug %s/%s: %w", host, device, err)
	}
	return nil
}

// Plug cables two hosts of the world while it runs, and addresses the new
// devices. Routes that went with an old device are not put back: see AddRoute.
func (e *Env) Plug(ctx context.Context, l Link) error {
	if err := plug(ctx, e.side(l.A), e.side(l.B), l.MTU); err != nil {
		return fmt.Errorf("cable %s/%s to %s/%s: %w", l.A.Host, l.A.Device, l.B.Host, l.B.Device, err)
	}
	for _, end := range []End{l.A, l.B} {
		if err := e.Host(end.Host).space.address(end); err != nil {
			return fmt.Errorf("address %s/%s: %w", end.Host, end.Device, err)
		}
	}
	return nil
}

// SetDown takes a device of the host down. The kernel forgets its routes then,
// and its IPv6 addresses unless keep_addr_on_down is set.
func (h *HostEnv) SetDown(device string) error {
	nl := h.space.nl
	link, err := nl.LinkByName(device)
	if err == nil {
		err = nl.LinkSetDown(link)
	}
	if err != nil {
		return fmt.Errorf("take down %s/%s: %w", h.name, device, err)
	}
	return nil
}

// SetUp raises a device that was taken down and waits until it carries
// packets. Routes are not put back: see AddRoute.
func (h *HostEnv) SetUp(ctx context.Context, device string) error {
	if err := h.space.raiseDevice(device); err != nil {
		return err
	}
	return h.space.waitUp(ctx, device)
}
