package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// value is a node of the file with its place.
type value struct {
	node ast.Node
	at   where
}

// field is one key of a mapping and what it is set to.
type field struct {
	key   string
	keyAt where // its path is that of the mapping
	value value
}

// position returns where a node starts; else, with no place of its own.
func position(n ast.Node, otherwise where) where {
	switch n := n.(type) {
	case *ast.NullNode:
		return otherwise
	case *ast.MappingNode:
		// The library gives a block mapping the place of its first colon.
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0].Key, otherwise)
		}
	}
	if n == nil || n.GetToken() == nil {
		return otherwise
	}
	at := tokenAt(n.GetToken())
	at.path = otherwise.path
	return at
}

// unwrap looks through anchors and tags, which are refused by checkTokens.
func unwrap(n ast.Node) ast.Node {
	for {
		switch w := n.(type) {
		case *ast.AnchorNode:
			n = w.Value
		case *ast.TagNode:
			n = w.Value
		default:
			return n
		}
	}
}

// found says what a node is, for "expected X, found Y"; "" for what has been
// reported already.
func found(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AliasNode, *ast.LiteralNode, *ast.DirectiveNode:
		return ""
	}
	return quote(scalar(n))
}

// scalar returns the text of a scalar as the file has it; quotes are gone.
func scalar(n ast.Node) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	if tk := n.GetToken(); tk != nil {
		return tk.Value
	}
	return ""
}

// isScalar is true for text, numbers and true/false.
func isScalar(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return true
	}
	return false
}

// aMapping is what is expected where a mapping is.
const aMapping = "a mapping (key: value)"

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// isOpen is true for a mapping, or nothing where one would be: what it lacks
// is worth a report, where that of a wrong kind would only repeat itself.
func isOpen(v value) bool {
	_, null := v.node.(*ast.NullNode)
	return v.node == nil || null || isMapping(v.node)
}

// pairs returns the keys of a mapping in the order of the file, each once;
// nothing at all counts as an empty mapping. What is no mapping is reported.
func (d *decoder) pairs(v value) []field {
	var list []*ast.MappingValueNode
	switch n := v.node.(type) {
	case nil, *ast.NullNode:
	case *ast.MappingNode:
		list = n.Values
	case *ast.MappingValueNode:
		list = []*ast.MappingValueNode{n}
	default:
		d.unexpected(v, aMapping)
	}
	fields := make([]field, 0, len(list))
	first := make(map[string]where, len(list))
	for _, pair := range list {
		key := unwrap(pair.Key)
		_, isNull := key.(*ast.NullNode) // a key spelt "null" or "~"
		if !isScalar(key) && !isNull {
			continue // a merge or complex key: checkTokens has refused it
		}
		f := field{key: scalar(key), keyAt: position(pair.Key, v.at)}
		if isNull {
			f.keyAt = tokenAt(key.GetToken())
			f.keyAt.path = v.at.path
		}
		if at, again := first[f.key]; again {
			d.r.errorf(f.keyAt, "", "duplicate key %s, first at %s", quote(f.key), at)
			continue
		}
		first[f.key] = f.keyAt
		f.value = d.child(pair.Value, f.keyAt, join(v.at.path, f.key))
		fields = append(fields, f)
	}
	return fields
}

// child makes the value of a key or list place.
func (d *decoder) child(n ast.Node, at where, path string) value {
	n = unwrap(n)
	at.path = path
	return value{node: n, at: position(n, at)}
}

// fields returns the keys of a mapping of a given shape (see keys) that this
// version understands, and reports all others.
func (d *decoder) fields(v value, shape string) []field {
	known := keys[shape]
	return slices.DeleteFunc(d.pairs(v), func(f field) bool {
		switch {
		case slices.Contains(known.built, f.key):
			return false
		case slices.Contains(known.later, f.key):
			f.keyAt.path = join(v.at.path, f.key)
			d.r.notSupported(f.keyAt, "", "")
		default:
			d.r.errorf(f.keyAt, d.unknownHint(f.key, known), "unknown key %s", quote(f.key))
		}
		return true
	})
}

// unknownHint says what may have been meant by a key, or "".
func (d *decoder) unknownHint(key string, known words) string {
	if word, _, colon := strings.Cut(key, ":"); colon && slices.Contains(known.built, word) {
		return "put a space after the colon"
	}
	return cmp.Or(belongs(key), d.r.suggest(key, known.all()))
}

// items returns the places of a list. Nothing at all counts as an empty list;
// what is no list is reported with what was expected.
func (d *decoder) items(v value, expected string) []value {
	switch n := v.node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		list := make([]value, len(n.Values))
		for i, item := range n.Values {
			at := v.at
			if _, ok := item.(*ast.NullNode); ok && item.GetToken() != nil {
				at = tokenAt(item.GetToken()) // better than the whole list
			}
			list[i] = d.child(item, at, index(v.at.path, i))
		}
		return list
	}
	d.unexpected(v, expected)
	return nil
}

// unexpected reports a value of the wrong kind.
func (d *decoder) unexpected(v value, expected string) {
	if what := found(v.node); what != "" {
		d.r.errorf(v.at, "", "expected %s, found %s", expected, what)
	}
}
