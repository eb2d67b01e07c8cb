package traffic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"steelyard/testenv/netns"
)

// errWrongAnswer is a line that is not the one expected: another backend's, or
// broken bytes.
var errWrongAnswer = errors.New("wrong answer")

// failure is what went wrong with a connection, and at which step of it.
type failure struct {
	step string // "connect", "greet", "send" or "receive"
	err  error
}

func (f *failure) Error() string { return f.step + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// reason describes a failure without addresses and payloads, so that equal
// ones of different connections count together.
func reason(err error) string {
	var f *failure
	if errors.As(err, &f) {
		return f.step + ": " + cause(f.err)
	}
	return cause(err)
}

// client is one connection to a Server.
type client struct {
	id      int
	conn    net.Conn
	lines   *bufio.Reader
	backend string // as greeted
	seq     int    // of the next line
	wait    time.Duration
}

// dial connects from host, reads the greeting and returns within wait. An
// error is a *failure.
func dial(ctx context.Context, host *netns.HostEnv, id int, source netip.Addr, target netip.AddrPort, wait time.Duration) (c *client, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var dialer net.Dialer
	if source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	var conn net.Conn
	if err := host.Do(func() (err error) {
		conn, err = dialer.DialContext(ctx, "tcp", target.String())
		return err
	}); err != nil {
		return nil, &failure{"connect", err}
	}
	c = &client{id: id, conn: conn, lines: bufio.NewReader(conn), wait: wait}
	greeting, err := c.read()
	if err != nil {
		conn.Close()
		return nil, &failure{"greet", err}
	}
	c.backend = greeting
	return c, nil
}

// read returns one line without its newline.
func (c *client) read() (string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.wait)); err != nil {
		return "", err
	}
	line, err := c.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// exchange sends a line of at least size bytes and checks the answer. An error
// is a *failure.
func (c *client) exchange(size int) error {
	line := payload(nil, c.id, c.seq, size)
	c.seq++
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.wait)); err != nil {
		return &failure{"send", err}
	}
	if _, err := c.conn.Write(append(line, '\n')); err != nil {
		return &failure{"send", err}
	}
	got, err := c.read()
	if err != nil {
		return &failure{"receive", err}
	}
	if want := c.backend + " " + string(line); got != want {
		return &failure{"receive", fmt.Errorf("%.80q, want %.80q: %w", got, want, errWrongAnswer)}
	}
	return nil
}
