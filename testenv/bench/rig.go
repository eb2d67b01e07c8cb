package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"steelyard/dataplane"
	"steelyard/dataplane/maglev"
	"steelyard/testenv/netns"
)

// The rig's addresses. The lower 32 bits of a client's are 0 here and counted up
// by the generator.
var (
	vip4      = netip.MustParseAddr("203.0.113.53")
	vip6      = netip.MustParseAddr("2001:db8:53::53")
	noClient4 = netip.IPv4Unspecified()
	noClient6 = netip.MustParseAddr("2001:db8:c::")

	frontMAC = dataplane.MAC{2, 0, 0, 0, 1, 1}
	backMAC  = dataplane.MAC{2, 0, 0, 0, 2, 1}
	farMAC   = dataplane.MAC{2, 0, 0, 0, 2, 2}
)

const (
	firstClient4 = 10 << 24 // 10.0.0.0

	vipPort     = 53
	backendPort = 5353
	backends    = 16 // per family
)

// ringSize is that of a pool of so many backends in the product.
func ringSize() int { return maglev.Size(backends) }

// backendAddr returns the address of the i-th backend.
func backendAddr(i int, ipv6 bool) netip.AddrPort {
	a := netip.AddrFrom4([4]byte{10, 9, 0, byte(1 + i)})
	if ipv6 {
		a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(1 + i)})
	}
	return netip.AddrPortFrom(a, backendPort)
}

// rig is generator - gateway - far end, each in a namespace, with cables whose
// receiving ends have one queue for each CPU.
type rig struct {
	env   *netns.Env
	objs  rigObjects
	cpus  []int // those this process may run on
	front int   // ifindexes of the gateway
	back  int
	far   link.Link
	// fresh is the first flow number that ever-new flows have not had.
	fresh uint64
}

func rigWorld() netns.World {
	return netns.World{
		Hosts: []netns.Host{{Name: "generator"}, {Name: "gateway", XDP: true}, {Name: "far", XDP: true}},
		Links: []netns.Link{
			{A: netns.End{Host: "generator", Device: "eth0"}, B: netns.End{Host: "gateway", Device: "front", MAC: frontMAC}},
			{A: netns.End{Host: "gateway", Device: "back", MAC: backMAC}, B: netns.End{Host: "far", Device: "eth0", MAC: farMAC}},
		},
	}
}

// newRig raises the world and loads its programs. close undoes both.
func newRig(ctx context.Context) (r *rig, err error) {
	r = &rig{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
			r = nil
		}
	}()
	if err := rlimit.RemoveMemlock(); err != nil {
		return r, fmt.Errorf("raise memory lock limit: %w", err)
	}
	if r.cpus, err = allowedCPUs(); err != nil {
		return r, err
	}
	if err := r.load(); err != nil {
		return r, err
	}
	if r.env, err = netns.Raise(ctx, rigWorld()); err != nil {
		return r, err
	}
	return r, r.connect()
}

func (r *rig) load() error {
	spec, err := loadRig()
	if err != nil {
		return fmt.Errorf("read embedded rig: %w", err)
	}
	var vars rigVariableSpecs
	if err := spec.Assign(&vars); err != nil {
		return fmt.Errorf("read rig's variables: %w", err)
	}
	if err := errors.Join(vars.CfgFarMac.Set(farMAC), vars.CfgGatewayMac.Set(backMAC)); err != nil {
		return fmt.Errorf("configure rig: %w", err)
	}
	if err := spec.LoadAndAssign(&r.objs, nil); err != nil {
		return fmt.Errorf("load rig: %w", err)
	}
	return nil
}

// connect points the programs' redirects at the cables and attaches the
// counter.
func (r *rig) connect() error {
	generator, gateway, far := r.env.Host("generator"), r.env.Host("gateway"), r.env.Host("far")
	out, err := generator.Interface("eth0")
	if err != nil {
		return fmt.Errorf("find generator's device: %w", err)
	}
	front, err := gateway.Interface("front")
	if err != nil {
		return fmt.Errorf("find gateway's front device: %w", err)
	}
	back, err := gateway.Interface("back")
	if err != nil {
		return fmt.Errorf("find gateway's back device: %w", err)
	}
	r.front, r.back = front.Index, back.Index
	return errors.Join(
		generator.Do(func() error { return r.objs.Gateway.Put(uint32(0), uint32(out.Index)) }),
		gateway.Do(func() error { return r.objs.Far.Put(uint32(0), uint32(back.Index)) }),
		gateway.Do(func() error { return setQueues("front", len(r.cpus)) }),
		far.Do(func() error { return setQueues("eth0", len(r.cpus)) }),
		far.Do(func() error {
			device, err := far.Interface("eth0")
			if err != nil {
				return fmt.Errorf("find far end's device: %w", err)
			}
			r.far, err = attachNative(r.objs.Receive, device.Index)
			return err
		}),
	)
}

func attachNative(p *ebpf.Program, ifindex int) (link.Link, error) {
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: ifindex, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, fmt.Errorf("attach %s to device %d: %w", p, ifindex, err)
	}
	return l, nil
}

// close detaches, unloads and removes everything.
func (r *rig) close() error {
	var errs []error
	if r.far != nil {
		errs = append(errs, r.far.Close())
	}
	errs = append(errs, r.objs.Close())
	if r.env != nil {
		errs = append(errs, r.env.Close())
	}
	return errors.Join(errs...)
}

// received returns the frames that have come to the far end.
func (r *rig) received() (n uint64, err error) {
	var perCPU []uint64
	if err := r.objs.Received.Lookup(uint32(0), &perCPU); err != nil {
		return 0, fmt.Errorf("read far end's counter: %w", err)
	}
	for _, c := range perCPU {
		n += c
	}
	return n, nil
}
