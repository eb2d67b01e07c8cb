package config

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// notTaken says what of YAML a config file does not use, or "". Anchors and
// merges would let a small file mean a huge one, and all of these hide from
// the reader what a key is set to.
func notTaken(t token.Type) string {
	switch t {
	case token.AnchorType, token.AliasType:
		return "anchors and aliases (& and *)"
	case token.MergeKeyType:
		return "merge keys (<<)"
	case token.TagType:
		return "tags (!)"
	case token.DirectiveType:
		return "directives (%)"
	case token.MappingKeyType:
		return "complex keys (?)"
	case token.LiteralType, token.FoldedType:
		return "block scalars (| and >)"
	}
	return ""
}

// checkTokens reports what a config file does not use of YAML, and whether
// the tokens are safe to parse.
func checkTokens(r *report, tokens token.Tokens) bool {
	n := nesting{}
	features := 0
	for _, tk := range tokens {
		if what := notTaken(tk.Type); what != "" {
			r.errorf(tokenAt(tk), "write the value out", "%s are not used in this file", what)
			if features++; features >= maxFeatures || tk.Type == token.MappingKeyType {
				return false
			}
		}
		if problem := n.step(tk); problem != "" {
			r.errorf(tokenAt(tk), "", "%s", problem)
			return false
		}
	}
	return true
}

// nesting follows how deep tokens are nested, without a parser: by brackets
// and, outside of those, by columns.
type nesting struct {
	blocks []block
	flow   int // open brackets
	work   int // see maxKeyWork
}

// block is one block mapping or sequence.
type block struct {
	column int
	keys   int
}

// step takes one token and returns what is too much, or "".
func (n *nesting) step(tk *token.Token) string {
	switch tk.Type {
	case token.MappingStartType, token.SequenceStartType:
		n.flow++
	case token.MappingEndType, token.SequenceEndType:
		n.flow = max(n.flow-1, 0)
	case token.SequenceEntryType:
		if n.flow == 0 {
			n.enter(tokenAt(tk).col)
		}
	case token.MappingValueType:
		if n.flow == 0 {
			b := n.enter(tokenAt(tk.Prev).col)
			b.keys++
			n.work += b.keys
			if b.keys > maxKeys || n.work > maxKeyWork {
				return fmt.Sprintf("too many keys: at most %d in one mapping", maxKeys)
			}
		}
	}
	if len(n.blocks)+n.flow > maxDepth {
		return "nested too deeply"
	}
	return ""
}

// enter returns the block of a column, having left all deeper ones.
func (n *nesting) enter(column int) *block {
	last := len(n.blocks) - 1
	for last >= 0 && n.blocks[last].column > column {
		last--
	}
	n.blocks = n.blocks[:last+1]
	if last < 0 || n.blocks[last].column < column {
		n.blocks = append(n.blocks, block{column: column})
	}
	return &n.blocks[len(n.blocks)-1]
}
