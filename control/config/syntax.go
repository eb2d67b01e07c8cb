package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The limits keep time and memory of a file in proportion to its size. The
// YAML library recurses and, for the keys of a block mapping, takes time in
// the square of their number.
const (
	// maxDepth is four times what the contract needs.
	maxDepth = 32
	// maxSigns is the number of indicator characters; each token the
	// library allocates stands beside one.
	maxSigns = 1 << 20
	// maxKeys is the number of keys of one block mapping.
	maxKeys = 16384
	// maxKeyWork is the sum over the keys of their place in their mapping:
	// two mappings of maxKeys.
	maxKeyWork = maxKeys * maxKeys
	// maxFeatures is how many uses of what is not taken from YAML are
	// reported one by one.
	maxFeatures = 32
)

// parseYAML returns the root of the file's one document, or nil where errors
// make going on pointless. Everything it returns nil for is reported.
func parseYAML(r *report, data []byte) ast.Node {
	text, ok := readable(r, data)
	if !ok {
		return nil
	}
	before := len(r.errors)
	roots, err := parseTokens(r, text)
	switch {
	case err != nil:
		reportSyntax(r, err)
	case len(roots) > 0:
		for _, second := range roots[1:] {
			r.errorf(position(second, where{}), "remove what follows `---`", "a second YAML document")
		}
		return roots[0]
	case len(r.errors) == before:
		r.errorf(where{line: 1, col: 1}, "the smallest file is `version: 1` and one of `interfaces`", "the file is empty")
	}
	return nil
}

// readable checks what has to hold before the text is looked at, and returns
// it with Unix line ends and without a byte order mark.
func readable(r *report, data []byte) (string, bool) {
	if len(data) > MaxBytes {
		r.data = data[:0] // its lines are of no interest
		r.errorf(where{line: 1, col: 1}, "", "the file is larger than %d MiB", MaxBytes>>20)
		return "", false
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	r.data = data
	line, col, signs := 1, 1, 0
	for i, c := range string(data) {
		at := where{line: line, col: col}
		switch {
		case c == utf8.RuneError && !bytes.HasPrefix(data[i:], []byte("\uFFFD")):
			r.errorf(at, "save the file as UTF-8", "not valid UTF-8 text")
			return "", false
		case c < ' ' && c != '\n' && c != '\t', c == 0x7f, c == '\ufeff':
			r.errorf(at, "", "a control character (%U)", c)
			return "", false
		case strings.ContainsRune("\n,:[]{}-?&*!|>", c):
			signs++
		}
		if signs > maxSigns {
			r.errorf(at, "", "the file holds too many values")
			return "", false
		}
		if col++; c == '\n' {
			line, col = line+1, 1
		}
	}
	return string(data), true
}

// parseTokens runs the YAML library over text and returns the roots of its
// documents; none where what it holds must not reach the parser, which is
// reported.
func parseTokens(r *report, text string) (roots []ast.Node, err error) {
	// A config also arrives through the admin API: a defect of the library
	// refuses one file and does not end the daemon.
	defer func() {
		if p := recover(); p != nil {
			roots, err = nil, fmt.Errorf("the YAML reader gave up: %v", p)
		}
	}()
	tokens := repairColons(lexer.Tokenize(text))
	if tokens.InvalidToken() == nil {
		if !checkTokens(r, tokens) {
			return nil, nil
		}
		if len(tokens) >= largeTokens {
			if root, ok, err := parseLarge(tokens, chunkKeys); ok {
				return []ast.Node{root}, err
			}
		}
	}
	return parseWhole(tokens)
}

// parseWhole parses tokens in one piece.
func parseWhole(tokens token.Tokens) ([]ast.Node, error) {
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	var roots []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.DirectiveType {
			roots = append(roots, doc.Body)
		}
	}
	return roots, nil
}

// reportSyntax reports an error of the YAML library at its position.
func reportSyntax(r *report, err error) {
	at, message, hint := where{line: 1, col: 1}, err.Error(), ""
	var located yaml.Error
	if errors.As(err, &located) {
		message = located.GetMessage()
		if tk := located.GetToken(); tk != nil && tk.Position != nil {
			at.line, at.col = tk.Position.Line, tk.Position.Column
		}
	}
	if i := at.line - 1; bytes.Contains(lineOf(r.data, i), []byte("]:")) {
		hint = `an IPv6 address with a port needs quotes, as in "[2001:db8::1]:53"`
	}
	r.errorf(at, hint, "not valid YAML: %s", message)
}

// lineOf returns line i, counted from 0.
func lineOf(data []byte, i int) []byte {
	for ; i > 0; i-- {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return line
}

// tokenAt is the position of a token.
func tokenAt(tk *token.Token) where {
	if tk == nil || tk.Position == nil {
		return where{line: 1, col: 1}
	}
	return where{line: tk.Position.Line, col: tk.Position.Column}
}
