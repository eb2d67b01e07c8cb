package bench

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowedCPUs lists the CPUs this process may run on.
func allowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("read CPU affinity: %w", err)
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// onCPU starts f on a thread of its own that runs on one CPU only. The thread
// ends with f; the channel then has f's error.
func onCPU(cpu int, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: a thread bound to a CPU is of no use to others.
		runtime.LockOSThread()
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			done <- fmt.Errorf("bind thread to CPU %d: %w", cpu, err)
			return
		}
		done <- f()
	}()
	return done
}

// channels is struct ethtool_channels of linux/ethtool.h.
type channels struct {
	command                                      uint32
	maxRx, maxTx, maxOther, maxCombined          uint32
	rxCount, txCount, otherCount, combinedCounts uint32
}

// ifreqData is struct ifreq of linux/if.h with ifr_data in use.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the rest of the kernel's union
}

// setQueues gives a veth of the thread's namespace n receive queues. A frame
// redirected into it is taken up by the queue of the sending CPU, so that CPUs
// do not share one.
func setQueues(device string, n int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open ethtool socket: %w", err)
	}
	defer unix.Close(fd)
	c := channels{command: unix.ETHTOOL_GCHANNELS}
	req := ifreqData{data: unsafe.Pointer(&c)}
	copy(req.name[:unix.IFNAMSIZ-1], device)
	for _, command := range []uint32{unix.ETHTOOL_GCHANNELS, unix.ETHTOOL_SCHANNELS} {
		c.command = command
		if command == unix.ETHTOOL_SCHANNELS {
			c.rxCount = min(uint32(n), c.maxRx)
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))); errno != 0 {
			return fmt.Errorf("set %d receive queues of %s: %w", n, device, errno)
		}
	}
	return nil
}
