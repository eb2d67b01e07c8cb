package netns

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Actions of enum xdp_action.
const (
	xdpPass = 2
	xdpTX   = 3
)

// attachPass gives a device of the thread's namespace an XDP program that
// passes everything. A frame that its peer sends by XDP_TX would otherwise
// wait in the veth until something else wakes it: GRO alone is enough for
// redirected frames only (Linux 6.18, veth_xdp_flush).
func attachPass(device string) error {
	return attachXDP(device, asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()})
}

func attachXDP(device string, instructions asm.Instructions) (err error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.XDP,
		Instructions: instructions,
		License:      "GPL",
		Flags:        unix.BPF_F_XDP_HAS_FRAGS, // else no MTU above a page
	})
	if err != nil {
		return fmt.Errorf("load XDP program: %w", err)
	}
	// The device holds the program from here on.
	defer func() { err = errors.Join(err, program.Close()) }()
	if err := netlink.LinkSetXdpFdWithFlags(link, program.FD(), unix.XDP_FLAGS_DRV_MODE); err != nil {
		return fmt.Errorf("attach XDP program to %s: %w", device, err)
	}
	return nil
}
