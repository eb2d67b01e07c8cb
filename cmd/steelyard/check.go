package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"steelyard/control/config"
)

// checked is what `check -o json` prints.
type checked struct {
	File     string        `json:"file"`
	Accepted bool          `json:"accepted"`
	Errors   config.Errors `json:"errors"`
	Warnings config.Errors `json:"warnings"`
}

func newCheck(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the config and change nothing",
		Long: `Reads the config and says everything that is wrong with it, each with file, line
and column. Needs no privileges and no daemon. Exit code 0 where the config
would be taken, 3 where it would be refused.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return check(o) },
	}
}

func check(o *options) error {
	c, err := config.Load(o.config)
	var refused config.Errors
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	// Empty lists are [] in JSON, not null.
	result := checked{File: o.config, Accepted: err == nil, Errors: append(config.Errors{}, refused...), Warnings: config.Errors{}}
	if c != nil {
		result.Warnings = append(result.Warnings, c.Warnings...)
	}
	if o.output == "json" {
		if err := writeJSON(o.out, result); err != nil {
			return err
		}
	} else {
		printCheck(o, c, result)
	}
	if !result.Accepted {
		return &codedError{code: exitRefused}
	}
	return nil
}

func printCheck(o *options, c *config.Config, r checked) {
	for _, w := range r.Warnings {
		fmt.Fprintf(o.err, "%s\n%s", "warning: "+w.Error(), w.Excerpt())
	}
	if !r.Accepted {
		fmt.Fprintln(o.err, r.Errors.Error())
		fmt.Fprintf(o.err, "%s: refused: %d errors\n", r.File, len(r.Errors))
		return
	}
	backends := 0
	for _, p := range c.Snapshot.Pools {
		backends += len(p.Backends)
	}
	fmt.Fprintf(o.out, "%s: ok: %d services, %d VIPs, %d backends, %d warnings\n",
		r.File, len(c.Snapshot.Services), len(c.Snapshot.VIPs), backends, len(r.Warnings))
}
