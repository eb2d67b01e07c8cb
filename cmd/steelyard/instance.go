package main

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// errInstance means that another daemon runs in this network namespace.
var errInstance = errors.New("another instance of steelyard runs in this network namespace")

// instanceSocket is a name that only one process of a network namespace can
// have; it is in no file system and goes with the process.
const instanceSocket = "@steelyard/instance"

// holdNamespace takes the right to be the only daemon of the network
// namespace, until the listener is closed: two would take each other's VIPs
// for leftovers. Returns errInstance where somebody has it.
func holdNamespace() (net.Listener, error) {
	l, err := net.Listen("unix", instanceSocket)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, errInstance
	case err != nil:
		return nil, fmt.Errorf("hold network namespace: %w", err)
	}
	return l, nil
}
