package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrNoMarks says that the kernel does not keep marks on addresses, so that
// VIPs could not be told from other addresses later.
var ErrNoMarks = errors.New("address marks (IFA_PROTO) need Linux 5.18 or newer")

// Want is a VIP and the interface that it shall be on.
type Want struct {
	Addr    netip.Addr // 4-byte form for IPv4, no zone
	Ifindex uint32
}

// Addresses puts VIPs on devices. What it adds carries a mark in the kernel,
// which outlives the process; only marked addresses are ever removed. Its
// methods may be called from any goroutine.
type Addresses struct {
	conn *conn

	mu      sync.Mutex
	foreign []netip.Addr // sorted
	marks   bool         // the kernel is known to keep marks
}

// NewAddresses opens a netlink socket in the network namespace of the calling
// thread. It touches no address.
func NewAddresses() (*Addresses, error) {
	c, err := openConn()
	if err != nil {
		return nil, err
	}
	return &Addresses{conn: c}, nil
}

// Close closes the socket. The VIPs stay: RemoveAll takes them away.
func (a *Addresses) Close() { a.conn.close() }

// Ensure makes want the set of marked addresses of the machine: it adds what is
// missing, moves what is on another interface, and removes what is not wanted,
// also leftovers of a process that crashed. A wanted address that is on the box
// without the mark is left alone and named by Foreign.
//
// The kernel takes IPv6 addresses off a link that goes down, so call it again
// when links change; a call that finds everything in place changes nothing.
//
// One address that fails does not stop the others; the errors are joined, each
// naming the address and the device. ErrNoMarks is among them where the kernel
// is too old, and nothing stays added then.
func (a *Addresses) Ensure(ctx context.Context, want []Want) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	names, err := a.conn.deviceNames()
	if err != nil {
		return err
	}
	have, err := a.conn.addresses()
	if err != nil {
		return err
	}
	p := planAddresses(have, want)
	a.foreign = p.foreign

	var errs []error
	failed := make(map[netip.Addr]bool)
	for _, w := range p.add {
		if err := a.add(ctx, w); err != nil {
			failed[w.Addr] = true
			errs = append(errs, fmt.Errorf("add %s to %s: %w", w.Addr, deviceName(names, w.Ifindex), err))
		}
		if errors.Is(err, ErrNoMarks) {
			break
		}
	}
	for _, w := range p.remove {
		// A VIP that cannot be had on its new device stays on the old one:
		// there it is at least answered for.
		if failed[w.Addr] {
			continue
		}
		if err := a.remove(ctx, w); err != nil {
			errs = append(errs, fmt.Errorf("remove %s from %s: %w", w.Addr, deviceName(names, w.Ifindex), err))
		}
	}
	return errors.Join(errs...)
}

// RemoveAll removes every marked address of the machine.
func (a *Addresses) RemoveAll(ctx context.Context) error { return a.Ensure(ctx, nil) }

// Foreign returns, sorted, the wanted addresses that the last Ensure found on
// the box without the mark: somebody else put them there. They are usable, and
// never removed.
func (a *Addresses) Foreign() []netip.Addr {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.foreign)
}

func (a *Addresses) add(ctx context.Context, w Want) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := a.conn.addVIP(w.Addr, w.Ifindex); err != nil || a.marks {
		return err
	}
	// Old kernels take the request and forget the mark. An address without
	// it would never be removed again, so look before relying on it.
	have, err := a.conn.addresses()
	if err != nil {
		return err
	}
	for _, h := range have {
		if h.ifindex == w.Ifindex && h.prefix.Addr() == w.Addr && h.mark != ownMark {
			return errors.Join(ErrNoMarks, a.conn.removeVIP(w.Addr, w.Ifindex))
		}
	}
	a.marks = true
	return nil
}

func (a *Addresses) remove(ctx context.Context, w Want) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := a.conn.removeVIP(w.Addr, w.Ifindex)
	// It went away with its device, or somebody was faster.
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// addressPlan is what separates the addresses of the machine from the wanted.
type addressPlan struct {
	add     []Want // in the order wanted
	remove  []Want // in the order listed
	foreign []netip.Addr
}

// planAddresses compares; it is pure.
func planAddresses(have []ifAddr, want []Want) addressPlan {
	var p addressPlan
	owned := make(map[Want]bool)
	foreign := make(map[netip.Addr]bool)
	for _, h := range have {
		addr := h.prefix.Addr()
		if h.mark == ownMark && h.prefix.IsSingleIP() {
			owned[Want{addr, h.ifindex}] = true
		} else if h.mark != ownMark {
			foreign[addr] = true
		}
	}
	wanted := make(map[Want]bool, len(want))
	for _, w := range want {
		switch {
		case wanted[w]:
		case foreign[w.Addr]:
			if !slices.Contains(p.foreign, w.Addr) {
				p.foreign = append(p.foreign, w.Addr)
			}
		case !owned[w]:
			p.add = append(p.add, w)
		}
		wanted[w] = true
	}
	for _, h := range have {
		w := Want{h.prefix.Addr(), h.ifindex}
		if owned[w] && h.mark == ownMark && !wanted[w] {
			p.remove = append(p.remove, w)
		}
	}
	slices.SortFunc(p.foreign, netip.Addr.Compare)
	return p
}

func deviceName(names map[uint32]string, ifindex uint32) string {
	if name, ok := names[ifindex]; ok {
		return name
	}
	return fmt.Sprintf("interface %d", ifindex)
}
