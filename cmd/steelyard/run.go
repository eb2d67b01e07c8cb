package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"steelyard/control/config"
)

func newRun(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Puts the config in force: loads the XDP program, attaches it to the configured
devices, adds the VIPs and announces them. Needs root and Linux 6.1 or newer.

SIGHUP reads the config again: it is taken whole or refused whole. SIGTERM and
SIGINT remove the VIPs, detach the program and leave nothing behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDaemon(cmd.Context(), o) },
	}
}

func runDaemon(ctx context.Context, o *options) error {
	cfg, err := config.Load(o.config)
	if err != nil {
		return refuse(o, err)
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(o.err, "warning: %s\n%s", w.Error(), w.Excerpt())
	}
	if err := preflight(cfg.Snapshot); err != nil {
		return err
	}
	log := newLogger(o, cfg.Log)
	d, err := newDaemon(o, cfg.Snapshot, log)
	if err != nil {
		return explainStart(err)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, unix.SIGHUP)
	defer signal.Stop(hup)
	err = d.run(ctx, hup)
	return errors.Join(err, d.close())
}

// refuse reports why a config was not taken.
func refuse(o *options, err error) error {
	var errs config.Errors
	if !errors.As(err, &errs) {
		return err
	}
	fmt.Fprintln(o.err, errs.Error())
	return &codedError{code: exitRefused, err: fmt.Errorf("%s refused: %d errors", o.config, len(errs))}
}

func newLogger(o *options, l config.Log) *slog.Logger {
	opts := &slog.HandlerOptions{Level: l.Level}
	if l.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(o.err, opts))
	}
	return slog.New(slog.NewTextHandler(o.err, opts))
}
