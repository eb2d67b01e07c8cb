package config

import (
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// repairColons joins plain scalars that the lexer of goccy/go-yaml (v1.19.2,
// its issue 832) cuts in two inside of braces: it takes every colon there for
// the one after a key, so that {backends: [10.0.0.1:53]} is read as
// {backends: [{10.0.0.1: 53}]}. By YAML 1.2.2, section 7.3.3, a colon that
// nothing separates from the text after it is part of that text.
func repairColons(tokens token.Tokens) token.Tokens {
	repaired := make(token.Tokens, 0, len(tokens))
	for i := 0; i < len(tokens); i++ {
		tk := tokens[i]
		if tk.Type != token.MappingValueType || i+1 == len(tokens) || !isPlain(tokens[i+1]) || !adjacent(tk, tokens[i+1]) {
			repaired = append(repaired, tk)
			continue
		}
		next := tokens[i+1]
		last := len(repaired) - 1
		switch {
		case last >= 0 && isPlain(repaired[last]) && adjacent(repaired[last], tk):
			before := repaired[last]
			repaired[last] = token.String(before.Value+":"+next.Value, before.Origin+":"+next.Origin, before.Position)
			i++
		case last >= 0 && opens(repaired[last].Type):
			// Nothing before the colon, as in [::1].
			repaired = append(repaired, token.String(":"+next.Value, ":"+next.Origin, tk.Position))
			i++
		default:
			repaired = append(repaired, tk)
		}
	}
	if len(repaired) == len(tokens) {
		return tokens
	}
	linked := make(token.Tokens, 0, len(repaired))
	for _, tk := range repaired {
		tk.Prev, tk.Next = nil, nil
	}
	linked.Add(repaired...)
	return linked
}

// isPlain is true for a scalar without quotes.
func isPlain(tk *token.Token) bool {
	switch tk.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BoolType, token.NullType,
		token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType, token.InfinityType, token.NanType:
		return true
	}
	return false
}

// opens is true for what a list place in brackets or a key can follow.
func opens(t token.Type) bool {
	return t == token.SequenceStartType || t == token.CollectEntryType || t == token.MappingStartType
}

// adjacent is true where b starts in the column after a's last.
func adjacent(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line &&
		a.Position.Column+utf8.RuneCountInString(a.Value) == b.Position.Column
}
