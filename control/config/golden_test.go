package config

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing")

// TestGolden compares, for each file in testdata, what a user gets to see:
// the errors, or the warnings and the desired state.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("find testdata: %d files, %v", len(files), err)
	}
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := outcome(t, name+".yaml", data)
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func outcome(t *testing.T, name string, data []byte) string {
	t.Helper()
	c, err := Parse(name, data)
	if err != nil {
		return "refused\n" + err.Error() + "\n"
	}
	out := "accepted\n"
	if len(c.Warnings) > 0 {
		out += c.Warnings.Error() + "\n"
	}
	s := c.Snapshot
	out += dump(t, "log", c.Log) + dump(t, "node", s.Node) + dump(t, "flows", s.Flows) + dump(t, "announce", s.Announce)
	for _, x := range s.Interfaces {
		out += dump(t, "interface", x)
	}
	for _, x := range s.VIPs {
		out += dump(t, "vip", x)
	}
	for _, x := range s.Pools {
		out += dump(t, "pool", x)
	}
	for _, x := range s.Services {
		out += dump(t, "service", x)
	}
	return out
}

// dump is one line of a golden file; durations are in nanoseconds.
func dump(t *testing.T, what string, x any) string {
	t.Helper()
	text, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return what + " " + string(text) + "\n"
}
