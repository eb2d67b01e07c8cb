package netns

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// broadcast is a frame of an experimental EtherType with n as its content.
func broadcast(n byte) []byte {
	frame := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 9, 0x88, 0xb5)
	return append(frame, bytes.Repeat([]byte{n}, 50)...)
}

// redirectTo is a program that sends every frame to another device.
func redirectTo(ifindex int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, int32(ifindex)),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	}
}

// TestXDPTransmit sends frames one at a time: a frame that is only delivered
// when the next one comes is not good enough.
func TestXDPTransmit(t *testing.T) {
	RequireRoot(t)
	freeGateway := func(w World) World {
		w.Hosts[1].XDP = true
		return w
	}
	tests := []struct {
		name   string
		world  World
		device string // of the gateway, where the program goes
		to     string // device of the gateway to redirect to; "" = XDP_TX
		at     string // host where the frame has to arrive
	}{
		{"back into a switch", freeGateway(lan()), "eth0", "", "backend"},
		{"back into a cable", freeGateway(twoArmed()), "front", "", "client"},
		{"on into a cable", freeGateway(twoArmed()), "front", "back", "backend"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := New(t, tt.world)
			gw := env.Host("gw")
			program := asm.Instructions{asm.Mov.Imm(asm.R0, xdpTX), asm.Return()}
			if tt.to != "" {
				out, err := gw.Interface(tt.to)
				if err != nil {
					t.Fatal(err)
				}
				program = redirectTo(out.Index)
			}
			if err := gw.Do(func() error { return attachXDP(tt.device, program) }); err != nil {
				t.Fatal(err)
			}
			c := capture(t, env.Host(tt.at), "eth0")
			for n := range byte(5) {
				frame := broadcast(n)
				if err := env.Host("client").Send("eth0", frame); err != nil {
					t.Fatal(err)
				}
				// A switch delivers the original as well as the answer.
				want := 1
				if tt.at == "backend" && tt.to == "" {
					want = 2
				}
				WaitFor(t, func() bool { return incoming(c, frame) == want }, "the frame")
			}
			if _, err := c.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func incoming(c *Capture, frame []byte) int {
	n := 0
	for _, f := range c.Frames() {
		if !f.Outgoing && bytes.Equal(f.Data, frame) {
			n++
		}
	}
	return n
}

func TestOffloads(t *testing.T) {
	RequireRoot(t)
	env := New(t, lan())
	for _, s := range env.spaces {
		links, err := s.nl.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if l.Type() != "veth" {
				continue
			}
			for _, o := range offloads() {
				err := s.do(func() error {
					got, err := ethtool(l.Attrs().Name, o.get, 0)
					if err == nil && (got != 0) != o.on {
						err = errors.New("wrong value")
					}
					return err
				})
				if err != nil {
					t.Errorf("%s %s: %s: %v", s.name, l.Attrs().Name, o.name, err)
				}
			}
		}
	}
}
