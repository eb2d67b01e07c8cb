package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"steelyard/control/announce"
	"steelyard/control/api"
	"steelyard/control/config"
	"steelyard/control/model"
	"steelyard/control/reconcile"
	"steelyard/control/store"
	"steelyard/control/vip"
	"steelyard/dataplane/neigh"
	"steelyard/dataplane/xdp"
)

// daemon is everything that runs, wired together.
type daemon struct {
	o         *options
	log       *slog.Logger
	namespace net.Listener // held while this is the namespace's only daemon
	pins      *xdp.Pins
	path      *packetPath
	loaded    xdp.Options // what path was sized for
	addresses *vip.Addresses
	watcher   *vip.Watcher
	sender    *neigh.Sender
	announcer *announce.Announcer
	store     store.Store
	rec       *reconcile.Reconciler
	api       *api.Server
	// refused is why the last reload was refused; "" = it was not.
	refused atomic.Pointer[string]
}

// newDaemon opens all that is needed and puts the packet path into the kernel,
// attached to nothing. On an error nothing stays.
func newDaemon(o *options, snap *model.Snapshot, log *slog.Logger) (d *daemon, err error) {
	d = &daemon{o: o, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.namespace, err = holdNamespace(); err != nil {
		return d, err
	}
	if d.pins, err = xdp.OpenPins(o.pinPath); err != nil {
		return d, err
	}
	d.loaded = loadOptions(snap)
	balancer, err := xdp.Load(d.loaded)
	if err != nil {
		return d, err
	}
	d.path = newPacketPath(balancer, log)
	if err := d.pins.Pin(balancer); err != nil {
		return d, err
	}
	if d.addresses, err = vip.NewAddresses(); err != nil {
		return d, err
	}
	if d.watcher, err = vip.NewWatcher(log); err != nil {
		return d, err
	}
	d.sender = neigh.NewSender(vip.Forwarding(true))
	d.announcer = announce.New(d.sender, snap.Announce, announce.Options{Log: log})
	d.put(snap)
	d.rec = reconcile.New(&d.store, d.watcher, d.path, &claimer{addresses: d.addresses, announcer: d.announcer}, log)
	d.api, err = api.Listen(o.runDir, &statusProvider{d})
	return d, err
}

// put makes a snapshot the desired state.
func (d *daemon) put(snap *model.Snapshot) *model.Snapshot {
	carriers := make([]string, len(snap.Interfaces))
	for i, iface := range snap.Interfaces {
		carriers[i] = iface.Device
	}
	d.watcher.SetCarriers(carriers)
	d.announcer.SetTiming(snap.Announce)
	for _, v6 := range []bool{false, true} {
		if usesFamily(snap, v6) && !vip.Forwarding(v6) {
			d.log.Warn("the kernel does not forward packets: those whose next hop is not known yet are lost; enable net.ipv4.ip_forward and net.ipv6.conf.all.forwarding", "ipv6", v6)
		}
	}
	return d.store.Replace(snap)
}

func usesFamily(snap *model.Snapshot, v6 bool) bool {
	for _, v := range snap.VIPs {
		if v.Addr.Is6() == v6 {
			return true
		}
	}
	return false
}

// run works until ctx ends, or one of its parts fails.
func (d *daemon) run(ctx context.Context, hup <-chan os.Signal) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.watcher.Run(ctx) })
	group.Go(func() error { return d.rec.Run(ctx) })
	group.Go(func() error { return d.announcer.Run(ctx) })
	group.Go(func() error { return d.api.Run(ctx) })
	group.Go(func() error {
		d.reloads(ctx, hup)
		return nil
	})
	d.log.Info("running", "version", version, "config", d.o.config, "socket", d.o.runDir+"/"+api.SocketName)
	d.notify(sd.SdNotifyReady)
	err := group.Wait()
	d.notify(sd.SdNotifyStopping)
	return err
}

// notify tells systemd, if it started the daemon.
func (d *daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Warn("cannot notify the service manager", "err", err)
	}
}

func (d *daemon) reloads(ctx context.Context, hup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			d.notify(sd.SdNotifyReloading)
			d.reload()
			d.notify(sd.SdNotifyReady)
		}
	}
}

// reload takes the config file anew, whole or not at all.
func (d *daemon) reload() {
	cfg, err := config.Load(d.o.config)
	if err == nil {
		err = fits(cfg.Snapshot, d.loaded)
	}
	if err != nil {
		text := err.Error()
		d.refused.Store(&text)
		d.log.Error("config refused; the one before stays in force", "config", d.o.config, "err", err)
		return
	}
	d.refused.Store(nil)
	for _, key := range fixed(cfg.Snapshot, d.loaded) {
		d.log.Warn("this change holds from the next start of the daemon on", "key", key)
	}
	snap := d.put(cfg.Snapshot)
	d.log.Info("config taken", "config", d.o.config, "revision", snap.Revision)
}

// closeTimeout is how long removing the VIPs may take at the end.
const closeTimeout = 10 * time.Second

// close gives up the VIPs, detaches the program and frees everything, in that
// order: neighbours stop sending before nobody answers.
func (d *daemon) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	if d.addresses != nil {
		errs = append(errs, d.addresses.RemoveAll(ctx))
		d.addresses.Close()
	}
	if d.watcher != nil {
		d.watcher.Close()
	}
	if d.sender != nil {
		errs = append(errs, d.sender.Close())
	}
	if d.path != nil {
		errs = append(errs, d.path.close())
	}
	if d.pins != nil {
		errs = append(errs, d.pins.Close())
	}
	if d.namespace != nil {
		errs = append(errs, d.namespace.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}
