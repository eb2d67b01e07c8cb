package project

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is where a file stops being one thought.
const maxLines = 450

func TestFileLength(t *testing.T) {
	for _, name := range files(t) {
		if isForeign(name) || !slices.Contains([]string{".go", ".c", ".h"}, path.Ext(name)) {
			continue
		}
		if n := strings.Count(readFile(t, name), "\n"); n > maxLines {
			t.Errorf("%s has %d lines, want at most %d", name, n, maxLines)
		}
	}
}

func TestTopLevel(t *testing.T) {
	want := []string{
		"CHANGELOG.md", "LICENSE", "Makefile", "README.md", "bpf", "build", "cmd",
		"control", "dataplane", "go.mod", "go.sum", "testenv", "vagrant",
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(want, e.Name()) {
			t.Errorf("%s is at the top of the tree, where only these are: %s", e.Name(), strings.Join(want, " "))
		}
	}
}

// TestNoMachinePaths finds what says where the tree, or the home of whoever
// wrote it, was.
func TestNoMachinePaths(t *testing.T) {
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	private := regexp.MustCompile(`(^|[^.\w])/(home|root|tmp|work)/\w`)
	for _, name := range files(t) {
		if strings.HasPrefix(name, "bpf/include/") {
			continue
		}
		for i, line := range bytes.Split([]byte(readFile(t, name)), []byte("\n")) {
			if bytes.Contains(line, []byte(top+"/")) {
				t.Errorf("%s:%d names %s, where this tree is", name, i+1, top)
			} else if found := private.Find(line); found != nil {
				t.Errorf("%s:%d names a path of one machine: %q", name, i+1, found)
			}
		}
	}
}

func TestLicences(t *testing.T) {
	const spdx = "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n"
	for _, name := range files(t) {
		isC := path.Ext(name) == ".c" || path.Ext(name) == ".h"
		if isC && !isForeign(name) && !strings.HasPrefix(readFile(t, name), spdx) {
			t.Errorf("%s does not begin with %q", name, spdx)
		}
	}
	if !strings.Contains(readFile(t, "LICENSE"), "Apache License\n                           Version 2.0") {
		t.Error("LICENSE is not the Apache License 2.0")
	}
}

// TestMakefileHelp wants a line for `make help` from each target, and each
// target among those that are not files.
func TestMakefileHelp(t *testing.T) {
	makefile := readFile(t, "Makefile")
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(makefile)
	if phony == nil {
		t.Fatal("Makefile has no .PHONY line")
	}
	names := strings.Fields(phony[1])
	targets := regexp.MustCompile(`(?m)^([a-z][a-z-]*):(.*)$`).FindAllStringSubmatch(makefile, -1)
	for _, target := range targets {
		if !regexp.MustCompile(` ## [A-Z]`).MatchString(target[2]) {
			t.Errorf("Makefile: %s has no `## What it does`", target[1])
		}
		if !slices.Contains(names, target[1]) {
			t.Errorf("Makefile: %s is not in .PHONY", target[1])
		}
	}
	for _, verb := range []string{"help", "demo", "lab", "build", "generate", "test", "bench", "fuzz", "lint", "fmt", "clean"} {
		if !slices.ContainsFunc(targets, func(m []string) bool { return m[1] == verb }) {
			t.Errorf("Makefile has no target %s", verb)
		}
	}
}
