package reconcile

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// carriers are the devices that carry the program.
type carriers struct {
	devices map[uint32]carrier // by ifindex
	// doubt holds devices of which an attach or detach failed: they may
	// carry the program or not.
	doubt map[uint32]bool
	// byName are the configured interfaces whose device is there.
	byName map[string]uint32
}

type carrier struct {
	asked dataplane.AttachMode
	got   dataplane.AttachMode
}

func newCarriers() *carriers {
	return &carriers{devices: make(map[uint32]carrier), doubt: make(map[uint32]bool), byName: make(map[string]uint32)}
}

// named returns the device of a configured interface, if it carries the
// program.
func (c *carriers) named(name string) (ifindex uint32, dev carrier, ok bool) {
	ifindex, ok = c.byName[name]
	if !ok {
		return 0, carrier{}, false
	}
	dev, ok = c.devices[ifindex]
	return ifindex, dev, ok
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
		if err := c.attach(path, ifindex, want[ifindex], log); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: %w", at.nameOf(ifindex), err))
		}
	}
	return errors.Join(errs...)
}

// leave takes the program off the devices that shall not carry it, or not as
// they do.
func (c *carriers) leave(path attacher, want map[uint32]dataplane.AttachMode, log *slog.Logger) error {
	candidates := maps.Clone(c.doubt)
	for ifindex := range c.devices {
		candidates[ifindex] = true
	}
	var errs []error
	for _, ifindex := range slices.Sorted(maps.Keys(candidates)) {
		mode, wanted := want[ifindex]
		dev, attached := c.devices[ifindex]
		if wanted && (!attached || dev.serves(mode)) {
			continue
		}
		if err := path.Detach(ifindex); err != nil {
			errs = append(errs, fmt.Errorf("leave device %d: %w", ifindex, err))
			if wanted {
				continue // as it was, until the detach succeeds
			}
			c.doubt[ifindex] = true
		} else {
			delete(c.doubt, ifindex)
			log.Info("detached", "ifindex", ifindex)
		}
		delete(c.devices, ifindex)
	}
	return errors.Join(errs...)
}

func (c *carriers) attach(path attacher, ifindex uint32, mode dataplane.AttachMode, log *slog.Logger) error {
	if _, ok := c.devices[ifindex]; ok {
		return nil
	}
	got, err := path.Attach(ifindex, mode)
	if err != nil {
		c.doubt[ifindex] = true
		return err
	}
	delete(c.doubt, ifindex)
	c.devices[ifindex] = carrier{mode, got}
	log.Info("attached", "ifindex", ifindex, "xdp", got)
	return nil
}

// serves tells whether a device need not be attached anew for a mode.
func (d carrier) serves(mode dataplane.AttachMode) bool {
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
