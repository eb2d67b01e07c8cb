package vip

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// AllowOwnSource lets the kernel forward IPv4 packets that come in by a device
// and have one of the box's own addresses as source. Replies that the packet
// path rewrote to come from a VIP, and left to the kernel because their next
// hop is not known yet, are such packets; by default they are dropped as
// martians. It sets accept_local and makes rp_filter loose, and returns what
// undoes that.
func AllowOwnSource(device string) (restore func() error, err error) {
	var undo []func() error
	restore = func() error {
		var errs []error
		for _, f := range undo {
			errs = append(errs, f())
		}
		return errors.Join(errs...)
	}
	set := func(key, value string) error {
		was, err := swapSysctl(device, key, value)
		if err == nil && was != value {
			undo = append(undo, func() error { _, err := swapSysctl(device, key, was); return err })
		}
		return err
	}
	if err := set("accept_local", "1"); err != nil {
		return nil, err
	}
	// The larger of the device's and the overall value counts; 2 is loose.
	all, err := os.ReadFile(sysctlPath("all", "rp_filter"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read rp_filter: %w", err), restore())
	}
	own, err := os.ReadFile(sysctlPath(device, "rp_filter"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read rp_filter of %s: %w", device, err), restore())
	}
	if max(strings.TrimSpace(string(all)), strings.TrimSpace(string(own))) == "1" {
		if err := set("rp_filter", "2"); err != nil {
			return nil, errors.Join(err, restore())
		}
	}
	return restore, nil
}

// Forwarding tells whether the kernel forwards packets of a family; the packet
// path leaves those to it whose next hop it does not know.
func Forwarding(v6 bool) bool {
	path := "/proc/sys/net/ipv4/ip_forward"
	if v6 {
		path = "/proc/sys/net/ipv6/conf/all/forwarding"
	}
	b, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

func sysctlPath(device, key string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", device, key)
}

// swapSysctl sets a value of a device and returns the one before.
func swapSysctl(device, key, value string) (was string, err error) {
	path := sysctlPath(device, key)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s of %s: %w", key, device, err)
	}
	was = strings.TrimSpace(string(b))
	if was == value {
		return was, nil
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return "", fmt.Errorf("set %s of %s: %w", key, device, err)
	}
	return was, nil
}
