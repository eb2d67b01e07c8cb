package config

import (
	"cmp"
	"fmt"
	"strings"
)

// Error is one thing that is wrong with a file, or worth a warning.
type Error struct {
	File    string `json:"file"`
	Line    int    `json:"line"`           // from 1
	Column  int    `json:"column"`         // from 1, in characters
	Path    string `json:"path,omitempty"` // as "services.dns.pool"; "" for the file as a whole
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do about it; may be ""
	// Source is the line of the file, without its end; of a very long one,
	// the part around the column.
	Source string `json:"source,omitempty"`
	Caret  int    `json:"caret"` // the column within Source, from 1
}

// Errors is everything that is wrong with a file, sorted by position.
type Errors []Error

// Error returns one line: position, path, message and hint.
func (e Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Excerpt returns the line of the file and, below it, a caret under the
// column; each line ends in "\n".
func (e Error) Excerpt() string {
	gutter := fmt.Sprintf("%5d | ", e.Line)
	var pad strings.Builder
	for i, c := range []rune(e.Source) {
		if i >= e.Caret-1 {
			break
		}
		if c != '\t' { // a tab stays one, so that the caret stays in line
			c = ' '
		}
		pad.WriteRune(c)
	}
	return fmt.Sprintf("%s%s\n%*s | %s^\n", gutter, e.Source, len(gutter)-3, "", pad.String())
}

// Error prints the errors as a compiler does: one line each, followed by the
// line of the file and a caret.
func (e Errors) Error() string {
	var b strings.Builder
	for _, one := range e {
		b.WriteString(one.Error() + "\n" + one.Excerpt())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (e Error) compare(o Error) int {
	return cmp.Or(cmp.Compare(e.Line, o.Line), cmp.Compare(e.Column, o.Column),
		cmp.Compare(e.Path, o.Path), cmp.Compare(e.Message, o.Message))
}
