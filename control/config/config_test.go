package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"steelyard/control/model"
	"steelyard/dataplane"
)

// base is the part that every accepted file needs.
const base = "version: 1\ninterfaces: {eth0: {}}\n"

func mustParse(tb testing.TB, text string) *Config {
	tb.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		tb.Fatalf("parse:\n%v", err)
	}
	return c
}

// mustRefuse returns the errors of a file, whose positions it has checked.
func mustRefuse(tb testing.TB, text string) Errors {
	tb.Helper()
	_, err := Parse("test.yaml", []byte(text))
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 {
		tb.Fatalf("got error %v, want an Errors", err)
	}
	checkPositions(tb, text, list)
	return list
}

func TestMinimal(t *testing.T) {
	c, err := Load("testdata/minimal.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Snapshot: &model.Snapshot{
			Interfaces: []model.Interface{{Name: "eth0", Device: "eth0", XDP: model.XDPAuto}},
			Flows: model.Flows{
				Capacity: 262144, TCPEstablished: 2 * time.Hour,
				TCPClosing: 30 * time.Second, UDPIdle: 30 * time.Second,
			},
			Announce: model.Announce{Burst: 5, Spacing: 1100 * time.Millisecond, Refresh: time.Minute},
			VIPs:     []model.VIP{{Name: "203.0.113.53", Addr: netip.MustParseAddr("203.0.113.53")}},
			Pools: []model.Pool{{Name: "dns", Backends: []model.Backend{
				{Name: "10.20.0.11:53", Addr: netip.MustParseAddrPort("10.20.0.11:53"), Weight: 1},
				{Name: "10.20.0.12:53", Addr: netip.MustParseAddrPort("10.20.0.12:53"), Weight: 1},
			}}},
			Services: []model.Service{{
				Name: "dns", VIPs: []netip.Addr{netip.MustParseAddr("203.0.113.53")},
				Ports: []model.Port{{Port: 53, Proto: dataplane.UDP}},
				Mode:  dataplane.ModeNAT, Pool: "dns", Track: dataplane.TrackMoved, UDPIdle: 30 * time.Second,
			}},
		},
		Log: Log{Level: slog.LevelInfo, Format: LogText},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: got %v, want fs.ErrNotExist", err)
	}
	path := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(path, []byte(base+strings.Repeat("# filler\n", MaxBytes/8)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	if want := path + ":1:1: the file is larger than 4 MiB"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("large file: got %v, want %s", err, want)
	}
}

// TestLiteralVIPs checks that literals of one address are one VIP, also where an
// entry of vips holds it.
func TestLiteralVIPs(t *testing.T) {
	tests := []struct {
		name, vips string
		want       []model.VIP
	}{
		{"in two services", "", []model.VIP{{Name: "203.0.113.1", Addr: netip.MustParseAddr("203.0.113.1")}}},
		{
			"in an entry of vips", "vips: {web: {addresses: [203.0.113.1], interface: eth0}}\n",
			[]model.VIP{{Name: "web", Addr: netip.MustParseAddr("203.0.113.1"), Interface: "eth0"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustParse(t, base+tt.vips+`
services:
  a: {vip: 203.0.113.1, ports: [80/tcp], backends: [10.0.0.1:80]}
  b: {vip: 203.0.113.1, ports: [81/tcp], backends: [10.0.0.1:80]}
`)
			if !reflect.DeepEqual(c.Snapshot.VIPs, tt.want) {
				t.Errorf("got %+v, want %+v", c.Snapshot.VIPs, tt.want)
			}
			if len(c.Warnings) > 0 {
				t.Errorf("warnings:\n%v", c.Warnings)
			}
		})
	}
}

// TestVocabulary decodes every built key, and refuses every later key and
// word by name: a word that is moved between the lists of the schema without
// its code fails here.
func TestVocabulary(t *testing.T) {
	for shape, known := range keys {
		for _, key := range known.built {
			// A list in a list is right for no key; its error has to
			// name the key, so it was looked at.
			list := mustRefuse(t, nest(shape, key, "[[]]"))
			if !strings.Contains(list.Error(), pathOf(shape, key)) {
				t.Errorf("%s.%s is built and is not decoded:\n%v", shape, key, list)
			}
		}
		for _, key := range known.later {
			list := mustRefuse(t, nest(shape, key, "1"))
			if want := pathOf(shape, key) + ": not supported by this version"; !strings.Contains(list.Error(), want) {
				t.Errorf("got\n%v\nwant %s", list, want)
			}
		}
	}
	for path, known := range values {
		shape, key := path[:strings.LastIndex(path, ".")], path[strings.LastIndex(path, ".")+1:]
		for _, word := range known.later {
			list := mustRefuse(t, nest(shape, key, word))
			if want := `"` + word + `" is not supported by this version`; !strings.Contains(list.Error(), want) {
				t.Errorf("got\n%v\nwant %s", list, want)
			}
		}
	}
}

// nest writes a key of a shape as a file in block style.
func nest(shape, key, to string) string {
	text, indent := "", ""
	if shape != "" {
		for _, part := range strings.Split(shape, ".") {
			part = strings.ToLower(part)
			text += indent + part + ":\n"
			indent += "  "
			if part == "backends" {
				indent += "- "
			}
		}
	}
	return text + indent + key + ": " + to + "\n"
}

func pathOf(shape, key string) string {
	shape = strings.ReplaceAll(strings.ToLower(shape), "backends", "backends[0]")
	return strings.TrimPrefix(shape+"."+key, ".")
}
