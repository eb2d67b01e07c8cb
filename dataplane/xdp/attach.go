package xdp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cilium/ebpf/link"

	"steelyard/dataplane"
)

// devices are the attachments, by ifindex.
type devices struct {
	mu       sync.Mutex
	attached map[uint32]attachment
}

type attachment struct {
	link link.Link
	mode dataplane.AttachMode
}

func (d *devices) init() { d.attached = make(map[uint32]attachment) }

func (d *devices) close() error {
	var err error
	for _, a := range d.attached {
		err = errors.Join(err, a.link.Close())
	}
	d.attached = nil
	return err
}

// Attach runs the program on what comes in by a device and returns how. mode
// native or generic insists; AttachAuto takes native and falls back to generic. The
// attachment ends with Detach, Close, or the device itself.
func (b *Balancer) Attach(ifindex uint32, mode dataplane.AttachMode) (dataplane.AttachMode, error) {
	b.devices.mu.Lock()
	defer b.devices.mu.Unlock()
	if ifindex > MaxIfindex {
		return "", fmt.Errorf("attach to device %d: ifindex above %d: %w", ifindex, MaxIfindex, ErrNoSpace)
	}
	if a, ok := b.devices.attached[ifindex]; ok {
		return a.mode, nil
	}
	var l link.Link
	var err error
	got := dataplane.AttachNative
	if mode != dataplane.AttachGeneric {
		l, err = b.attach(ifindex, link.XDPDriverMode)
	}
	if mode == dataplane.AttachGeneric || (err != nil && mode == dataplane.AttachAuto) {
		got = dataplane.AttachGeneric
		var genericErr error
		l, genericErr = b.attach(ifindex, link.XDPGenericMode)
		if err = errors.Join(err, genericErr); genericErr == nil {
			err = nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("attach to device %d: %w", ifindex, err)
	}
	b.devices.attached[ifindex] = attachment{link: l, mode: got}
	return got, b.setTxDevices()
}

func (b *Balancer) attach(ifindex uint32, flags link.XDPAttachFlags) (link.Link, error) {
	return link.AttachXDP(link.XDPOptions{
		Program:   b.objs.Balancer,
		Interface: int(ifindex),
		Flags:     flags,
	})
}

// Detach takes the program off a device; not being attached is no error.
func (b *Balancer) Detach(ifindex uint32) error {
	b.devices.mu.Lock()
	defer b.devices.mu.Unlock()
	a, ok := b.devices.attached[ifindex]
	if !ok {
		return nil
	}
	delete(b.devices.attached, ifindex)
	return errors.Join(b.setTxDevices(), a.link.Close())
}

// CanSend tells whether frames can be redirected to a device, or only the
// kernel can send them there.
func (b *Balancer) CanSend(ifindex uint32) bool {
	b.devices.mu.Lock()
	defer b.devices.mu.Unlock()
	_, ok := b.sendable()[ifindex]
	return ok
}

// sendable returns the devices frames can be redirected to. A native program
// can redirect only to drivers with native XDP; a generic one to any device.
func (b *Balancer) sendable() map[uint32]struct{} {
	anyNative := false
	for _, a := range b.devices.attached {
		anyNative = anyNative || a.mode == dataplane.AttachNative
	}
	set := make(map[uint32]struct{})
	for ifindex, a := range b.devices.attached {
		if a.mode == dataplane.AttachNative || !anyNative {
			set[ifindex] = struct{}{}
		}
	}
	return set
}

func (b *Balancer) setTxDevices() error {
	want := b.sendable()
	var key, value uint32
	var gone []uint32
	for it := b.objs.TxDevices.Iterate(); it.Next(&key, &value); {
		if _, ok := want[key]; !ok {
			gone = append(gone, key)
		}
	}
	err := deleteAll(b.objs.TxDevices, "devices", gone)
	for _, ifindex := range slices.Sorted(maps.Keys(want)) {
		if putErr := b.objs.TxDevices.Put(ifindex, ifindex); putErr != nil {
			err = errors.Join(err, fmt.Errorf("allow redirects to device %d: %w", ifindex, putErr))
		}
	}
	return err
}
