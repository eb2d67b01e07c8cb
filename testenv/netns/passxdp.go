package netns

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// instruction is one struct bpf_insn of linux/bpf.h. There are too few of them
// here to be worth a compiler.
type instruction struct {
	opcode    uint8
	registers uint8 // destination in the low half, source in the high
	offset    int16
	immediate int32
}

func setRegister(register uint8, value int32) instruction {
	return instruction{opcode: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, registers: register, immediate: value}
}

func exit() instruction { return instruction{opcode: unix.BPF_JMP | unix.BPF_EXIT} }

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
	return attachXDP(device, []instruction{setRegister(0, xdpPass), exit()})
}

func attachXDP(device string, program []instruction) (err error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	fd, err := loadXDP(program)
	if err != nil {
		return err
	}
	// The device holds the program from here on.
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := netlink.LinkSetXdpFdWithFlags(link, fd, unix.XDP_FLAGS_DRV_MODE); err != nil {
		return fmt.Errorf("attach XDP program to %s: %w", device, err)
	}
	return nil
}

// progLoad is the head of union bpf_attr for BPF_PROG_LOAD.
type progLoad struct {
	progType     uint32
	instructions uint32
	code         uint64 // address
	licence      uint64 // address
	logLevel     uint32
	logSize      uint32
	log          uint64
	kernVersion  uint32
	flags        uint32
}

func loadXDP(program []instruction) (fd int, err error) {
	licence := []byte("GPL\x00")
	attr := progLoad{
		progType:     unix.BPF_PROG_TYPE_XDP,
		instructions: uint32(len(program)),
		code:         uint64(uintptr(unsafe.Pointer(&program[0]))),
		licence:      uint64(uintptr(unsafe.Pointer(&licence[0]))),
		flags:        unix.BPF_F_XDP_HAS_FRAGS, // else no MTU above a page
	}
	// The kernel follows addresses that the collector does not see.
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&program[0])
	pins.Pin(&licence[0])
	r, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, fmt.Errorf("load XDP program: %w", errno)
	}
	return int(r), nil
}
