package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
)

// checkChunks fails if a file parsed in parts differs from the same parsed
// whole.
func checkChunks(tb testing.TB, text string) {
	tb.Helper()
	r := newReport("test.yaml", nil)
	text, ok := readable(r, []byte(text))
	tokens := repairColons(lexer.Tokenize(text))
	if !ok || tokens.InvalidToken() != nil || !checkTokens(r, tokens) || len(r.errors) > 0 {
		return
	}
	parts, ok, errParts := parseLarge(tokens, 2)
	if !ok {
		return
	}
	whole, errWhole := parseWhole(repairColons(lexer.Tokenize(text)))
	if (errParts == nil) != (errWhole == nil) {
		tb.Fatalf("in parts: %v\nwhole: %v", errParts, errWhole)
	}
	if errWhole != nil {
		return
	}
	if len(whole) != 1 || tree(parts) != tree(whole[0]) {
		tb.Errorf("in parts\n%s\nwhole\n%s", tree(parts), tree(whole[0]))
	}
}

// tree prints the parts of a syntax tree that are used here.
func tree(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode:
		text := fmt.Sprintf("mapping %v\n", position(n, where{}))
		for _, v := range n.Values {
			text += tree(v.Key) + indent(tree(v.Value))
		}
		return text
	case *ast.SequenceNode:
		text := fmt.Sprintf("list %v\n", position(n, where{}))
		for _, v := range n.Values {
			text += indent(tree(v))
		}
		return text
	}
	return fmt.Sprintf("%T %v %q\n", n, position(n, where{}), scalar(n))
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

func TestChunks(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("find testdata: %d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkChunks(t, string(data))
		})
	}
	tests := []struct{ name, text string }{
		{"section without content", "a:\nb:\nc: 1\n"},
		{"many entries", "x:\n  a: 1\n  b:\n    c: 2\n  d: [1,\n  2]\n  e: {f:\n  g}\n  h:\n  - i\n  - j: k\n  l:\n"},
		{"entry out of line", "x:\n  a: 1\n  b: 2\n  c: 3\n d: 4\n"},
		{"entry too far in", "x:\n  a: 1\n  b: 2\n  c: 3\n    d: 4\n"},
		{"sections out of line", "  x:\n    a: 1\ny:\n  b: 2\n"},
		{"document start", "---\nx:\n  a: 1\n  b: 2\n  c: 3\n"},
		{"text between", "x:\n  a: 1\n  b: 2\n  c\n  d: 4\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkChunks(t, tt.text) })
	}
}
