package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// errInstance means that another daemon is where this one would be.
var errInstance = errors.New("another instance of steelyard runs here")

// instanceSocket is a name that only one process of a network namespace can
// have; it is in no file system and goes with the process.
const instanceSocket = "@steelyard/instance"

// instance is the right to be the only daemon of a network namespace and of a
// run directory. Two of one namespace would take each other's VIPs for
// leftovers; two of one directory each other's socket.
type instance struct {
	name net.Listener
	dir  *os.File
}

// holdInstance takes that right, or returns errInstance where somebody has it.
func holdInstance(runDir string) (i *instance, err error) {
	i = &instance{}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.release())
			i = nil
		}
	}()
	if i.name, err = net.Listen("unix", instanceSocket); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			err = fmt.Errorf("%w: one for each network namespace", errInstance)
		}
		return i, err
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return i, fmt.Errorf("make run directory: %w", err)
	}
	if i.dir, err = os.Open(runDir); err != nil {
		return i, fmt.Errorf("open run directory: %w", err)
	}
	if err := unix.Flock(int(i.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errInstance
		}
		return i, fmt.Errorf("lock %s: %w", runDir, err)
	}
	return i, nil
}

func (i *instance) release() error {
	var errs []error
	if i.name != nil {
		errs = append(errs, i.name.Close())
	}
	if i.dir != nil {
		errs = append(errs, i.dir.Close())
	}
	return errors.Join(errs...)
}
