package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"steelyard/testenv/bench"
)

// benchPlan is how to measure and where to put it.
type benchPlan struct {
	quick bool
	json  string // file; "" = none
}

func newBench() *cobra.Command {
	p := &benchPlan{}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure the packet path: time a packet, and packets a second",
		Long: `Raises a generator, a gateway and a counter in network namespaces, loads the
product's XDP program on the gateway and measures it in turn with a bare program
that only sets MACs and redirects. Takes four to five minutes, with --quick less
than half a minute. Compare figures of one run only: machines change their speed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, p, bench.Product)
		},
	}
	tables := &cobra.Command{
		Use:   "tables",
		Short: "Measure ways to build the flow table",
		Long: `Measures a small forwarder with each candidate for the flow table: none, the
product's, and the kernel's LRU hash, for one CPU and for two, for known flows and
for new ones. dataplane/xdp/README.md says what follows.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, p, bench.Tables)
		},
	}
	c.PersistentFlags().BoolVar(&p.quick, "quick", false, "fewer packets and rounds, no million flows; rough figures")
	c.PersistentFlags().StringVar(&p.json, "json", "", "also write the figures to this `FILE`")
	c.AddCommand(tables)
	return c
}

// report is what a benchmark found.
type report interface{ WriteText(io.Writer) error }

// measure runs a benchmark, shows its progress on standard error and its
// figures on standard output.
func measure[R report](cmd *cobra.Command, p *benchPlan, run func(context.Context, bench.Options) (R, error)) error {
	o := bench.Full()
	if p.quick {
		o = bench.Quick()
	}
	o.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	r, err := run(cmd.Context(), o)
	if err != nil {
		return err
	}
	if p.json != "" {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("encode figures: %w", err)
		}
		if err := os.WriteFile(p.json, append(data, '\n'), 0o644); err != nil {
			return fmt.Errorf("write figures: %w", err)
		}
	}
	fmt.Fprintln(cmd.ErrOrStderr())
	return r.WriteText(cmd.OutOrStdout())
}
