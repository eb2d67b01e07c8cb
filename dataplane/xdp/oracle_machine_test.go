package xdp_test

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"steelyard/dataplane"
	"steelyard/dataplane/xdp"
	"steelyard/testenv/model"
	"steelyard/testenv/model/cases"
	"steelyard/testenv/netns"
	"steelyard/testenv/packet"
)

// machine is the loaded program and the oracle side by side. Configuration and
// time are set in the oracle's box; apply brings the program up to them.
type machine struct {
	tb      testing.TB
	opts    xdp.Options
	program *xdp.Balancer
	box     *model.Box
	applied *model.Box // what the program was told
}

// onMachine runs f inside a namespace with devices, on one CPU: the program
// counts its ICMP errors per CPU.
func onMachine(tb testing.TB, f func(cases.Devices)) {
	tb.Helper()
	gw := newGateway(tb)
	// Never unlocked: the thread ends with the test's goroutine and takes
	// its affinity with it.
	runtime.LockOSThread()
	stayOnOneCPU(tb)
	err := gw.Do(func() error {
		f(quietDevices(tb))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// newGateway raises a host with the devices that programs are run on.
func newGateway(tb testing.TB) *netns.HostEnv {
	tb.Helper()
	end := func(host, device string) netns.End { return netns.End{Host: host, Device: device} }
	env := netns.New(tb, netns.World{
		Hosts: []netns.Host{{Name: "gw", XDP: true}, {Name: "net"}},
		Links: []netns.Link{
			{A: end("gw", "outside"), B: end("net", "o")},
			{A: end("gw", "inside"), B: end("net", "i")},
			{A: end("gw", "stray"), B: end("net", "s")},
		},
	})
	return env.Host("gw")
}

// quietDevices takes the devices of the thread's namespace down, so that
// nothing but test runs meets the program.
func quietDevices(tb testing.TB) (d cases.Devices) {
	tb.Helper()
	for name, ifindex := range map[string]*uint32{"outside": &d.Outside, "inside": &d.Inside, "stray": &d.Stray} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			tb.Fatalf("find device %s: %v", name, err)
		}
		if err := netlink.LinkSetDown(link); err != nil {
			tb.Fatalf("take %s down: %v", name, err)
		}
		*ifindex = uint32(link.Attrs().Index)
	}
	return d
}

// stayOnOneCPU keeps the thread on the first CPU it may use.
func stayOnOneCPU(tb testing.TB) {
	tb.Helper()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		tb.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		tb.Fatal(err)
	}
}

// newMachine loads a program for a box, with room for so many flows.
func newMachine(tb testing.TB, box *model.Box, flows int) *machine {
	tb.Helper()
	m := &machine{tb: tb, box: box, opts: xdp.Options{
		Sizes:   xdp.Sizes{Flows: flows, Services: 64, VIPs: 64, Origins: 64, Backends: 4095, Rings: 16, Slots: 1 << 13, Routes: 64},
		Closing: box.Closing, LongestIdle: time.Hour, AnswersPerSecond: int(box.AnswersPerSecond), Test: true,
	}}
	m.load()
	tb.Cleanup(func() { m.close() })
	return m
}

// close may be called more than once.
func (m *machine) close() {
	if m.program == nil {
		return
	}
	if err := m.program.Close(); err != nil {
		m.tb.Errorf("close program: %v", err)
	}
	m.program = nil
}

func (m *machine) load() {
	m.tb.Helper()
	program, err := xdp.Load(m.opts)
	if err != nil {
		m.tb.Fatalf("%+v", err)
	}
	m.program, m.applied = program, model.New()
	for _, ifindex := range slices.Sorted(maps.Keys(m.box.Devices)) {
		_, err := program.Attach(ifindex, dataplane.AttachNative)
		m.must(err)
	}
	m.apply()
}

// restart is a fresh program with empty tables and the same configuration.
func (m *machine) restart() {
	m.tb.Helper()
	m.close()
	m.box.Restart()
	m.load()
}

func (m *machine) must(err error) {
	if err != nil {
		m.tb.Helper()
		m.tb.Fatal(err)
	}
}

// changes says what to put and what to delete to get from was to is.
func changes[K, V comparable](was, is map[K]V) (put map[K]V, gone []K) {
	put = map[K]V{}
	for k, v := range is {
		if before, ok := was[k]; !ok || before != v {
			put[k] = v
		}
	}
	for k := range was {
		if _, ok := is[k]; !ok {
			gone = append(gone, k)
		}
	}
	return put, gone
}

// apply tells the program what changed in the box since the last time.
func (m *machine) apply() {
	m.tb.Helper()
	p, was, is := m.program, m.applied, m.box
	m.applyBackends(was, is)
	origins, goneOrigins := changes(was.Origins, is.Origins)
	for _, key := range goneOrigins {
		is.ForgetDirect(was.Origins[key].ID)
	}
	m.must(p.DeleteOrigins(goneOrigins))
	m.must(p.PutOrigins(origins))
	routes, goneRoutes := changes(was.Routes, is.Routes)
	m.must(p.DeleteRoutes(goneRoutes))
	m.must(p.PutRoutes(routes))
	vips, goneVIPs := changes(was.VIPs, is.VIPs)
	m.must(p.DeleteVIPs(goneVIPs))
	m.must(p.PutVIPs(slices.Collect(maps.Keys(vips))))
	interfaces, goneInterfaces := changes(was.Interfaces, is.Interfaces)
	for _, ifindex := range goneInterfaces {
		m.must(p.DeleteInterface(ifindex))
	}
	for _, i := range interfaces {
		m.must(p.PutInterface(i))
	}
	services, goneServices := changes(was.Services, is.Services)
	m.must(p.DeleteServices(goneServices))
	m.must(p.PutServices(services))
	m.must(p.SetTestClock(is.Now))
	m.applied = &model.Box{
		Backends: maps.Clone(is.Backends), Rings: maps.Clone(is.Rings), Origins: maps.Clone(is.Origins), Routes: maps.Clone(is.Routes),
		VIPs: maps.Clone(is.VIPs), Interfaces: maps.Clone(is.Interfaces), Services: maps.Clone(is.Services),
	}
}

func (m *machine) applyBackends(was, is *model.Box) {
	m.tb.Helper()
	backends, goneBackends := changes(was.Backends, is.Backends)
	for _, id := range goneBackends {
		backends[id] = dataplane.Backend{ID: id}
	}
	m.must(m.program.PutBackends(slices.Collect(maps.Values(backends))))
	rings, goneRings := changes(was.Rings, is.Rings)
	for _, id := range goneRings {
		m.must(m.program.ReplaceRing(id, nil))
	}
	for id, ring := range rings {
		m.must(m.program.ReplaceRing(id, ring))
	}
}

// advance lets time pass for both.
func (m *machine) advance(d time.Duration) {
	m.box.Now += d
	m.must(m.program.SetTestClock(m.box.Now))
}

// send runs one frame through both and says where they disagree; "" = nowhere.
func (m *machine) send(ifindex uint32, frame []byte) (model.Result, string) {
	m.tb.Helper()
	want := m.box.Process(ifindex, frame)
	got, err := m.program.Run(ifindex, frame)
	m.must(err)
	action := actionOf(want.Verdict)
	switch {
	case got.Verdict != want.Verdict:
		return want, fmt.Sprintf("verdict %s, want %s", got.Verdict, want.Verdict)
	case got.Action != action:
		return want, fmt.Sprintf("verdict %s with action %d, want %d", got.Verdict, got.Action, action)
	case want.Verdict == dataplane.Redirect && got.Ifindex != want.Ifindex:
		return want, fmt.Sprintf("redirected to %d, want %d", got.Ifindex, want.Ifindex)
	case want.Frame != nil && !bytes.Equal(got.Frame, want.Frame):
		return want, fmt.Sprintf("verdict %s, frame differs:\n%s", got.Verdict, packet.Diff(want.Frame, got.Frame))
	}
	return want, ""
}

// actionOf is the XDP action (linux/bpf.h) of a verdict.
func actionOf(v dataplane.Verdict) uint32 {
	const xdpDrop, xdpPass, xdpTX, xdpRedirect = 1, 2, 3, 4
	switch {
	case v == dataplane.Redirect:
		return xdpRedirect
	case v.Action() == dataplane.ActionPass:
		return xdpPass
	case v.Action() == dataplane.ActionDrop:
		return xdpDrop
	}
	return xdpTX
}
