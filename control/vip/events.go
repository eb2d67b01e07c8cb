package vip

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// listing is a set of the kernel's listings.
type listing uint32

const (
	listLinks listing = 1 << iota
	listAddrs
	listRoutes
	listNeighs
	listRules

	listAll = listLinks | listAddrs | listRoutes | listNeighs | listRules
)

// eventBufferBytes holds the burst of a few thousand changed routes. When it
// runs over the kernel says so and everything is read again.
const eventBufferBytes = 1 << 20

var errClosed = errors.New("watcher is closed")

func subscribe() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV4_RULE,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE,
		unix.RTNLGRP_NEXTHOP)
	if err != nil {
		return nil, fmt.Errorf("subscribe to network events: %w", err)
	}
	if s.SetReceiveBufferSize(eventBufferBytes, true) != nil {
		// Without CAP_NET_ADMIN the system's limit holds.
		_ = s.SetReceiveBufferSize(eventBufferBytes, false)
	}
	return s, nil
}

// listen turns events into stale listings until the socket is closed. Events
// say only what to read again: whatever their order, the outcome is what the
// kernel has now.
func (w *Watcher) listen() error {
	for {
		msgs, _, err := w.events.Receive()
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOBUFS):
			w.markStale(listAll)
			continue
		case isClosed(w.closed):
			return errClosed
		default:
			w.log.Warn("cannot receive network events", "err", err)
			w.markStale(listAll)
			select {
			case <-w.closed:
				return errClosed
			case <-time.After(readRetry):
			}
			continue
		}
		var l listing
		for _, m := range msgs {
			l |= touched(m.Header.Type, m.Data)
		}
		if l != 0 {
			w.markStale(l)
		}
	}
}

// touched says what an event makes stale.
func touched(kind uint16, m []byte) listing {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// A link that goes down takes addresses and routes with it, and the
		// kernel does not name all of them.
		return listLinks | listAddrs | listRoutes | listNeighs
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return listAddrs | listRoutes
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if isMirrored(m) {
			return listRoutes
		}
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return listRoutes
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if _, ok := parseNeighbour(m); ok {
			return listNeighs
		}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return listRules
	}
	return 0
}

func (w *Watcher) markStale(l listing) {
	w.stale.Or(uint32(l))
	w.signal()
}

// read reads the listings of l; those that fail stay stale.
func (w *Watcher) read(l listing) (err error) {
	defer func() {
		if err != nil {
			w.stale.Or(uint32(l))
		}
	}()
	s := &w.state
	if l&listLinks != 0 {
		if s.links, err = w.conn.links(); err != nil {
			return err
		}
	}
	if l&listAddrs != 0 {
		if s.addrs, err = w.conn.addresses(); err != nil {
			return err
		}
	}
	if l&listRules != 0 {
		if s.rules, err = w.conn.policyRules(); err != nil {
			return err
		}
	}
	if l&listRoutes != 0 {
		if s.routes, s.tooMany, err = w.conn.allRoutes(); err != nil {
			return err
		}
	}
	if l&listNeighs != 0 {
		if s.neighs, err = w.conn.neighbours(); err != nil {
			return err
		}
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
