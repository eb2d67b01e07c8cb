package cases

import (
	"slices"
	"time"

	"steelyard/dataplane"
	"steelyard/testenv/model"
	"steelyard/testenv/packet"
)

// Case is one rule: a gateway and packets that show it.
type Case struct {
	Name  string
	Box   *model.Box // fresh; Process has seen nothing yet
	Steps []Step
}

// Step is one packet, after what happened before it.
type Step struct {
	Wait   time.Duration
	Change func(*model.Box) // nil = nothing
	// From is the device it comes in by; 0 = Outside.
	From    uint32
	In      []packet.Layer
	Verdict dataplane.Verdict
	// Out is what leaves; nil: untouched if it passes, nothing if dropped.
	Out []packet.Layer
	// To is the device it leaves by; valid iff it is sent or answered.
	To uint32
}

// All returns the cases of both families.
func All(d Devices) []Case {
	var all []Case
	for _, f := range families() {
		s := script{family: f, d: d}
		for _, c := range slices.Concat(s.forward(), s.replies(), s.passes(), s.drops(), s.answers(), s.flows(), s.shared(),
			s.errors(), s.notErrors(), s.pieces(), s.extensions(), s.badSources()) {
			if c.Box == nil {
				c.Box = f.gateway(d)
			}
			c.Name = f.name + " " + c.Name
			all = append(all, c)
		}
	}
	return all
}

// WantFrame is the frame that a step expects; nil after a drop.
func (s Step) WantFrame() []byte {
	switch {
	case s.Verdict.Action() == dataplane.ActionDrop:
		return nil
	case s.Out == nil:
		return packet.Build(s.In...)
	}
	return packet.Build(s.Out...)
}

// script writes the cases of one family.
type script struct {
	family
	d Devices
}

func one(name string, s Step) Case { return Case{Name: name, Steps: []Step{s}} }

// The layers of which most packets are made.

func (s script) fromClient() packet.Ether { return packet.Ether{Src: macRouter, Dst: macOutside} }

func (s script) fromBackend(id dataplane.BackendID) packet.Ether {
	return packet.Ether{Src: macOf(id), Dst: macInside}
}

func (s script) toBackend(id dataplane.BackendID) packet.Ether {
	return packet.Ether{Src: macInside, Dst: macOf(id)}
}

func (s script) toClient() packet.Ether { return packet.Ether{Src: macOutside, Dst: macRouter} }

func (s script) ipIn() packet.IP { return packet.IP{Src: s.client, Dst: s.vip, ID: 7} }

func (s script) ipOut(id dataplane.BackendID) packet.IP {
	return packet.IP{Src: s.client, Dst: s.addr[id], ID: 7, TTL: 63}
}

func tcpTo(port uint16, flags string) packet.TCP {
	return packet.TCP{Src: clientPort, Dst: port, Flags: flags, Seq: 1000, Ack: 2000}
}

func udpTo(port uint16) packet.UDP { return packet.UDP{Src: clientPort, Dst: port} }

func tcpBack(port uint16, flags string) packet.TCP {
	return packet.TCP{Src: port, Dst: clientPort, Flags: flags, Seq: 5000, Ack: 6000}
}

func stack(ls ...packet.Layer) []packet.Layer { return ls }

// with returns a copy of v after change.
func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

// backend changes a backend of a box.
func backend(id dataplane.BackendID, change func(*dataplane.Backend)) func(*model.Box) {
	return func(b *model.Box) { b.Backends[id] = with(b.Backends[id], change) }
}

// nextHop changes the way to a backend.
func nextHop(id dataplane.BackendID, change func(*dataplane.NextHop)) func(*model.Box) {
	return backend(id, func(b *dataplane.Backend) { change(&b.Next) })
}

func kill(id dataplane.BackendID) func(*model.Box) {
	return backend(id, func(b *dataplane.Backend) { b.Alive = false })
}

// setRing replaces the web ring by one of equal slots.
func setRing(slot dataplane.Slot) func(*model.Box) {
	return func(b *model.Box) { b.Rings[ringWeb] = ringOf(slot) }
}

func both(changes ...func(*model.Box)) func(*model.Box) {
	return func(b *model.Box) {
		for _, change := range changes {
			change(b)
		}
	}
}
