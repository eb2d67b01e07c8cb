package config

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// words is a part of the vocabulary of the file.
type words struct {
	// built are understood by this version.
	built []string
	// later are part of the contract and refused by name until they are
	// built. To build one, move it to built: decode.go then has to take it.
	later []string
}

// keys lists what each kind of mapping may hold; NAME stands for a name of
// the user's. Never written to.
var keys = map[string]words{
	"": {
		built: []string{"version", "node", "interfaces", "flows", "announce", "vips", "pools", "services", "log"},
		later: []string{"api"},
	},
	"node":            {built: []string{"name"}},
	"interfaces.NAME": {built: []string{"device", "xdp"}},
	"flows":           {built: []string{"capacity", "tcp", "udp"}},
	"flows.tcp":       {built: []string{"established", "closing"}},
	"flows.udp":       {built: []string{"idle"}},
	"announce":        {built: []string{"burst", "spacing", "refresh"}},
	"vips.NAME": {
		built: []string{"addresses", "interface"},
		later: []string{"ping"},
	},
	"pools.NAME": {
		built: []string{"backends"},
		later: []string{"check", "outlier"},
	},
	"pools.NAME.backends": {built: []string{"name", "address", "weight"}},
	"services.NAME": {
		built: []string{"vip", "ports", "mode", "pool", "backends", "scheduler", "hash", "track", "udp", "no_backend"},
		later: []string{"on_backend_down", "tls", "limits", "routes"},
	},
	"services.NAME.udp": {built: []string{"idle"}},
	"log": {
		built: []string{"level", "format"},
		later: []string{"access"},
	},
}

// values lists the words that a key may be set to. Never written to.
var values = map[string]words{
	"interfaces.NAME.xdp": {built: []string{"auto", "native", "generic"}},
	"services.NAME.mode": {
		built: []string{"nat"},
		later: []string{"fullnat", "dsr", "ipip", "gue", "l7"},
	},
	"services.NAME.scheduler": {
		built: []string{"maglev"},
		later: []string{"round-robin", "least-connections", "random"},
	},
	"services.NAME.hash": {
		built: []string{"flow"},
		later: []string{"source"},
	},
	"services.NAME.track":      {built: []string{"moved", "always", "never"}},
	"services.NAME.no_backend": {built: []string{"drop"}, later: []string{"reject"}},
	"services.NAME.ports":      {built: []string{"tcp", "udp"}},
	"log.level":                {built: []string{"debug", "info", "warn", "error"}},
	"log.format":               {built: []string{"text", "json"}},
}

// all yields the built and the later words.
func (w words) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, list := range [][]string{w.built, w.later} {
			for _, word := range list {
				if !yield(word) {
					return
				}
			}
		}
	}
}

// expected is the built words as people list them: "a, b or c".
func (w words) expected() string {
	n := len(w.built)
	if n == 1 {
		return "expected " + w.built[0]
	}
	return fmt.Sprintf("expected %s or %s", strings.Join(w.built[:n-1], ", "), w.built[n-1])
}

// belongs returns "it belongs in X" if the key is known in exactly one other
// kind of mapping.
func belongs(key string) string {
	found := ""
	for _, shape := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(keys[shape].built, key) && !slices.Contains(keys[shape].later, key) {
			continue
		}
		if found != "" {
			return ""
		}
		found = "it belongs in " + shape
		if shape == "" {
			found = "it belongs at the top level"
		}
	}
	return found
}
