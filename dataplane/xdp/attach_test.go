package xdp

import (
	"testing"

	"steelyard/dataplane"
	"steelyard/testenv/netns"
)

// A veth has native XDP, the loopback device has not.
func TestAttachFallsBackToGeneric(t *testing.T) {
	b := loadTest(t)
	env := netns.New(t, netns.World{
		Hosts: []netns.Host{{Name: "gw", XDP: true}, {Name: "peer"}},
		Links: []netns.Link{{A: netns.End{Host: "gw", Device: "eth0"}, B: netns.End{Host: "peer", Device: "eth0"}}},
	})
	gw := env.Host("gw")
	index := func(device string) uint32 {
		i, err := gw.Interface(device)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(i.Index)
	}
	tests := []struct {
		name   string
		device string
		mode   dataplane.AttachMode
		want   dataplane.AttachMode // "" = refused
	}{
		{"native where it can", "eth0", dataplane.AttachAuto, dataplane.AttachNative},
		{"generic where it must", "lo", dataplane.AttachAuto, dataplane.AttachGeneric},
		{"generic where it shall", "eth0", dataplane.AttachGeneric, dataplane.AttachGeneric},
		{"native or not at all", "lo", dataplane.AttachNative, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ifindex := index(tt.device)
			var got dataplane.AttachMode
			err := gw.Do(func() (err error) {
				got, err = b.Attach(ifindex, tt.mode)
				return err
			})
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Fatalf("attached as %q, %v; want %q", got, err, tt.want)
			}
			if can := b.CanSend(ifindex); can != (err == nil) {
				t.Errorf("can send to the device: %v", can)
			}
			if err := gw.Do(func() error { return b.Detach(ifindex) }); err != nil {
				t.Error(err)
			}
			if b.CanSend(ifindex) {
				t.Error("can send to a device that was left")
			}
		})
	}
}

// A native program cannot redirect to a device without native XDP: those
// frames are the kernel's.
func TestCannotSendFromNativeToGeneric(t *testing.T) {
	b := loadTest(t)
	env := netns.New(t, netns.World{
		Hosts: []netns.Host{{Name: "gw", XDP: true}, {Name: "peer"}},
		Links: []netns.Link{{A: netns.End{Host: "gw", Device: "eth0"}, B: netns.End{Host: "peer", Device: "eth0"}}},
	})
	gw := env.Host("gw")
	eth, err := gw.Interface("eth0")
	if err != nil {
		t.Fatal(err)
	}
	const lo = 1
	if err := gw.Do(func() error {
		if _, err := b.Attach(lo, dataplane.AttachAuto); err != nil {
			return err
		}
		if !b.CanSend(lo) {
			t.Error("generic alone: cannot send")
		}
		_, err := b.Attach(uint32(eth.Index), dataplane.AttachAuto)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if b.CanSend(lo) || !b.CanSend(uint32(eth.Index)) {
		t.Errorf("native and generic: can send to %v and %v, want to the native one only", b.CanSend(uint32(eth.Index)), b.CanSend(lo))
	}
}
