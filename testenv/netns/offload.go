package netns

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// offload is one switch of a device.
type offload struct {
	name     string
	set, get uint32 // ethtool commands
	on       bool
}

// offloads is what a veth needs so that an XDP program may rewrite and
// redirect its frames: whole checksums, frames no longer than the MTU, and a
// receiver. A frame that XDP puts into a veth is dropped unless the peer polls,
// which it does with GRO on or with a program; the sender's own GRO makes no
// difference.
func offloads() []offload {
	return []offload{
		{"tso", unix.ETHTOOL_STSO, unix.ETHTOOL_GTSO, false},
		{"gso", unix.ETHTOOL_SGSO, unix.ETHTOOL_GGSO, false},
		{"tx checksum", unix.ETHTOOL_STXCSUM, unix.ETHTOOL_GTXCSUM, false},
		{"gro", unix.ETHTOOL_SGRO, unix.ETHTOOL_GGRO, true},
	}
}

// setOffloads sets a device of the thread's namespace.
func setOffloads(device string) error {
	for _, o := range offloads() {
		var value uint32
		if o.on {
			value = 1
		}
		if _, err := ethtool(device, o.set, value); err != nil {
			return fmt.Errorf("set %s of %s: %w", o.name, device, err)
		}
	}
	return nil
}

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct {
	command uint32
	data    uint32
}

// ifreqData is struct ifreq of linux/if.h with ifr_data in use.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the rest of the kernel's union
}

// ethtool sends one command with a value and returns the value afterwards.
func ethtool(device string, command, data uint32) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open ethtool socket: %w", err)
	}
	defer unix.Close(fd)
	value := ethtoolValue{command: command, data: data}
	req := ifreqData{data: unsafe.Pointer(&value)}
	copy(req.name[:unix.IFNAMSIZ-1], device)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return 0, errno
	}
	return value.data, nil
}
