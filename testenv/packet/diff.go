package packet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
)

// Diff says, one difference a line, where got is not want: layer by layer and
// field by field, in hex where a layer has no fields. It returns "" where the
// frames are equal byte for byte.
func Diff(want, got []byte) string {
	if bytes.Equal(want, got) {
		return ""
	}
	var b strings.Builder
	w, g := decode(want), decode(got)
	for i := range max(len(w), len(g)) {
		switch {
		case i >= len(g):
			fmt.Fprintf(&b, "- %s\n", w[i])
		case i >= len(w):
			fmt.Fprintf(&b, "+ %s\n", g[i])
		case w[i].name != g[i].name:
			fmt.Fprintf(&b, "- %s\n+ %s\n", w[i], g[i])
		default:
			diffLayer(&b, w[i], g[i])
		}
	}
	// Always said: fields a decoder does not show must not hide.
	fmt.Fprintf(&b, "bytes: %s\n", diffBytes(want, got))
	return b.String()
}

// String returns the frame in words, one layer a line.
func String(frame []byte) string {
	var b strings.Builder
	for _, l := range decode(frame) {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

// String returns the layer in one line.
func (l decodedLayer) String() string {
	if len(l.fields) == 0 {
		return fmt.Sprintf("%s %s", l.name, shortHex(l.raw))
	}
	var parts []string
	for _, f := range l.fields {
		parts = append(parts, f.name+"="+f.value)
	}
	return l.name + " " + strings.Join(parts, " ")
}

func diffLayer(b *strings.Builder, want, got decodedLayer) {
	if len(want.fields) == 0 || len(want.fields) != len(got.fields) {
		if !bytes.Equal(want.raw, got.raw) {
			fmt.Fprintf(b, "%s: want %s, got %s\n", want.name, shortHex(want.raw), shortHex(got.raw))
		}
		return
	}
	for i, f := range want.fields {
		if g := got.fields[i]; f != g {
			fmt.Fprintf(b, "%s.%s: want %s, got %s\n", want.name, f.name, f.value, g.value)
		}
	}
}

// diffBytes names the first ranges of bytes that differ.
func diffBytes(want, got []byte) string {
	const most = 4
	var parts []string
	n := min(len(want), len(got))
	for i := 0; i < n && len(parts) < most; i++ {
		if want[i] == got[i] {
			continue
		}
		end := i
		for end < n && want[end] != got[end] {
			end++
		}
		parts = append(parts, fmt.Sprintf("at %d want %s, got %s", i, shortHex(want[i:end]), shortHex(got[i:end])))
		i = end
	}
	if len(want) != len(got) {
		parts = append(parts, fmt.Sprintf("want %d bytes, got %d", len(want), len(got)))
	}
	return strings.Join(parts, "; ")
}

// shortHex prints up to 64 bytes.
func shortHex(b []byte) string {
	const most = 64
	if len(b) <= most {
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%s... (%d bytes)", hex.EncodeToString(b[:most]), len(b))
}
