package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"steelyard/testenv/site"
)

func newUp(o *options) *cobra.Command {
	var backends int
	c := &cobra.Command{
		Use:   "up",
		Short: "Raise the demo's world and leave it up until Ctrl-C",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return up(cmd.Context(), o, backends) },
	}
	c.Flags().IntVar(&backends, "backends", 3, "how many backends")
	return c
}

func up(ctx context.Context, o *options, backends int) error {
	l, err := raise(ctx, o, backends)
	if err != nil {
		return err
	}
	ns := func(host string) string { return "ip netns exec " + l.env.Prefix() + "-" + host }
	fmt.Printf(`The world is up: client - gw - switch - b1 ... b%d. From another shell, as root:

  %s
      what the daemon does (add -o json for programs)
  %s
      what it was told; after a change: kill -HUP $(pidof steelyard)
  %s bash -c 'echo hi > /dev/udp/%s/%d'
      a datagram to the VIP; dig, curl and iperf3 work the same way
  %s bash
      a shell on the gateway (or client, b1, b2, ...)
  bpftool map dump pinned %s/services
      the packet path's tables

Ctrl-C takes it down.
`, backends, strings.Join(l.daemon.CommandLine("status"), " "), "cat "+l.daemon.ConfigFile(),
		ns(site.Client), site.VIP4, vipPort, ns(site.Gateway), l.daemon.Pins())
	return errors.Join(l.daemon.WaitEnd(ctx), l.close())
}
