package config

import (
	"net/netip"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// file is what a config file says, before names are looked up. Every list is
// in the order of the file.
type file struct {
	node       string
	log        Log
	flows      model.Flows
	announce   model.Announce
	interfaces []*iface
	vips       []*vip
	pools      []*pool // the inline ones of services too
	services   []*service
	// at is where sections that are missing would be.
	at where
	// servicesAt is the services section, or at.
	servicesAt where
	// interfacesAt is the interfaces section, or at.
	interfacesAt where
	// interfacesGiven is set if there are any, or what is wrong with them
	// has been reported.
	interfacesGiven bool
}

// ref is the use of a name or address; text is "" where there is none that
// could be looked up.
type ref struct {
	text string
	at   where
}

// place is an address of the file.
type place struct {
	addr netip.Addr
	at   where
}

type iface struct {
	name     string
	at       where
	device   string // "" = refused
	deviceAt where
	xdp      model.XDPMode
}

type vip struct {
	name  string
	at    where
	iface ref
	addrs []place
	used  bool
}

type pool struct {
	name     string
	at       where
	inline   bool // the backends of the service of that name
	backends []backend
	// complete is false if a backend of it was refused: what follows from
	// the set of its backends is not to be reported.
	complete bool
	used     bool
	// has4 and has6 say which families it has backends of; set by validate.
	has4, has6 bool
}

func (p *pool) has(is4 bool) bool { return is4 && p.has4 || !is4 && p.has6 }

type backend struct {
	name   string // "" = none given
	nameAt where
	addr   netip.AddrPort
	addrAt where
	weight int
}

type portAt struct {
	model.Port
	at where
}

type service struct {
	name      string
	at        where
	vip       ref
	ports     []portAt
	pool      ref   // to a named pool
	inline    *pool // or one of its own; both unset after an error
	mode      dataplane.Mode
	track     dataplane.Track
	trackAt   where
	udpIdle   time.Duration // 0 = that of flows
	udpIdleAt where

	// Set by validate.
	vips    []netip.Addr
	vipName string
	members *pool
}

// proto returns true if the service has a port of that protocol.
func (s *service) proto(p dataplane.Protocol) bool {
	for _, port := range s.ports {
		if port.Proto == p {
			return true
		}
	}
	return false
}
