package config

import (
	"strings"
	"testing"
)

// TestRefused holds cases that stand alone: the whole report is one message.
func TestRefused(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no interfaces", "version: 1\n", "1:1: no interfaces; name the devices"},
		{"empty interfaces", "version: 1\ninterfaces: {}\n", "2:1: interfaces: no interfaces; name the devices"},
		{"only a bad interface", "version: 1\ninterfaces: {Eth0: {}}\n", "2:14: interfaces: bad name \"Eth0\""},
		{"no version", "interfaces: {eth0: {}}\n", "1:1: the version of the file's format is missing; add `version: 1`"},
		{"misspelt VIP", base + serviceAt("vip: DNS"), "services.a.vip: no VIP named \"DNS\""},
		{"VIP with prefix length", base + serviceAt("vip: 203.0.113.1/32"), "services.a.vip: expected an address without prefix length"},
		{"VIP with port", base + serviceAt("vip: 203.0.113.1:80"), "services.a.vip: expected an address without port"},
		{"no space after a colon", base + "node: {name:gw}\n", "unknown key \"name:gw\"; put a space after the colon"},
		{"VIP as backend", base + serviceAt("vip: 10.0.0.1"), "backends[0]: 10.0.0.1 is the address of VIP \"10.0.0.1\""},
		{"no list", base + "pools: {a: [10.0.0.1:80]}\n", "pools.a: expected a mapping (key: value), found a list"},
		{"name of 64", base + "node: {name: " + strings.Repeat("a", 64) + "}\n", "node.name: bad name"},
		{"misspelt section", base + "interfaces2: {}\n", "unknown key \"interfaces2\"; did you mean \"interfaces\"?"},
		{"number with underscores", base + "flows: {capacity: 10_000}\n", "flows.capacity: expected a whole number"},
		{"octal number", base + "flows: {capacity: 0o4000}\n", "flows.capacity: expected a whole number"},
		{"negative duration", base + "flows: {udp: {idle: -5s}}\n", "flows.udp.idle: -5s is out of bounds: from 1s to 24h"},
		{"negative number as duration", base + "flows: {udp: {idle: -5}}\n", "say the unit, for example 30s"},
		{"key twice", base + "node: {name: a}\nnode: {name: b}\n", "4:1: duplicate key \"node\", first at line 3:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := mustRefuse(t, tt.text)
			if got := list.Error(); len(list) != 1 || !strings.Contains(got, tt.want) {
				t.Errorf("got\n%s\nwant only %s", got, tt.want)
			}
		})
	}
}

// serviceAt is one service with a pool of its own.
func serviceAt(vip string) string {
	return "services: {a: {" + vip + ", ports: [80/tcp], backends: [10.0.0.1:80]}}\n"
}

// TestBounds takes both ends of every bound and refuses what is beyond.
func TestBounds(t *testing.T) {
	tests := []struct {
		name, text string // with %s for the value
		good, bad  []string
	}{
		{"capacity", "flows: {capacity: %s}", []string{"1024", "16777216"}, []string{"1023", "16777217", "99999999999999999999"}},
		{"established", "flows: {tcp: {established: %s}}", []string{"1s", "24h"}, []string{"999ms", "24h1s"}},
		{"closing", "flows: {tcp: {closing: %s}}", []string{"1s", "24h"}, []string{"999ms", "24h1s"}},
		{"idle", "flows: {udp: {idle: %s}}", []string{"1s", "24h"}, []string{"999ms", "24h1s"}},
		{"burst", "announce: {burst: %s}", []string{"1", "100"}, []string{"0", "101", "-1"}},
		{"spacing", "announce: {spacing: %s}", []string{"100ms", "1m"}, []string{"99ms", "61s"}},
		{"refresh", "announce: {refresh: %s}", []string{"1s", "24h", "0s", "off"}, []string{"999ms", "25h", "never"}},
		{
			"weight", "pools: {a: {backends: [{address: 10.0.0.1:80, weight: %s}]}}",
			[]string{"0", "100"}, []string{"-1", "101"},
		},
		{
			"port", "services: {a: {vip: 203.0.113.1, ports: [%s/tcp], backends: [10.0.0.1:80]}}",
			[]string{"1", "65535"}, []string{"0", "65536"},
		},
		{
			"device", "pools:\ninterfaces: {eth0: {device: %s}}",
			[]string{"a23456789012345"}, []string{"a234567890123456", "a/b", "'a b'"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head := base
			if tt.name == "device" {
				head = "version: 1\n"
			}
			for _, value := range tt.good {
				mustParse(t, head+strings.ReplaceAll(tt.text, "%s", value)+"\n")
			}
			for _, value := range tt.bad {
				mustRefuse(t, head+strings.ReplaceAll(tt.text, "%s", value)+"\n")
			}
		})
	}
}
