package main_test

import (
	"bytes"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"steelyard/testenv/netns"
)

// need fails the test where a program is missing, with the package to install.
func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: install Debian's package %s", program, debianPackage)
	}
}

// output runs a program inside a host and returns what it printed; failing is
// an error of the test.
func (b *bed) output(host *netns.HostEnv, name string, args ...string) string {
	b.t.Helper()
	out, err := host.Command(b.t.Context(), name, args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// background runs a server program inside a host until the test ends.
func (b *bed) background(host *netns.HostEnv, name string, args ...string) {
	b.t.Helper()
	var out bytes.Buffer
	cmd := host.Command(b.t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { // the test's context has ended by now and with it the program
		_ = cmd.Wait() // it was killed
		if b.t.Failed() {
			b.t.Logf("%s on %s:\n%s", name, host.Name(), out.String())
		}
	})
}

// waitListening waits until a server accepts TCP connections on its host.
func (b *bed) waitListening(host *netns.HostEnv, addr netip.AddrPort) {
	b.t.Helper()
	netns.WaitFor(b.t, func() bool {
		conn, err := host.Dial(b.t.Context(), "tcp", addr.String())
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}, "a server on "+addr.String())
}

// mac returns the MAC address of a host's device.
func mac(t *testing.T, host *netns.HostEnv, device string) net.HardwareAddr {
	t.Helper()
	iface, err := host.Interface(device)
	if err != nil {
		t.Fatal(err)
	}
	return iface.HardwareAddr
}

// capture watches a device; the function it returns ends that and hands over
// the frames.
func capture(t *testing.T, host *netns.HostEnv, device string) (c *netns.Capture, stop func() []netns.Frame) {
	t.Helper()
	c, err := host.Capture(device)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() []netns.Frame {
		t.Helper()
		stopped = true
		frames, err := c.Stop()
		if err != nil {
			t.Error(err)
		}
		return frames
	}
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	return c, stop
}
