package project

import (
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// importRule is one rule of depguard in .golangci.yaml, as far as it is used
// there: strict rules allow, lax rules deny.
type importRule struct {
	Mode  string   `yaml:"list-mode"`
	Files []string `yaml:"files"`
	Allow []string `yaml:"allow"`
	Deny  []struct {
		Pkg  string `yaml:"pkg"`
		Desc string `yaml:"desc"`
	} `yaml:"deny"`
}

func importRules(tb testing.TB) map[string]importRule {
	tb.Helper()
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]importRule `yaml:"rules"`
				} `yaml:"depguard"`
			} `yaml:"settings"`
		} `yaml:"linters"`
	}
	if err := yaml.Unmarshal([]byte(readFile(tb, ".golangci.yaml")), &config); err != nil {
		tb.Fatal(err)
	}
	rules := config.Linters.Settings.Depguard.Rules
	if len(rules) == 0 {
		tb.Fatal(".golangci.yaml has no rules of depguard")
	}
	return rules
}

// covers tells whether the rule is for a file. It knows the forms of globs
// that .golangci.yaml uses and fails on any other.
func (r importRule) covers(tb testing.TB, file string) bool {
	tb.Helper()
	covered := false
	for _, glob := range r.Files {
		pattern, rooted := strings.CutPrefix(glob, "${base-path}/")
		dir, base := path.Split(pattern)
		above, deep := strings.CutSuffix(dir, "**/")
		switch {
		case glob == "!$test":
			if strings.HasSuffix(file, "_test.go") {
				return false
			}
			continue
		case !rooted || strings.Contains(above, "*"):
			tb.Fatalf(".golangci.yaml: this test does not know the form of %q", glob)
		}
		inDir := path.Dir(file)+"/" == dir || deep && strings.HasPrefix(file, above)
		inBase, err := path.Match(base, path.Base(file))
		if err != nil {
			tb.Fatalf(".golangci.yaml: %q: %v", glob, err)
		}
		covered = covered || inDir && inBase
	}
	return covered
}

// refuses returns why the rule forbids an import, "" if it does not.
func (r importRule) refuses(tb testing.TB, imported string) string {
	tb.Helper()
	switch r.Mode {
	case "strict":
		for _, allowed := range r.Allow {
			if matches(imported, allowed) {
				return ""
			}
		}
		return "not in the list of what may be imported here"
	case "lax":
		for _, d := range r.Deny {
			if matches(imported, d.Pkg) {
				return d.Desc
			}
		}
		return ""
	}
	tb.Fatalf(".golangci.yaml: this test does not know list-mode %q", r.Mode)
	return ""
}

// matches applies one entry of an allow or deny list.
func matches(imported, entry string) bool {
	if entry == "$gostd" {
		first, _, _ := strings.Cut(imported, "/")
		return !strings.Contains(first, ".") && first != "steelyard"
	}
	if only, exact := strings.CutSuffix(entry, "$"); exact {
		return imported == only
	}
	return imported == entry || strings.HasPrefix(imported, entry+"/")
}

// checkImport returns the name of the rule that forbids an import and why.
func checkImport(tb testing.TB, rules map[string]importRule, file, imported string) (name, why string) {
	tb.Helper()
	for name, rule := range rules {
		if !rule.covers(tb, file) {
			continue
		}
		if why := rule.refuses(tb, imported); why != "" {
			return name, why
		}
	}
	return "", ""
}

func TestImports(t *testing.T) {
	rules := importRules(t)
	used := make(map[string]bool)
	for _, s := range sources(t) {
		strict := s.isTest()
		for name, rule := range rules {
			if rule.covers(t, s.name) {
				used[name] = true
				strict = strict || rule.Mode == "strict"
			}
		}
		if !strict {
			t.Errorf("%s: .golangci.yaml has no strict import rule for this folder", s.name)
		}
		for _, spec := range s.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("%s: %v", s.at(spec), err)
			}
			if name, why := checkImport(t, rules, s.name, imported); why != "" {
				t.Errorf("%s: import of %s: %s (rule %s in .golangci.yaml)", s.at(spec), imported, why, name)
			}
		}
	}
	for name := range rules {
		if !used[name] {
			t.Errorf(".golangci.yaml: rule %s matches no file", name)
		}
	}
}

// TestImportRules holds the direction of the architecture: whoever loosens the
// lists in .golangci.yaml that far has to change it here too.
func TestImportRules(t *testing.T) {
	const (
		ebpf       = "github.com/cilium/ebpf"
		netlink    = "github.com/vishvananda/netlink"
		prometheus = "github.com/prometheus/client_golang/prometheus"
		cobra      = "github.com/spf13/cobra"
	)
	tests := []struct {
		name, file, imported string
		want                 bool
	}{
		{"cmd wires control", "cmd/steelyard/a.go", "steelyard/control/config", true},
		{"cmd wires the packet path", "cmd/steelyard/a.go", "steelyard/dataplane/xdp", true},
		{"the product has no test code", "cmd/steelyard/a.go", "steelyard/testenv/netns", false},
		{"the product's tests do", "cmd/steelyard/a_test.go", "steelyard/testenv/netns", true},
		{"the laboratory has test code", "cmd/lab/a.go", "steelyard/testenv/netns", true},
		{"control has no command line", "control/api/a.go", cobra, false},
		{"control does not know cmd", "control/api/a.go", "steelyard/cmd/steelyard", false},
		{"control speaks the vocabulary", "control/reconcile/a.go", "steelyard/dataplane", true},
		{"control builds rings", "control/reconcile/a.go", "steelyard/dataplane/maglev", true},
		{"control never loads the program", "control/reconcile/a.go", "steelyard/dataplane/xdp", false},
		{"nor in its tests", "control/reconcile/a_test.go", "steelyard/dataplane/xdp", false},
		{"nor through the library", "control/vip/a.go", ebpf, false},
		{"control sends no frames", "control/announce/a.go", "steelyard/dataplane/neigh", false},
		{"reconcile reads the store", "control/reconcile/a.go", "steelyard/control/store", true},
		{"reconcile knows no file format", "control/reconcile/a.go", "steelyard/control/config", false},
		{"config makes a model", "control/config/a.go", "steelyard/control/model", true},
		{"config stores nothing", "control/config/a.go", "steelyard/control/store", false},
		{"netlink belongs to vip", "control/vip/a.go", netlink, true},
		{"netlink belongs to nobody else", "control/reconcile/a.go", netlink, false},
		{"metrics belong to control/metrics", "control/api/a.go", prometheus, false},
		{"the packet path does not know control", "dataplane/xdp/a.go", "steelyard/control/model", false},
		{"nor do its tests", "dataplane/xdp/a_test.go", "steelyard/control/model", false},
		{"the vocabulary is plain Go", "dataplane/a.go", "golang.org/x/sys/unix", false},
		{"xdp and neigh are apart", "dataplane/xdp/a.go", "steelyard/dataplane/neigh", false},
		{"neigh and xdp are apart", "dataplane/neigh/a.go", "steelyard/dataplane/xdp", false},
		{"maglev is pure", "dataplane/maglev/a.go", "steelyard/dataplane/xdp", false},
		{"xdp is made of ebpf", "dataplane/xdp/a.go", ebpf, true},
		{"neigh has no ebpf", "dataplane/neigh/a.go", ebpf, false},
		{"the packet path has no netlink", "dataplane/xdp/a.go", netlink, false},
		{"no production code has test code", "dataplane/xdp/a.go", "steelyard/testenv/packet", false},
		{"tests do", "dataplane/xdp/a_test.go", "steelyard/testenv/packet", true},
		{"test code reaches everything", "testenv/site/a.go", "steelyard/control/api", true},
		{"test code has no command line", "testenv/site/a.go", cobra, false},
	}
	rules := importRules(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rule, why := checkImport(t, rules, tt.file, tt.imported)
			if got := why == ""; got != tt.want {
				t.Errorf("%s imports %s: allowed = %v, want %v (rule %q: %s)", tt.file, tt.imported, got, tt.want, rule, why)
			}
		})
	}
}
