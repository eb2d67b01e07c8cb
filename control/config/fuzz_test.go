package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// FuzzParse holds what must be true of any file at all.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("find seeds: %d, %v", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		checkChunks(t, string(data))
		c, err := Parse("fuzz.yaml", data)
		if err != nil {
			var list Errors
			if !errors.As(err, &list) || len(list) == 0 || c != nil {
				t.Fatalf("got %v and %v, want an Errors alone", c, err)
			}
			checkPositions(t, string(data), list)
			_ = list.Error()
			return
		}
		checkPositions(t, string(data), c.Warnings)
		checkSnapshot(t, c.Snapshot)
	})
}

// checkPositions fails unless every message points into the file, in order.
func checkPositions(tb testing.TB, text string, list Errors) {
	tb.Helper()
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	if !slices.IsSortedFunc(list, Error.compare) {
		tb.Errorf("not sorted:\n%v", list)
	}
	for _, e := range list {
		if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > utf8.RuneCountInString(lines[e.Line-1])+1 {
			tb.Errorf("position outside the file: %v", e)
		}
		if e.Message == "" || !utf8.ValidString(e.Error()) || strings.ContainsAny(e.Error(), "\n\x1b\x00") {
			tb.Errorf("not a message: %q", e.Error())
		}
	}
}

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkSnapshot fails unless a desired state keeps what model promises.
func checkSnapshot(tb failer, s *model.Snapshot) {
	tb.Helper()
	if len(s.Interfaces) == 0 || s.Flows.Capacity < minCapacity || s.Announce.Burst < minBurst {
		tb.Errorf("incomplete: %+v", s)
	}
	names := map[string]bool{"": true}
	for _, i := range s.Interfaces {
		names[i.Name] = true
		if i.Device == "" || len(i.Device) > maxDevice {
			tb.Errorf("interface %+v", i)
		}
	}
	vips := map[netip.Addr]bool{}
	for _, v := range s.VIPs {
		if vips[v.Addr] || unusable(v.Addr) != "" || !names[v.Interface] || v.Name == "" {
			tb.Errorf("VIP %+v", v)
		}
		vips[v.Addr] = true
	}
	for _, p := range s.Pools {
		checkBackends(tb, p, vips)
	}
	keys := map[dataplane.ServiceKey]bool{}
	for _, x := range s.Services {
		if s.Pool(x.Pool) == nil || len(x.VIPs) == 0 || len(x.Ports) == 0 || x.UDPIdle < minIdle || x.Mode != dataplane.ModeNAT {
			tb.Errorf("service %+v", x)
		}
		for _, a := range x.VIPs {
			for _, p := range x.Ports {
				key := dataplane.ServiceKey{Addr: a, Port: p.Port, Proto: p.Proto}
				if keys[key] || !vips[a] || p.Port == 0 {
					tb.Errorf("service %+v: %s", x, key)
				}
				keys[key] = true
			}
		}
	}
	sorted := slices.IsSortedFunc(s.VIPs, func(a, b model.VIP) int { return a.Addr.Compare(b.Addr) }) &&
		slices.IsSortedFunc(s.Pools, func(a, b model.Pool) int { return strings.Compare(a.Name, b.Name) }) &&
		slices.IsSortedFunc(s.Services, func(a, b model.Service) int { return strings.Compare(a.Name, b.Name) })
	if !sorted {
		tb.Errorf("not sorted: %+v", s)
	}
}

func checkBackends(tb failer, p model.Pool, vips map[netip.Addr]bool) {
	tb.Helper()
	names := map[string]bool{}
	var last netip.AddrPort
	for _, b := range p.Backends {
		if names[b.Name] || vips[b.Addr.Addr()] || unusable(b.Addr.Addr()) != "" || b.Addr.Port() == 0 ||
			b.Weight < 0 || b.Weight > maxWeight || last.Compare(b.Addr) >= 0 {
			tb.Errorf("pool %q: backend %+v", p.Name, b)
		}
		names[b.Name], last = true, b.Addr
	}
}
