package config

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// world is a config in a form whose parts can be written in any order.
type world struct {
	tops []section
}

type section struct {
	name    string
	entries []entry
}

// entry is one named mapping: keys with scalars or lists.
type entry struct {
	name   string
	fields []setting
}

type setting struct {
	key  string
	list []string // in brackets
	one  string   // iff list is nil
}

// TestOrder writes one config in two orders and styles: the snapshots are
// equal, down to DeepEqual.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		var snapshots [2]any
		for i := range snapshots {
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
			text := w.write(r, rapid.Bool().Draw(t, "braces"))
			c, err := Parse("test.yaml", []byte(text))
			if err != nil {
				t.Fatalf("%s\n%v", text, err)
			}
			checkSnapshot(t, c.Snapshot)
			snapshots[i] = c.Snapshot
		}
		if !reflect.DeepEqual(snapshots[0], snapshots[1]) {
			t.Fatalf("got\n%+v\nand\n%+v", snapshots[0], snapshots[1])
		}
	})
}

func drawWorld(t *rapid.T) *world {
	interfaces, vips := section{name: "interfaces"}, section{name: "vips"}
	pools, services := section{name: "pools"}, section{name: "services"}
	for i := range rapid.IntRange(1, 3).Draw(t, "interfaces") {
		interfaces.add(fmt.Sprintf("if%d", i), setting{key: "xdp", one: "auto"})
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "vips") {
		vips.add(fmt.Sprintf("v%d", i), setting{key: "interface", one: "if0"},
			setting{key: "addresses", list: []string{fmt.Sprintf("203.0.113.%d", 10+i), fmt.Sprintf("2001:db8::%d", 10+i)}})
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "pools") {
		backends := []string{"10.9.0.1:80", `"[2001:db8:9::1]:80"`}
		for j := range rapid.IntRange(0, 5).Draw(t, "backends") {
			backends = append(backends, fmt.Sprintf("{name: b%d, address: 10.%d.0.%d:80, weight: %d}", j, i, j+1, j))
		}
		pools.add(fmt.Sprintf("p%d", i), setting{key: "backends", list: backends})
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "services") {
		vip := fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 3).Draw(t, "literal"))
		if n := len(vips.entries); n > 0 && rapid.Bool().Draw(t, "named") {
			vip = vips.entries[rapid.IntRange(0, n-1).Draw(t, "vip")].name
		}
		from := setting{key: "pool", one: pools.entries[rapid.IntRange(0, len(pools.entries)-1).Draw(t, "pool")].name}
		if rapid.Bool().Draw(t, "inline") {
			from = setting{key: "backends", list: []string{"10.8.0.1:80", "10.8.0.2:80", `"[2001:db8:8::1]:80"`}}
		}
		services.add(fmt.Sprintf("s%d", i), from, setting{key: "vip", one: vip}, setting{key: "track", one: "always"},
			setting{key: "ports", list: []string{fmt.Sprintf("%d/tcp", 100+i), fmt.Sprintf("%d/udp", 200+i), fmt.Sprintf("%d/tcp", 300+i)}})
	}
	return &world{tops: []section{interfaces, vips, pools, services}}
}

func (s *section) add(name string, fields ...setting) {
	s.entries = append(s.entries, entry{name, fields})
}

// write prints the world with every list and mapping shuffled.
func (w *world) write(r *rand.Rand, braces bool) string {
	parts := []string{"version: 1\n"}
	for _, top := range shuffled(r, w.tops) {
		text := top.name + ":\n"
		for _, e := range shuffled(r, top.entries) {
			var fields []string
			for _, f := range shuffled(r, e.fields) {
				if f.list != nil {
					f.one = "[" + strings.Join(shuffled(r, f.list), ", ") + "]"
				}
				fields = append(fields, f.key+": "+f.one)
			}
			if braces {
				text += "  " + e.name + ": { " + strings.Join(fields, ", ") + " }\n"
			} else {
				text += "  " + e.name + ":\n    " + strings.Join(fields, "\n    ") + "\n"
			}
		}
		parts = append(parts, text)
	}
	return strings.Join(shuffled(r, parts), "")
}

func shuffled[T any](r *rand.Rand, list []T) []T {
	out := make([]T, len(list))
	for i, j := range r.Perm(len(list)) {
		out[i] = list[j]
	}
	return out
}
