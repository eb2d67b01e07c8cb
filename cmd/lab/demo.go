package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// demoPlan is what the demo sends, to each family half of it.
type demoPlan struct {
	backends    int
	datagrams   int
	flows       int
	connections int
}

func newDemo(o *options) *cobra.Command {
	p := demoPlan{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Balance real UDP and TCP clients over backends, and check every answer",
		Long: `Raises a client, a gateway and backends in network namespaces, runs the real
daemon on the gateway, and sends real traffic to its VIPs over IPv4 and IPv6.
Checks that every answer came, from the VIP it was sent to, that every flow
stayed on one backend, and that nothing stays behind. Exit code 0 or 1.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), o, p) },
	}
	c.Flags().IntVar(&p.backends, "backends", 3, "how many backends")
	c.Flags().IntVar(&p.datagrams, "datagrams", 100_000, "how many UDP datagrams")
	c.Flags().IntVar(&p.flows, "flows", 4_000, "from how many source ports")
	c.Flags().IntVar(&p.connections, "connections", 2_000, "how many TCP connections")
	return c
}

// demoRow is one line of the demo's table.
type demoRow struct {
	what, target string
	sent, ok     int
	duration     time.Duration
	shares       map[string]traffic.Share
	err          error
}

func demo(ctx context.Context, o *options, p demoPlan) error {
	out := os.Stdout
	fmt.Fprintf(out, "Raising a client, a gateway and %d backends in network namespaces, and steelyard on the gateway ...\n", p.backends)
	l, err := raise(ctx, o, p.backends)
	if err != nil {
		return err
	}
	status, err := l.daemon.Status(ctx)
	if err != nil {
		return errors.Join(err, l.close())
	}
	for _, i := range status.Interfaces {
		fmt.Fprintf(out, "  %s: XDP program attached, %s mode\n", i.Device, i.XDP)
	}
	rows, err := l.send(ctx, out, p)
	if err != nil {
		return errors.Join(err, l.close())
	}
	for _, r := range rows {
		err = errors.Join(err, r.err)
	}
	printRows(out, rows, p.backends)
	err = errors.Join(err, l.printDaemon(ctx, out))
	fmt.Fprintln(out, "\nStopping the daemon and taking everything down ...")
	err = errors.Join(err, l.closeAndLook(ctx))
	if err != nil {
		return fmt.Errorf("the demo failed:\n%w", err)
	}
	fmt.Fprintln(out, "All answers came from the VIP they were sent to, every flow stayed on one backend, nothing stayed behind.")
	return nil
}

// send runs all traffic, one kind after the other.
func (l *lab) send(ctx context.Context, out *os.File, p demoPlan) ([]demoRow, error) {
	client := l.env.Host(site.Client)
	var rows []demoRow
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		target := netip.AddrPortFrom(vip, vipPort)
		var progress traffic.Progress
		stop := watch(out, fmt.Sprintf("UDP to %s", target), p.datagrams/2, &progress)
		udp, err := traffic.UDPRun(ctx, client, traffic.UDPPlan{Target: target, Flows: p.flows / 2, Datagrams: p.datagrams / 2, Progress: &progress})
		stop()
		if err != nil {
			return nil, err
		}
		rows = append(rows, demoRow{"UDP datagrams", target.String(), udp.Sent, udp.Answered, udp.Duration, udp.Backends, udp.Err()})
	}
	for _, vip := range []netip.Addr{site.VIP4, site.VIP6} {
		target := netip.AddrPortFrom(vip, vipPort)
		var progress traffic.Progress
		stop := watch(out, fmt.Sprintf("TCP to %s", target), p.connections/2, &progress)
		tcp, err := traffic.TCPRun(ctx, client, traffic.TCPPlan{Target: target, Connections: p.connections / 2, Messages: 5, Progress: &progress})
		stop()
		if err != nil {
			return nil, err
		}
		rows = append(rows, demoRow{"TCP connections", target.String(), tcp.Tried, tcp.Completed, tcp.Duration, tcp.Backends, tcp.Err()})
	}
	return rows, nil
}

// watch shows progress until the function it returns is called: rewritten in
// place on a terminal, one line at the end elsewhere.
func watch(out *os.File, what string, total int, p *traffic.Progress) (stop func()) {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	terminal := err == nil
	show := func() {
		c := p.Counts()
		fmt.Fprintf(out, "  %-28s %7d of %d answered, %d failed", what, c.Answered, total, c.Failed)
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if terminal {
					show()
					fmt.Fprint(out, "\r")
				}
			}
		}
	}()
	return func() {
		close(quit)
		<-done
		show()
		fmt.Fprintln(out)
	}
}

func printRows(out io.Writer, rows []demoRow, backends int) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nTRAFFIC\tTO\tSENT\tANSWERED\tSECONDS\t")
	for i := 1; i <= backends; i++ {
		fmt.Fprintf(w, "%s\t", site.Backend(i))
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%.1f\t", r.what, r.target, r.sent, r.ok, r.duration.Seconds())
		flows := 0
		for _, s := range r.shares {
			flows += s.Flows
		}
		for i := 1; i <= backends; i++ {
			fmt.Fprintf(w, "%.1f%%\t", 100*float64(r.shares[site.Backend(i)].Flows)/float64(max(flows, 1)))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintln(out, "(shares are of flows: source ports of UDP, connections of TCP)")
}

// printDaemon shows what the packet path says about the same traffic.
func (l *lab) printDaemon(ctx context.Context, out io.Writer) error {
	status, err := l.daemon.Status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "\nWhat the XDP program decided:")
	for _, v := range status.Verdicts {
		fmt.Fprintf(out, "  %8d packets  %s %s: %s\n", v.Packets, v.Action, v.Name, v.Doc)
		if v.Action == "drop" {
			err = errors.Join(err, fmt.Errorf("%d packets were dropped: %s", v.Packets, v.Doc))
		}
	}
	return err
}

// closeAndLook stops the daemon and looks for what it left, before everything
// else goes.
func (l *lab) closeAndLook(ctx context.Context) error {
	err := l.daemon.Stop()
	pins, gateway := l.daemon.Pins(), l.env.Host(site.Gateway)
	l.daemon = nil
	err = errors.Join(err, gateway.Do(func() error { return site.Leftovers(pins, l.known) }))
	return errors.Join(err, l.close())
}
