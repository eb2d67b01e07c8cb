package reconcile

import (
	"context"
	"iter"
	"net/netip"

	"steelyard/dataplane"
)

// PacketPath is what the reconciler writes to; xdp.Balancer is one. A write of
// what is there already, or a delete of what is not, is no error; after an
// error any part of the write may have happened.
type PacketPath interface {
	attacher
	tableWriter
	flowReader
}

// attacher runs the program on devices.
type attacher interface {
	Attach(ifindex uint32, mode dataplane.AttachMode) (dataplane.AttachMode, error)
	Detach(ifindex uint32) error
	// CanSend tells whether the program can send frames out of a device.
	CanSend(ifindex uint32) bool
}

// tableWriter fills the program's tables.
type tableWriter interface {
	PutInterface(dataplane.Interface) error
	DeleteInterface(ifindex uint32) error
	PutRoutes(map[netip.Prefix]dataplane.NextHop) error
	DeleteRoutes([]netip.Prefix) error
	PutBackends([]dataplane.Backend) error
	ResetBackendCount(dataplane.BackendID) error
	ReplaceRing(dataplane.RingID, *dataplane.Ring) error
	PutOrigins(map[dataplane.OriginKey]dataplane.Origin) error
	DeleteOrigins([]dataplane.OriginKey) error
	PutServices(map[dataplane.ServiceKey]dataplane.Service) error
	DeleteServices([]dataplane.ServiceKey) error
	PutVIPs([]netip.Addr) error
	DeleteVIPs([]netip.Addr) error
}

// flowReader says which flows are remembered.
type flowReader interface {
	Flows() iter.Seq[dataplane.Flow]
	DirectOrigins() (map[uint32]dataplane.OriginKey, error)
	ClearDirect(dataplane.OriginKey) error
}

// Claim is a VIP and the link this box shall answer for it on.
type Claim struct {
	Addr    netip.Addr
	Ifindex uint32
	MAC     dataplane.MAC
}

// Claimer puts VIPs on links and says so to the network.
type Claimer interface {
	// Claim makes claims the whole set: what is new is added and
	// announced, what is missing is given up. One that fails does not
	// stop the others.
	Claim(ctx context.Context, claims []Claim) error
}
