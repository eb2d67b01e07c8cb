package traffic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"steelyard/testenv/netns"
)

const (
	// socketBuffer holds, in bytes, what arrives while the reader waits for
	// a CPU: several thousand small datagrams.
	socketBuffer = 8 << 20
	// maxDatagram is the longest UDP payload, in bytes.
	maxDatagram = 1<<16 - 1
	// maxLine bounds, in bytes, what a server keeps of one line.
	maxLine = 1 << 16
)

// Server is a backend. Over UDP it answers each datagram with its name, a
// space and the same bytes; over TCP it greets with its name and a newline and
// answers each line with its name, a space and the line.
type Server struct {
	name      string
	packets   []*net.UDPConn
	listeners []net.Listener

	datagrams, connections, lines, unanswered atomic.Uint64
}

// Served is what a server has done so far.
type Served struct {
	Datagrams   uint64 // answered
	Connections uint64 // accepted
	Lines       uint64 // answered
	Unanswered  uint64 // datagrams whose answer could not be sent
}

// Listen opens UDP and TCP sockets on every address, on host. From then on the
// kernel accepts traffic; Run answers it. The name must not have a space. The
// caller calls Run or Close.
func Listen(ctx context.Context, host *netns.HostEnv, name string, addrs ...netip.AddrPort) (*Server, error) {
	s := &Server{name: name}
	for _, addr := range addrs {
		if err := s.listen(ctx, host, addr); err != nil {
			return nil, errors.Join(fmt.Errorf("start server %s: %w", name, err), s.Close())
		}
	}
	return s, nil
}

func (s *Server) listen(ctx context.Context, host *netns.HostEnv, addr netip.AddrPort) error {
	packets, err := host.ListenPacket(ctx, "udp", addr.String())
	if err != nil {
		return err
	}
	udp := packets.(*net.UDPConn)
	s.packets = append(s.packets, udp)
	if err := growBuffer(udp); err != nil {
		return err
	}
	listener, err := host.Listen(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, listener)
	return nil
}

// growBuffer lets a socket hold a burst, beyond the machine's usual limit.
func growBuffer(conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("grow socket buffer: %w", err)
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, socketBuffer)
	})
	if err := errors.Join(err, inner); err != nil {
		return fmt.Errorf("grow socket buffer: %w", err)
	}
	return nil
}

// Name returns what the server answers with.
func (s *Server) Name() string { return s.name }

// Served returns the counts so far.
func (s *Server) Served() Served {
	return Served{
		Datagrams:   s.datagrams.Load(),
		Connections: s.connections.Load(),
		Lines:       s.lines.Load(),
		Unanswered:  s.unanswered.Load(),
	}
}

// Close closes the server's sockets; Run does so by itself.
func (s *Server) Close() error {
	var errs []error
	for _, c := range s.packets {
		errs = append(errs, ignoreClosed(c.Close()))
	}
	for _, l := range s.listeners {
		errs = append(errs, ignoreClosed(l.Close()))
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Run answers until ctx ends and closes every socket and connection then. It
// returns an error if a socket failed before.
func (s *Server) Run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	closing := context.AfterFunc(ctx, func() { s.Close() })
	var loops sync.WaitGroup
	for _, c := range s.packets {
		loops.Go(func() { cancel(s.answerDatagrams(c)) })
	}
	for _, l := range s.listeners {
		loops.Go(func() { cancel(s.accept(ctx, l)) })
	}
	<-ctx.Done()
	cause := context.Cause(ctx)
	loops.Wait()
	closing()
	if parent.Err() != nil {
		return nil
	}
	return fmt.Errorf("run server %s: %w", s.name, cause)
}

// answerDatagrams ends when the socket is closed.
func (s *Server) answerDatagrams(conn *net.UDPConn) error {
	buf := make([]byte, len(s.name)+1+maxDatagram)
	head := copy(buf, s.name+" ")
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf[head:])
		if err != nil {
			return err
		}
		if _, err := conn.WriteToUDPAddrPort(buf[:head+n], from); err != nil {
			s.unanswered.Add(1)
			continue
		}
		s.datagrams.Add(1)
	}
}

// accept ends when the listener is closed and every connection has ended.
func (s *Server) accept(ctx context.Context, listener net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		s.connections.Add(1)
		conns.Go(func() { s.answerLines(ctx, conn) })
	}
}

// answerLines ends with the connection; why it ended is the client's to judge.
func (s *Server) answerLines(ctx context.Context, conn net.Conn) {
	closing := context.AfterFunc(ctx, func() { conn.Close() })
	defer conn.Close()
	defer closing()
	if _, err := conn.Write([]byte(s.name + "\n")); err != nil {
		return
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		answer := append([]byte(s.name+" "), lines.Bytes()...)
		if _, err := conn.Write(append(answer, '\n')); err != nil {
			return
		}
		s.lines.Add(1)
	}
}
