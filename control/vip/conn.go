package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// kernelTimeout bounds the wait for one answer of the kernel.
	kernelTimeout = 30 * time.Second
	// dumpTries is how often a listing is read again because the kernel
	// says that it changed meanwhile.
	dumpTries = 3
)

// conn is a netlink socket for requests. It belongs to the network namespace
// of the thread that opened it. Safe for concurrent use.
type conn struct {
	sockets map[int]*nl.SocketHandle
}

func openConn() (*conn, error) {
	// None, None: the current namespace.
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	tv := unix.NsecToTimeval(int64(kernelTimeout))
	if err := errors.Join(s.SetSendTimeout(&tv), s.SetReceiveTimeout(&tv)); err != nil {
		s.Close()
		return nil, fmt.Errorf("set netlink timeouts: %w", err)
	}
	// The kernel's own words about a refused request; older ones have none.
	_ = s.SetExtAck(true)
	return &conn{sockets: map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}, nil
}

func (c *conn) close() {
	for _, s := range c.sockets {
		s.Close()
	}
}

// do sends one request and waits for the kernel's yes or no.
func (c *conn) do(kind, flags int, parts ...nl.NetlinkRequestData) error {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	req.Sockets = c.sockets
	for _, p := range parts {
		req.AddData(p)
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// dump reads a whole listing. each gets the payload of every message and
// returns false when it wants no more. fresh is called before every try, for
// the caller to forget what an interrupted one gave.
func (c *conn) dump(kind int, answer uint16, msg nl.NetlinkRequestData, fresh func(), each func([]byte) bool) error {
	var err error
	for range dumpTries {
		fresh()
		req := nl.NewNetlinkRequest(kind, unix.NLM_F_DUMP)
		req.Sockets = c.sockets
		req.AddData(msg)
		err = req.ExecuteIter(unix.NETLINK_ROUTE, answer, each)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			return err
		}
	}
	return err
}

// eachAttr calls f with every attribute of a netlink message in b. False where
// b does not hold whole attributes: what f was given is then not to be trusted.
func eachAttr(b []byte, f func(kind uint16, value []byte)) bool {
	// The two top bits say nested and network byte order (NLA_TYPE_MASK).
	const headerBytes, align, kindMask = 4, 4, 0x3fff
	for len(b) >= headerBytes {
		size := int(binary.NativeEndian.Uint16(b))
		if size < headerBytes || size > len(b) {
			return false
		}
		f(binary.NativeEndian.Uint16(b[2:])&kindMask, b[headerBytes:size])
		// The padding of the last one may be missing.
		b = b[min(len(b), (size+align-1)&^(align-1)):]
	}
	return true
}

// attrUint32 reads a number in host order; 0 where the attribute is shorter.
func attrUint32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
