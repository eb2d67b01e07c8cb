package reconcile

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// carriers are the devices that carry the program.
type carriers struct {
	devices map[uint32]carrier // by ifindex
	// byName are the configured interfaces whose device is there.
	byName map[string]uint32
}

// carrier is a device that carries the program, or may do so.
type carrier struct {
	asked dataplane.AttachMode
	got   dataplane.AttachMode // valid iff !doubt
	// doubt is set after an attach or detach that failed: nobody knows
	// whether the program is there.
	doubt bool
}

// leaving is what a device is asked for after a detach that failed.
const leaving dataplane.AttachMode = "leaving"

func newCarriers() *carriers {
	return &carriers{devices: make(map[uint32]carrier), byName: make(map[string]uint32)}
}

// named returns the device of a configured interface, if it carries the
// program.
func (c *carriers) named(name string) (ifindex uint32, dev carrier, ok bool) {
	if ifindex, ok = c.byName[name]; !ok {
		return 0, carrier{}, false
	}
	dev, ok = c.devices[ifindex]
	return ifindex, dev, ok && !dev.doubt
}

// all yields the devices that carry the program.
func (c *carriers) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for ifindex, dev := range c.devices {
			if !dev.doubt && !yield(ifindex) {
				return
			}
		}
	}
}

// bring runs the program on every configured device that is there, also on one
// that came back with another number, and takes it off all others. One device
// that fails does not stop the others.
func (c *carriers) bring(path attacher, snap *model.Snapshot, at *mirror, log *slog.Logger) error {
	var errs []error
	want := make(map[uint32]dataplane.AttachMode, len(snap.Interfaces))
	clear(c.byName)
	for _, i := range snap.Interfaces {
		link := at.byName[i.Device]
		if link == nil {
			errs = append(errs, fmt.Errorf("interface %s: no device %s", i.Name, i.Device))
			continue
		}
		want[link.Index] = attachMode(i.XDP)
		c.byName[i.Name] = link.Index
	}
	errs = append(errs, c.leave(path, want, log))
	for _, ifindex := range slices.Sorted(maps.Keys(want)) {
		if err := c.attach(path, ifindex, want[ifindex], log.With("device", at.nameOf(ifindex))); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: %w", at.nameOf(ifindex), err))
		}
	}
	return errors.Join(errs...)
}

// leave takes the program off the devices that shall not carry it, or not as
// they do.
func (c *carriers) leave(path attacher, want map[uint32]dataplane.AttachMode, log *slog.Logger) error {
	var errs []error
	for _, ifindex := range slices.Sorted(maps.Keys(c.devices)) {
		if mode, wanted := want[ifindex]; wanted && c.devices[ifindex].serves(mode) {
			continue
		}
		if err := path.Detach(ifindex); err != nil {
			c.devices[ifindex] = carrier{asked: leaving, doubt: true}
			errs = append(errs, fmt.Errorf("leave device %d: %w", ifindex, err))
			continue
		}
		delete(c.devices, ifindex)
		log.Info("detached", "ifindex", ifindex)
	}
	return errors.Join(errs...)
}

func (c *carriers) attach(path attacher, ifindex uint32, mode dataplane.AttachMode, log *slog.Logger) error {
	if dev, ok := c.devices[ifindex]; ok && (!dev.doubt || dev.asked == leaving) {
		return nil // it is there, or has to be left first
	}
	got, err := path.Attach(ifindex, mode)
	c.devices[ifindex] = carrier{asked: mode, got: got, doubt: err != nil}
	if err == nil {
		log.Info("attached", "ifindex", ifindex, "xdp", got)
	}
	return err
}

// serves tells whether a device need not be left before it is attached in a
// mode.
func (d carrier) serves(mode dataplane.AttachMode) bool {
	if d.doubt {
		return mode == d.asked
	}
	best := mode == dataplane.AttachAuto && d.got == dataplane.AttachNative
	return best || mode == d.asked || mode == d.got
}

func attachMode(m model.XDPMode) dataplane.AttachMode {
	switch m {
	case model.XDPNative:
		return dataplane.AttachNative
	case model.XDPGeneric:
		return dataplane.AttachGeneric
	}
	return dataplane.AttachAuto
}
