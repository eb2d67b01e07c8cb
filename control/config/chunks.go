package config

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// The YAML library takes time and memory in the square of the keys of a block
// mapping. Large files are therefore parsed in parts: a section at a time,
// and a section's entries some hundred at a time. Small ones, and those of
// another form, are parsed whole; the outcome is the same.
const (
	// largeTokens is where a file is large: some thousand keys.
	largeTokens = 10_000
	// chunkKeys is the number of entries of a section parsed together.
	chunkKeys = 256
)

// parseLarge parses a file in parts of some entries each. ok is false where it is not made of
// block mappings at the top.
func parseLarge(tokens token.Tokens, chunk int) (root ast.Node, ok bool, err error) {
	if len(tokens) > 0 && tokens[0].Type == token.DocumentHeaderType {
		tokens = tokens[1:]
	}
	sections := blockEntries(tokens)
	if sections == nil {
		return nil, false, nil
	}
	whole := &ast.MappingNode{BaseNode: &ast.BaseNode{}, Start: tokens[1]}
	for _, section := range sections {
		part, err := parsePart(section, chunk)
		if err != nil {
			return nil, true, err
		}
		whole.Values = append(whole.Values, part...)
	}
	return whole, true, nil
}

// parsePart parses one section: its key with all that is below it.
func parsePart(section token.Tokens, chunk int) ([]*ast.MappingValueNode, error) {
	entries := blockEntries(section[2:])
	if len(entries) <= chunk || section[2].Position.Line == section[0].Position.Line {
		return parseMapping(section)
	}
	// The first entries, with the key; then the others without it.
	part, start := []*ast.MappingValueNode(nil), 0
	for len(entries) > 0 {
		n := min(chunk, len(entries))
		length := 0
		for _, e := range entries[:n] {
			length += len(e)
		}
		from, to := start+2, start+2+length
		if start == 0 {
			from = 0
		}
		values, err := parseMapping(section[from:to])
		if err != nil {
			return nil, err
		}
		if start == 0 {
			part = values
		} else if below, ok := part[0].Value.(*ast.MappingNode); ok {
			below.Values = append(below.Values, values...)
		}
		entries, start = entries[n:], start+length
	}
	return part, nil
}

// parseMapping parses tokens that start with a key of a block mapping.
func parseMapping(tokens token.Tokens) ([]*ast.MappingValueNode, error) {
	roots, err := parseWhole(tokens)
	if err != nil {
		return nil, err
	}
	var values []*ast.MappingValueNode
	for _, root := range roots {
		if m, ok := root.(*ast.MappingNode); ok {
			values = append(values, m.Values...)
		}
	}
	return values, nil
}

// blockEntries cuts tokens before each key in the column of the first one. It
// returns nil where the tokens are no block mapping alone.
func blockEntries(tokens token.Tokens) []token.Tokens {
	if !startsEntry(tokens, 0) {
		return nil
	}
	var entries []token.Tokens
	start, flow := 0, 0
	for i, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.DocumentHeaderType, token.DocumentEndType, token.DirectiveType:
			return nil
		}
		if i > 0 && flow == 0 && tk.Position.Column == tokens[0].Position.Column &&
			tk.Position.Line > tokens[i-1].Position.Line && startsEntry(tokens, i) {
			entries = append(entries, tokens[start:i:i])
			start = i
		}
	}
	return append(entries, tokens[start:])
}

// startsEntry is true where a key and its colon stand.
func startsEntry(tokens token.Tokens, i int) bool {
	if i+1 >= len(tokens) || tokens[i+1].Type != token.MappingValueType {
		return false
	}
	return isPlain(tokens[i]) || tokens[i].Indicator == token.QuotedScalarIndicator
}
