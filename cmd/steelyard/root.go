package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// options are the flags that every verb has.
type options struct {
	env
	config   string
	runDir   string
	stateDir string
	pinPath  string
	output   string
}

func newRoot(e env) *cobra.Command {
	o := &options{env: e}
	root := &cobra.Command{
		Use:   "steelyard",
		Short: "Spread TCP and UDP over backends, at the speed of the NIC",
		Long: `Steelyard turns a Linux gateway into a load balancer: an XDP program rewrites
and forwards packets, this daemon tells it where to.

  1. Write a config: the smallest one is
       version: 1
       interfaces: { eth0: {} }
       services:
         dns: { vip: 203.0.113.53, ports: [53/udp], backends: [10.20.0.11:53, 10.20.0.12:53] }
  2. steelyard check -c FILE     says what is wrong with it
  3. steelyard run -c FILE       puts it in force, until it is stopped
  4. steelyard status            says what it does

Exit codes: 0 ok, 1 failed, 2 usage, 3 config refused, 5 daemon unreachable,
8 degraded (status --exit-code).`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	f := root.PersistentFlags()
	f.StringVarP(&o.config, "config", "c", "/etc/steelyard/steelyard.yaml", "config `FILE`")
	f.StringVar(&o.runDir, "run-dir", "/run/steelyard", "`DIR` of the admin socket")
	f.StringVar(&o.stateDir, "state-dir", "/var/lib/steelyard", "`DIR` of what outlives the daemon")
	f.StringVar(&o.pinPath, "pin-path", "/sys/fs/bpf/steelyard", "`DIR` on bpffs for the program and its tables")
	f.StringVarP(&o.output, "output", "o", "table", "output as `FORMAT`: table or json")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if o.output != "table" && o.output != "json" {
			return fmt.Errorf("%w: -o %s: must be table or json", errUsage, o.output)
		}
		return nil
	}
	root.AddCommand(newRun(o), newCheck(o), newStatus(o), newVersion(o))
	for _, c := range root.Commands() {
		c.Args = usageArgs(c.Args)
	}
	root.Args = usageArgs(cobra.NoArgs)
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return root
}

// usageArgs marks complaints about arguments as usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %w; see `%s --help`", errUsage, err, cmd.CommandPath())
		}
		return nil
	}
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
