package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"steelyard/dataplane"
	"steelyard/testenv/packet"
)

// Traffic is what the generator makes: frames of 64 bytes with the trailing
// checksum, or as short as the headers allow where that is more.
type Traffic struct {
	Proto dataplane.Protocol
	IPv6  bool
	// Reply makes them a backend's answers to clients; UDP only.
	Reply bool
	// Flows is how many there are, in turn, split between the CPUs as a NIC
	// would. 0 = every packet starts a new one.
	Flows int
}

// String returns "udp4", "udp6 replies" and the like.
func (t Traffic) String() string {
	s := t.Proto.String() + "4"
	if t.IPv6 {
		s = t.Proto.String() + "6"
	}
	if t.Reply {
		s += " replies"
	}
	return s
}

const (
	minFrame = 60
	// batch is how many frames the kernel makes before it lets the gateway
	// have them; a veth queue holds 256.
	batch = 64
	// chunk is how many frames one system call makes: long enough that its
	// start does not count, short enough to be cancelled.
	chunk = 1 << 16
)

// frame builds the first frame, with 0 for the lower half of the client's address
// and for its port; the generator fills both in.
func (t Traffic) frame() []byte {
	src, dst, headers := noClient4, vip4, 14+20
	if t.IPv6 {
		src, dst, headers = noClient6, vip6, 14+40
	}
	srcPort, dstPort := uint16(0), uint16(vipPort)
	if t.Reply {
		backend := backendAddr(0, t.IPv6)
		src, dst, srcPort, dstPort = backend.Addr(), src, backend.Port(), 0
	}
	layers := []packet.Layer{
		packet.Ether{Src: dataplane.MAC{2, 0, 0, 0, 1, 2}, Dst: frontMAC},
		packet.IP{Src: src, Dst: dst},
	}
	if t.Proto == dataplane.TCP {
		headers += 20
		layers = append(layers, packet.TCP{Src: srcPort, Dst: dstPort, Flags: "A"})
	} else {
		headers += 8
		layers = append(layers, packet.UDP{Src: srcPort, Dst: dstPort})
	}
	return packet.Build(append(layers, packet.Payload(max(0, minFrame-headers)))...)
}

// toTraffic returns the kernel form. A checksum's complement is the sum of what
// it covers, to which the generator adds client and port.
func (t Traffic) toTraffic(frame []byte) rigTraffic {
	var k rigTraffic
	copy(k.Headers[:], frame)
	l4 := 14 + 40
	if !t.IPv6 {
		l4 = 14 + 20
		k.Client = firstClient4
		k.IpSum = sumOf(frame[14+10:])
	}
	check := l4 + 6
	if t.Proto == dataplane.TCP {
		check = l4 + 16
	}
	k.L4Sum = sumOf(frame[check:])
	return k
}

func sumOf(check []byte) uint32 { return uint32(^binary.LittleEndian.Uint16(check)) }

func (r *rig) generator(t Traffic) *ebpf.Program {
	switch {
	case t.Reply && t.IPv6:
		return r.objs.GenerateReplyUdp6
	case t.Reply:
		return r.objs.GenerateReplyUdp4
	case t.Proto == dataplane.TCP && t.IPv6:
		return r.objs.GenerateTcp6
	case t.Proto == dataplane.TCP:
		return r.objs.GenerateTcp4
	case t.IPv6:
		return r.objs.GenerateUdp6
	}
	return r.objs.GenerateUdp4
}

// aim tells the generator what to make on the first n CPUs.
func (r *rig) aim(t Traffic, frame []byte, n int) error {
	cursors := make([]rigCursor, ebpf.MustPossibleCPU())
	for i, cpu := range r.cpus[:n] {
		first := uint64(i)
		end := uint64(max(t.Flows, n))
		if t.Flows == 0 {
			first, end = r.fresh+uint64(i), math.MaxUint64
		}
		cursors[cpu] = rigCursor{Next: first, First: first, Step: uint64(n), End: end}
	}
	err := errors.Join(
		r.objs.Traffic.Put(uint32(0), t.toTraffic(frame)),
		r.objs.Cursors.Put(uint32(0), cursors),
	)
	if err != nil {
		return fmt.Errorf("aim generator: %w", err)
	}
	return nil
}

// send makes packets frames on each of the first n CPUs at once and returns when the
// last one has been through. The program at the gateway may have seen fewer.
func (r *rig) send(ctx context.Context, t Traffic, n, packets int) error {
	frame := t.frame()
	if err := r.aim(t, frame, n); err != nil {
		return err
	}
	if t.Flows == 0 {
		// A system call that a signal interrupts is made anew.
		r.fresh += 2 * uint64(n) * uint64(packets)
	}
	program := r.generator(t)
	var running []<-chan error
	for _, cpu := range r.cpus[:n] {
		running = append(running, onCPU(cpu, func() error { return live(ctx, program, frame, packets) }))
	}
	var errs []error
	for _, done := range running {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// live runs a program on frames that go where it says.
func live(ctx context.Context, program *ebpf.Program, frame []byte, packets int) error {
	for left := packets; left > 0; left -= chunk {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("send frames: %w", err)
		}
		_, err := program.Run(&ebpf.RunOptions{
			Data:      frame,
			Repeat:    uint32(min(left, chunk)),
			Flags:     unix.BPF_F_TEST_XDP_LIVE_FRAMES,
			BatchSize: batch,
		})
		if err != nil {
			return fmt.Errorf("send frames: %w", err)
		}
	}
	return nil
}
