// Command lab is the laboratory: worlds in network namespaces with the real
// daemon in them, to look at, to demonstrate and to measure. It is never
// shipped.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		return 1
	}
	return 0
}

// options are the flags that every verb has.
type options struct{ binary string }

func newRoot() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:               "lab",
		Short:             "Steelyard's laboratory, in network namespaces of its own",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return o.check() },
	}
	root.PersistentFlags().StringVar(&o.binary, "steelyard", "", "the steelyard `BINARY` (default: the one beside this program)")
	root.AddCommand(newDemo(o), newUp(o), newBench())
	return root
}

func (o *options) check() error {
	if unix.Geteuid() != 0 {
		return errors.New("network namespaces and XDP need root: run it with sudo")
	}
	if o.binary == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		o.binary = filepath.Join(filepath.Dir(self), "steelyard")
	}
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("%w: build it with `make build`", err)
	}
	return nil
}
