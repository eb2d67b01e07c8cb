package neigh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/packet"

	"steelyard/dataplane"
)

// sendTimeout bounds one frame when the device's queue is full, so that one
// stuck device cannot hold up the announcements on the others.
const sendTimeout = time.Second

// ErrClosed is returned by Announce after Close.
var ErrClosed = errors.New("sender is closed")

// Sender sends announcements. It keeps one packet socket for each interface
// that it has sent from; the sockets belong to the network namespace of the
// thread that first sends from that interface. Safe for concurrent use.
type Sender struct {
	router bool

	mu     sync.Mutex
	conns  map[uint32]*packet.Conn // by ifindex
	closed bool
}

// NewSender returns a Sender without sockets. router is the Router flag of its
// neighbour advertisements: whether this box forwards packets.
func NewSender(router bool) *Sender {
	return &Sender{router: router, conns: make(map[uint32]*packet.Conn)}
}

// Announce tells everybody on the link of interface ifindex that addr is at
// mac: both forms of gratuitous ARP for IPv4, an unsolicited neighbour
// advertisement for IPv6. ifindex is the interface that holds the address; on
// a VLAN device the kernel adds the tag. The interface needs no address.
//
// It errors where the interface does not exist or is down, and with ErrClosed
// after Close.
func (s *Sender) Announce(ctx context.Context, ifindex uint32, mac dataplane.MAC, addr netip.Addr) error {
	frames, err := s.frames(mac, addr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, frame := range frames {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("announce %s on interface %d: %w", addr, ifindex, err)
		}
		if err := s.send(ifindex, frame); err != nil {
			return fmt.Errorf("announce %s on interface %d: %w", addr, ifindex, err)
		}
	}
	return nil
}

// Close closes all sockets.
func (s *Sender) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for ifindex, conn := range s.conns {
		errs = append(errs, conn.Close())
		delete(s.conns, ifindex)
	}
	return errors.Join(errs...)
}

func (s *Sender) frames(mac dataplane.MAC, addr netip.Addr) ([][]byte, error) {
	if !addr.Is4() {
		na, err := UnsolicitedNA(mac, addr, s.router)
		return [][]byte{na}, err
	}
	request, err := GratuitousARP(mac, addr, Request)
	if err != nil {
		return nil, err
	}
	reply, err := GratuitousARP(mac, addr, Reply)
	return [][]byte{request, reply}, err
}

// send writes one frame. A socket whose interface went down or away reports it
// on the next write and a new one may work, so one failure is tried again.
func (s *Sender) send(ifindex uint32, frame []byte) error {
	_, cached := s.conns[ifindex]
	err := s.write(ifindex, frame)
	if err != nil && cached {
		err = s.write(ifindex, frame)
	}
	return err
}

func (s *Sender) write(ifindex uint32, frame []byte) error {
	conn, err := s.conn(ifindex)
	if err != nil {
		return err
	}
	err = conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err == nil {
		_, err = conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	}
	if err != nil {
		delete(s.conns, ifindex)
		return errors.Join(err, conn.Close())
	}
	return nil
}

func (s *Sender) conn(ifindex uint32) (*packet.Conn, error) {
	if s.closed {
		return nil, ErrClosed
	}
	if conn, ok := s.conns[ifindex]; ok {
		return conn, nil
	}
	s.dropStale()
	ifi, err := net.InterfaceByIndex(int(ifindex))
	if err != nil {
		return nil, err
	}
	// Protocol 0: the socket sends and never receives (packet(7)).
	conn, err := packet.Listen(ifi, packet.Raw, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	s.conns[ifindex] = conn
	return conn, nil
}

// dropStale closes the sockets of interfaces that no longer exist and that
// nobody will announce on again.
func (s *Sender) dropStale() {
	for ifindex, conn := range s.conns {
		if _, err := net.InterfaceByIndex(int(ifindex)); err != nil {
			delete(s.conns, ifindex)
			_ = conn.Close() // nothing was promised to this socket's user
		}
	}
}
