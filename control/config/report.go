package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// where is a place in the file and in the tree of keys.
type where struct {
	line, col int
	path      string
}

// String is how a message refers to another place.
func (w where) String() string { return fmt.Sprintf("line %d:%d", w.line, w.col) }

const (
	// maxErrors bounds the report on a file that is wrong throughout; it
	// is far beyond what anyone reads.
	maxErrors = 10_000
	// maxExcerpt is how many characters of a line a message shows.
	maxExcerpt = 160
	// maxQuoted is how many characters of a word a message repeats.
	maxQuoted = 64
)

// report collects what is wrong with one file.
type report struct {
	file     string
	data     []byte
	errors   Errors
	warnings Errors
	// refused counts the errors that name a part of the contract that is
	// not built yet.
	refused int
	// guesses is how many more words may be compared for "did you mean".
	guesses int
}

func newReport(file string, data []byte) *report {
	return &report{file: file, data: data, guesses: maxGuesses}
}

// errorf reports an error at a place. hint may be "".
func (r *report) errorf(at where, hint, format string, args ...any) {
	switch {
	case len(r.errors) < maxErrors:
		r.errors = append(r.errors, r.entry(at, hint, fmt.Sprintf(format, args...)))
	case len(r.errors) == maxErrors:
		r.errors = append(r.errors, r.entry(at, "", "too many errors: some are not reported"))
	}
}

// warnf reports something that is allowed and probably not meant.
func (r *report) warnf(at where, hint, format string, args ...any) {
	if len(r.warnings) < maxErrors {
		r.warnings = append(r.warnings, r.entry(at, hint, fmt.Sprintf(format, args...)))
	}
}

// notSupported refuses a part of the contract that is not built yet; what is
// the value, or "" for a key.
func (r *report) notSupported(at where, what, hint string) {
	r.refused++
	if what != "" {
		what = quote(what) + " is "
	}
	r.errorf(at, hint, "%snot supported by this version", what)
}

func (r *report) entry(at where, hint, message string) Error {
	return Error{
		File: r.file, Line: max(at.line, 1), Column: max(at.col, 1), Path: at.path,
		Message: message, Hint: hint,
	}
}

// sorted orders messages by position, drops what is said twice and adds the
// lines of the file. A position outside the file moves to its edge.
func (r *report) sorted(list Errors) Errors {
	if len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, Error.compare)
	list = slices.Compact(list)
	lines := strings.Split(strings.TrimSuffix(string(r.data), "\n"), "\n")
	var text []rune // of line number have; a line may be megabytes long
	have := 0
	for i := range list {
		e := &list[i]
		e.Line = min(e.Line, len(lines))
		if e.Line != have {
			have, text = e.Line, []rune(strings.TrimSuffix(lines[e.Line-1], "\r"))
		}
		e.Column = min(e.Column, len(text)+1)
		e.Source, e.Caret = excerpt(text, e.Column)
	}
	return list
}

// excerpt cuts a line to what can be shown around a column, and returns the
// column within it.
func excerpt(line []rune, col int) (string, int) {
	if len(line) > maxExcerpt {
		start := min(max(col-maxExcerpt/2, 0), len(line)-maxExcerpt)
		line, col = line[start:start+maxExcerpt], col-start
	}
	return printable(line), col
}

// printable replaces what a terminal could take for a command.
func printable(text []rune) string {
	return strings.Map(func(c rune) rune {
		if c != '\t' && !unicode.IsPrint(c) {
			return unicode.ReplacementChar
		}
		return c
	}, string(text))
}

// quote puts a word of the file into a message: in quotes, and not endless.
func quote(word string) string {
	if n := 0; len(word) > maxQuoted {
		for i := range word {
			if n++; n > maxQuoted {
				word = word[:i] + "..."
				break
			}
		}
	}
	return fmt.Sprintf("%q", word)
}
