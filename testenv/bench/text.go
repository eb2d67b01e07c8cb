package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table prints rows in columns, numbers to the right.
type table struct {
	w   *tabwriter.Writer
	err error
}

func newTable(out io.Writer) *table {
	return &table{w: tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)}
}

func (t *table) row(cells ...any) {
	for _, c := range cells {
		if t.err == nil {
			_, t.err = fmt.Fprintf(t.w, "%v\t", c)
		}
	}
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w)
	}
}

func (t *table) end() error {
	if t.err != nil {
		return t.err
	}
	return t.w.Flush()
}

// WriteText prints the report for people.
func (r *Report) WriteText(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%s\nProgram: %d instructions, %d looked at by the verifier, %d bytes of machine code\n\n"+
		"The program's time for a packet on one CPU, by the kernel's statistics, beyond that of a bare program\n(both MACs and a redirect; its own time includes what taking time costs), ns:\n",
		r.Machine, r.Program.Instructions, r.Program.Verified, r.Program.MachineBytes)
	if err != nil {
		return err
	}
	t := newTable(out)
	t.row("traffic", "flows", "track", "net ns", "bare ns")
	for _, f := range r.Time {
		t.row(f.Traffic, thousands(f.Flows), f.Track, fmt.Sprintf("%.0f", f.NetNs), fmt.Sprintf("%.0f", f.BareNs))
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err = fmt.Fprint(out, "\nForwarded from veth to veth, 64-byte frames, generator and counter on the same CPUs, Mpps:\n")
	if err != nil {
		return err
	}
	t = newTable(out)
	t.row("traffic", "flows", "track", "CPUs", "Mpps", "bare", "ratio", "lost")
	for _, f := range r.Rate {
		t.row(f.Traffic, thousands(f.Flows), f.Track, f.CPUs,
			mpps(f.PacketsPerSecond), mpps(f.BarePerSecond), fmt.Sprintf("%.2f", f.Ratio), fmt.Sprintf("%.2f%%", 100*f.Lost))
	}
	return t.end()
}

func mpps(perSecond float64) string { return fmt.Sprintf("%.2f", perSecond/1e6) }

// WriteText prints the comparison for people.
func (r *TableReport) WriteText(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%s\nA forwarder's time for a packet beyond that of a bare program, by what remembers its flows, ns;\n"+
		"tables for %s flows with twice the places:\n", r.Machine, thousands(r.Capacity))
	if err != nil {
		return err
	}
	for cpus := 1; cpus <= 2; cpus++ {
		if err := r.writeCPUs(out, cpus); err != nil {
			return err
		}
	}
	return nil
}

func (r *TableReport) writeCPUs(out io.Writer, cpus int) error {
	t := newTable(out)
	header := []any{"on " + plural(cpus, "CPU")}
	for _, f := range r.Candidates[0].Costs {
		if f.CPUs == cpus {
			header = append(header, f.Scenario)
		}
	}
	if len(header) == 1 {
		return nil
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	t.row(append(header, "MiB")...)
	for _, c := range r.Candidates {
		row := []any{c.Name}
		for _, f := range c.Costs {
			if f.CPUs == cpus {
				row = append(row, fmt.Sprintf("%.0f", f.NetNs))
			}
		}
		t.row(append(row, c.MemoryBytes>>20)...)
	}
	return t.end()
}
