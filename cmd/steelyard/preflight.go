package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"steelyard/control/api"
	"steelyard/control/model"
	"steelyard/dataplane/xdp"
)

// The oldest kernel everything works on; Debian 12 has it.
const (
	oldestMajor = 6
	oldestMinor = 1
)

// preflight says everything at once that this machine lacks to run a config.
func preflight(snap *model.Snapshot) error {
	return errors.Join(checkRoot(), checkKernel(), checkDevices(snap))
}

func checkRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return errors.New("not root: loading BPF programs and adding addresses need it; run it with sudo, or as a system service")
}

func checkKernel() error {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	return checkRelease(release)
}

func checkRelease(release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("read kernel version %q: %w", release, err)
	}
	if major > oldestMajor || major == oldestMajor && minor >= oldestMinor {
		return nil
	}
	return fmt.Errorf("kernel %s is too old: Linux %d.%d or newer is needed; Debian 12 and Ubuntu 24.04 have it", release, oldestMajor, oldestMinor)
}

func checkDevices(snap *model.Snapshot) error {
	devices, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list network devices: %w", err)
	}
	have := make(map[string]bool)
	var names []string
	for _, d := range devices {
		have[d.Name] = true
		if d.Flags&net.FlagLoopback == 0 {
			names = append(names, d.Name)
		}
	}
	var errs []error
	for _, i := range snap.Interfaces {
		if !have[i.Device] {
			errs = append(errs, fmt.Errorf("interface %s: there is no device %s; this machine has %s", i.Name, i.Device, strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}

// explainStart adds what to do to an error that kept the daemon from starting.
func explainStart(err error) error {
	switch {
	case errors.Is(err, xdp.ErrNotPermitted):
		return fmt.Errorf("%w\nCAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed, and kernel lockdown must not forbid BPF", err)
	case errors.Is(err, xdp.ErrNotSupported):
		return fmt.Errorf("%w\nthe kernel needs CONFIG_BPF_SYSCALL, CONFIG_BPF_JIT and CONFIG_INET; Debian's and Ubuntu's kernels have them", err)
	case errors.Is(err, xdp.ErrPinsInUse), errors.Is(err, errInstance), errors.Is(err, api.ErrInUse):
		return fmt.Errorf("%w: stop it first, or run this one in a network namespace, with a --pin-path and --run-dir of its own", err)
	}
	return err
}
