package project

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the top of the tree, seen from this folder.
const root = "../.."

// readFile returns a file by its path from the top of the tree.
func readFile(tb testing.TB, name string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// files returns the paths, from the top of the tree, of everything that is
// neither history nor built.
func files(tb testing.TB) []string {
	tb.Helper()
	var list []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "build"):
			return fs.SkipDir
		case d.Type().IsRegular() && name != ".git": // a file in a linked work tree
			list = append(list, name)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(list) == 0 {
		tb.Fatal("found no files")
	}
	return list
}

// source is one parsed Go file.
type source struct {
	name string // from the top of the tree
	file *ast.File
	fset *token.FileSet
}

func (s source) dir() string     { return path.Dir(s.name) }
func (s source) isTest() bool    { return strings.HasSuffix(s.name, "_test.go") }
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// at returns "file:line" of a node.
func (s source) at(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	p.Column = 0
	return p.String()
}

// sources parses every Go file of the tree.
func sources(tb testing.TB) []source {
	tb.Helper()
	var list []source
	for _, name := range files(tb) {
		if path.Ext(name) != ".go" {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, readFile(tb, name), parser.ParseComments)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, source{name, f, fset})
	}
	return list
}

// isForeign tells whether a file was written by others or by a tool, so that
// the project's style does not bind it.
func isForeign(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(name, "bpf/include/") ||
		slices.ContainsFunc([]string{"_bpfel.", "_bpfeb."}, func(part string) bool { return strings.Contains(base, part) })
}
