package main

import (
	"errors"
	"fmt"

	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"steelyard/control/api"
	"steelyard/dataplane"
)

func newStatus(o *options) *cobra.Command {
	var exitCode bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the daemon does",
		Long: `Asks the running daemon: interfaces and how the program is attached, VIPs and
where they are, services with their backends and counters, and what happened to
packets, by reason.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := api.NewClient(o.runDir).Status(cmd.Context())
			if errors.Is(err, api.ErrUnreachable) {
				return fmt.Errorf("%w\nis `steelyard run` running, and --run-dir the same?", err)
			}
			if err != nil {
				return err
			}
			if o.output == "json" {
				err = writeJSON(o.out, s)
			} else {
				err = printStatus(o.env, s)
			}
			if err == nil && exitCode && degraded(s) {
				return &codedError{code: exitDegraded}
			}
			return err
		},
	}
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 8 where something is wrong")
	return c
}

// degraded tells whether something keeps the config from being in force.
func degraded(s api.Status) bool { return len(s.Problems) > 0 || s.Reload != "" || s.Revision == 0 }

func printStatus(e env, s api.Status) error {
	p := &printer{w: tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)}
	p.line("steelyard %s%s, config revision %d", s.Version, prefixed(" on ", s.Node), s.Revision)
	for _, problem := range s.Problems {
		p.line("problem: %s", problem)
	}
	if s.Reload != "" {
		p.line("problem: the last change of the config was refused:\n%s", s.Reload)
	}
	for _, limit := range s.Limits {
		p.line("note: %s", limit)
	}
	p.interfaces(s.Interfaces)
	p.vips(s.VIPs)
	p.services(s)
	p.verdicts(s.Verdicts)
	f := s.Flows
	p.line("\nFLOW TABLE  %d places, %d inserted, %d evicted, %d refused, %d busy; %d ring slots ask it",
		f.Capacity, f.Inserted, f.Evicted, f.Refused, f.Busy, f.Asking)
	return errors.Join(p.err, p.w.Flush())
}

// printer writes tables and keeps the first error.
type printer struct {
	w   *tabwriter.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format+"\n", args...); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *printer) interfaces(list []api.Interface) {
	p.line("\nINTERFACE\tDEVICE\tXDP\tLINK")
	for _, i := range list {
		xdp, link := string(i.XDP), "down"
		if i.Up {
			link = "up"
		}
		switch {
		case i.Ifindex == 0:
			xdp = "not attached"
		case i.XDP == dataplane.AttachGeneric:
			xdp = "generic (slow: no native XDP here)"
		}
		p.line("%s\t%s\t%s\t%s", i.Name, i.Device, xdp, link)
	}
}

func (p *printer) vips(list []api.VIP) {
	p.line("\nVIP\tADDRESS\tDEVICE\tANNOUNCED")
	for _, v := range list {
		device := v.Device
		if device == "" {
			device = "none"
		}
		if v.Foreign {
			device += " (was there before)"
		}
		p.line("%s\t%s\t%s\t%d times%s", v.Name, v.Addr, device, v.Sent, prefixed("; last failed: ", v.Error))
	}
}

// services prints in the shape of `ipvsadm -Ln`: a service, then its backends.
func (p *printer) services(s api.Status) {
	p.line("\nSERVICE\tPROT\tADDRESS:PORT\tSCHEDULER\tMODE\tTRACK")
	p.line("  -> BACKEND\t\tADDRESS:PORT\tWEIGHT\tPACKETS TO/FROM\tNEXT HOP")
	pools := s.BackendsByPool()
	for _, s := range s.Services {
		p.line("%s\t%s\t%s\t%s\t%s\t%s", s.Name, strings.ToUpper(s.Protocol), joinPort(s), s.Scheduler, s.Mode, s.Track)
		for _, b := range pools[s.PoolID] {
			p.line("  -> %s\t\t%s\t%d\t%d/%d\t%s", b.Name, b.Addr, b.Weight, b.Forwarded.Packets, b.Returned.Packets, b.NextHop)
		}
		if len(pools[s.PoolID]) == 0 {
			p.line("  -> no backends: packets are dropped")
		}
	}
}

func (p *printer) verdicts(list []api.Verdict) {
	p.line("\nPACKETS\tBYTES\tDECISION")
	for _, v := range list {
		p.line("%d\t%d\t%s %s: %s", v.Packets, v.Bytes, v.Action, v.Name, v.Doc)
	}
}

func joinPort(s api.Service) string {
	if s.Addr.Is6() {
		return fmt.Sprintf("[%s]:%d", s.Addr, s.Port)
	}
	return fmt.Sprintf("%s:%d", s.Addr, s.Port)
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
