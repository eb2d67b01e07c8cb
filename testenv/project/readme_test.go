package project

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"steelyard/control/config"
	"steelyard/dataplane"
)

// section returns README from one heading to the next.
func section(tb testing.TB, heading string) string {
	tb.Helper()
	_, after, ok := strings.Cut(readFile(tb, "README.md"), "\n## "+heading+"\n")
	if !ok {
		tb.Fatalf("README.md has no section %q", heading)
	}
	body, _, _ := strings.Cut(after, "\n## ")
	return body
}

func TestReadmeVerdicts(t *testing.T) {
	want := []string{"| verdict | action | meaning |", "|---|---|---|"}
	for v := dataplane.VerdictContinue + 1; v < dataplane.VerdictCount; v++ {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", v, v.Action(), v.Doc()))
	}
	var got []string
	for line := range strings.Lines(section(t, "What happens to a packet")) {
		if strings.HasPrefix(line, "|") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("README.md: the table of verdicts is not that of dataplane/verdict.go; it should be\n%s", strings.Join(want, "\n"))
	}
}

// TestReadmeConfig takes the config that people copy first.
func TestReadmeConfig(t *testing.T) {
	_, after, ok := strings.Cut(section(t, "On a real network card"), "```yaml\n")
	text, _, closed := strings.Cut(after, "```")
	if !ok || !closed {
		t.Fatal("README.md shows no config")
	}
	c, err := config.Parse("README.md", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("README.md: warnings: %v", c.Warnings)
	}
	if lines := strings.Count(text, "\n"); lines > 5 {
		t.Errorf("README.md: %d lines of config, want at most 5", lines)
	}
}

// TestReadmeTree wants each folder with code in the tree, and no other.
func TestReadmeTree(t *testing.T) {
	want := []string{"bpf"}
	for _, s := range sources(t) {
		dir := s.dir()
		// A folder below one that is listed may be left to its parent's line.
		if strings.Count(dir, "/") <= 1 && !slices.Contains(want, dir) {
			want = append(want, dir)
		}
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^    ([a-z/]+) {2,}\S`).FindAllStringSubmatch(section(t, "The tree"), -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	if sorted := slices.Sorted(slices.Values(got)); !slices.Equal(sorted, want) {
		t.Errorf("README.md: the tree lists\n%v, want\n%v", sorted, want)
	}
}

// TestReadmeLinks wants what README files link to and what they tell to run.
func TestReadmeLinks(t *testing.T) {
	all := files(t)
	exists := func(name string) bool {
		return slices.ContainsFunc(all, func(f string) bool { return f == name || strings.HasPrefix(f, name+"/") })
	}
	makefile := readFile(t, "Makefile")
	for _, name := range all {
		if path.Base(name) != "README.md" {
			continue
		}
		text := readFile(t, name)
		for _, m := range regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(text, -1) {
			if target := path.Join(path.Dir(name), m[1]); !exists(target) {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
		for _, m := range regexp.MustCompile("(?:`| {4})make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s says make %s, and Makefile has no such target", name, m[1])
			}
		}
	}
}

// TestPacketPathReadme wants each header and each map of bpf explained.
func TestPacketPathReadme(t *testing.T) {
	text := readFile(t, "bpf/README.md")
	for _, name := range files(t) {
		if path.Dir(name) == "bpf" && path.Ext(name) == ".h" && !strings.Contains(text, "`"+path.Base(name)+"`") {
			t.Errorf("bpf/README.md does not say what %s is for", path.Base(name))
		}
	}
	for _, m := range regexp.MustCompile(`} (\w+) SEC\("\.maps"\)`).FindAllStringSubmatch(readFile(t, "bpf/maps.h"), -1) {
		if !strings.Contains(text, "`"+m[1]+"`") {
			t.Errorf("bpf/README.md does not say who writes the map %s and what full means", m[1])
		}
	}
}
