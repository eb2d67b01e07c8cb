package main

import (
	"errors"
	"fmt"
	"time"

	"steelyard/control/model"
	"steelyard/control/reconcile"
	"steelyard/dataplane/xdp"
)

// routeCapacity is how many routes and neighbours are mirrored; the watcher
// mirrors no more of either family.
const routeCapacity = 2 * 16384

// longestIdle is the longest idle time that a config may name: tables are
// loaded for it, so that a later config can use it.
const longestIdle = 24 * time.Hour

// loadOptions sizes the tables for a config, with room for it to grow.
func loadOptions(snap *model.Snapshot) xdp.Options {
	d := reconcile.DemandOf(snap)
	return xdp.Options{
		Sizes: xdp.Sizes{
			Flows:    snap.Flows.Capacity,
			Services: room(d.Services, 1024),
			VIPs:     room(d.VIPs, 1024),
			Origins:  room(d.Origins, 4096),
			Backends: room(d.Backends, 4096),
			Rings:    room(d.Rings, 1024),
			Slots:    slotsFor(d) + d.Slots/4 + 1<<18,
			Routes:   routeCapacity,
		},
		Closing:     snap.Flows.TCPClosing,
		LongestIdle: longestIdle,
	}
}

func room(need, least int) int { return max(need+need/2, least) }

// slotsFor is the least that a config can live with: its rings, each with a
// header, and place for the largest beside the one it replaces, twice.
func slotsFor(d reconcile.Demand) int { return d.Slots + d.Rings + 2*d.LargestRing }

// fits says what of a config is more than the tables were loaded for. They
// keep their size until the daemon is started again.
func fits(snap *model.Snapshot, loaded xdp.Options) error {
	d := reconcile.DemandOf(snap)
	var errs []error
	check := func(what string, need, have int) {
		if need > have {
			errs = append(errs, fmt.Errorf("%d %s are more than the %d there was room for at start: restart the daemon to load larger tables", need, what, have))
		}
	}
	check("services (VIP, port and protocol)", d.Services, loaded.Services)
	check("VIPs", d.VIPs, loaded.VIPs)
	check("backend addresses and protocols", d.Origins, loaded.Origins)
	check("backends", d.Backends, loaded.Backends)
	check("pools in an address family", d.Rings, loaded.Rings)
	check("ring slots", slotsFor(d), loaded.Slots)
	return errors.Join(errs...)
}

// fixed names what a config changes that holds only from the next start on.
func fixed(snap *model.Snapshot, loaded xdp.Options) []string {
	var list []string
	if snap.Flows.Capacity != loaded.Flows {
		list = append(list, "flows.capacity")
	}
	if snap.Flows.TCPClosing != loaded.Closing {
		list = append(list, "flows.tcp.closing")
	}
	return list
}
