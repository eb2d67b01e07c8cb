package netns

import (
	"context"
	"fmt"
	"net"
	"os/exec"

	"github.com/vishvananda/netlink"
)

// HostEnv is a raised host. Its methods may be called from any goroutine and
// are not to be used after Env.Close.
type HostEnv struct {
	name  string
	space *space
	xdp   bool // as declared
}

// Name returns the declared name.
func (h *HostEnv) Name() string { return h.name }

// Path returns the file that the host's namespace is bound to.
func (h *HostEnv) Path() string { return h.space.path() }

// Do runs f on the calling goroutine, inside the host, and returns f's error.
// Sockets opened by f belong to the host for good; goroutines started by f do
// not run inside it.
func (h *HostEnv) Do(f func() error) error { return h.space.do(f) }

// configure applies what needs devices: forwarding, routes and sysctls.
func (h *HostEnv) configure(decl Host) error {
	if decl.Forward {
		if err := h.space.setSysctls(forwardSysctls()); err != nil {
			return fmt.Errorf("configure host %s: %w", h.name, err)
		}
	}
	for _, r := range decl.Routes {
		if err := h.AddRoute(r); err != nil {
			return fmt.Errorf("configure host %s: %w", h.name, err)
		}
	}
	if err := h.space.setSysctls(decl.Sysctls); err != nil {
		return fmt.Errorf("configure host %s: %w", h.name, err)
	}
	return nil
}

// AddRoute adds or replaces a route of the host.
func (h *HostEnv) AddRoute(r Route) error {
	route := &netlink.Route{Dst: ipNet(r.To.Masked())}
	if r.Via.IsValid() {
		route.Gw = r.Via.AsSlice()
	}
	if r.Device != "" {
		link, err := h.space.nl.LinkByName(r.Device)
		if err != nil {
			return fmt.Errorf("add route to %s: find device %s: %w", r.To, r.Device, err)
		}
		route.LinkIndex = link.Attrs().Index
	}
	if err := h.space.nl.RouteReplace(route); err != nil {
		return fmt.Errorf("add route to %s: %w", r.To, err)
	}
	return nil
}

// Interface returns a device of the host.
func (h *HostEnv) Interface(device string) (iface *net.Interface, err error) {
	err = h.Do(func() error {
		iface, err = net.InterfaceByName(device)
		return err
	})
	return iface, err
}

// Dial connects from the host to a numeric address.
func (h *HostEnv) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen listens on a stream address of the host, with plain TCP.
func (h *HostEnv) Listen(ctx context.Context, network, address string) (ln net.Listener, err error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	err = h.Do(func() error {
		ln, err = config.Listen(ctx, network, address)
		return err
	})
	return ln, err
}

// ListenPacket opens a packet socket on an address of the host.
func (h *HostEnv) ListenPacket(ctx context.Context, network, address string) (conn net.PacketConn, err error) {
	err = h.Do(func() error {
		conn, err = new(net.ListenConfig).ListenPacket(ctx, network, address)
		return err
	})
	return conn, err
}

// Cmd is a command that starts inside a host. Use the methods below and not
// those of the embedded exec.Cmd that start it.
type Cmd struct {
	*exec.Cmd
	host *HostEnv
}

// Command returns a command that will run inside the host, in the mount
// namespace of the caller. It is killed when ctx ends, and by Env.Close.
func (h *HostEnv) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{Cmd: exec.CommandContext(ctx, name, args...), host: h}
}

// Start starts the command; the caller calls Wait.
func (c *Cmd) Start() error { return c.host.Do(c.Cmd.Start) }

// Run starts the command and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns its standard output.
func (c *Cmd) Output() (out []byte, err error) {
	err = c.host.Do(func() error {
		out, err = c.Cmd.Output()
		return err
	})
	return out, err
}

// CombinedOutput runs the command and returns its standard output and error.
func (c *Cmd) CombinedOutput() (out []byte, err error) {
	err = c.host.Do(func() error {
		out, err = c.Cmd.CombinedOutput()
		return err
	})
	return out, err
}
