package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sync/errgroup"

	"steelyard/testenv/netns"
	"steelyard/testenv/site"
	"steelyard/testenv/traffic"
)

// backendPort is where the laboratory's backends listen, vipPort where the
// service is.
const (
	backendPort = 9000
	vipPort     = 7000
)

// lab is a raised site with servers and the daemon.
type lab struct {
	env    *netns.Env
	dir    string
	known  map[string]bool // addresses of the gateway without the daemon
	daemon *site.Daemon
	stop   context.CancelFunc
	served *errgroup.Group
}

// raise brings up a two-armed site with n backends that answer with their
// names, and the daemon. On an error nothing stays.
func raise(ctx context.Context, o *options, n int) (l *lab, err error) {
	l = &lab{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.env, err = netns.Raise(ctx, site.World(n)); err != nil {
		return l, err
	}
	if l.dir, err = os.MkdirTemp("", "steelyard-lab-"); err != nil {
		return l, fmt.Errorf("make directory: %w", err)
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop, l.served = stop, &errgroup.Group{}
	for i := 1; i <= n; i++ {
		s, err := traffic.Listen(ctx, l.env.Host(site.Backend(i)), site.Backend(i),
			netip.AddrPortFrom(site.Backend4(i), backendPort), netip.AddrPortFrom(site.Backend6(i), backendPort))
		if err != nil {
			return l, err
		}
		l.served.Go(func() error { return s.Run(serving) })
	}
	gateway := l.env.Host(site.Gateway)
	if err := gateway.Do(func() (err error) { l.known, err = site.Addresses(); return err }); err != nil {
		return l, err
	}
	config := site.Config{Port: backendPort, Backends: site.Members(n)}
	l.daemon, err = site.Start(ctx, gateway, o.binary, l.dir, config.String())
	return l, err
}

// close takes everything down again, the daemon first: it removes what it
// added.
func (l *lab) close() error {
	var errs []error
	if l.daemon != nil {
		errs = append(errs, l.daemon.Stop())
	}
	if l.stop != nil {
		l.stop()
		errs = append(errs, l.served.Wait())
	}
	if l.env != nil {
		errs = append(errs, l.env.Close())
	}
	if l.dir != "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}
