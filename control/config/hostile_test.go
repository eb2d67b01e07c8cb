package config

import (
	"strings"
	"testing"
)

// TestHostile feeds files that are no config at all: each gets one clean
// answer, in time and memory that the size of the file bounds.
func TestHostile(t *testing.T) {
	again := strings.Repeat
	tests := []struct {
		name, text, want string
	}{
		{"empty", "", "1:1: the file is empty"},
		{"comment only", "# nothing\n", "1:1: the file is empty"},
		{"only a document start", "---\n", "1:1: the file is empty"},
		{"text", "hello\n", "1:1: expected keys such as `version: 1`, found \"hello\""},
		{"list", "- version: 1\n", "1:1: expected keys such as `version: 1`, found a list"},
		{"not UTF-8", "version: 1\nnode: {name: \"\xff\"}\n", "2:15: not valid UTF-8 text"},
		{"UTF-16", "\xff\xfev\x00e\x00", "1:1: not valid UTF-8 text"},
		{"zero byte", "version: 1\x00\n", "1:11: a control character (U+0000)"},
		{"escape sequence", "version: 1 # \x1b[2J\n", "1:14: a control character (U+001B)"},
		{"old Mac line ends", "version: 1\rnode: {}\r", "1:11: a control character (U+000D)"},
		{"tab as indentation", "node:\n\tname: a\n", "2:1: not valid YAML: found character '\t' that cannot start any token"},
		{"open quote", "node: {name: \"a}\n", "1:14: not valid YAML: could not find end character of double-quoted text"},
		{"open bracket", "vips: [a,\n", "1:7: not valid YAML: sequence end token ']' not found"},
		{"IPv6 without quotes", "x:\n  backends: [[2001:db8::1]:53]\n", "not valid YAML: ',' or ']' must be specified; an IPv6 address with a port needs quotes"},
		{"brackets", again("[", 1<<18), "1:33: nested too deeply"},
		{"braces", again("{a: ", 1<<18), "nested too deeply"},
		{"dashes", again("- ", 1<<18), "1:65: nested too deeply"},
		{"steps", steps(1000), "nested too deeply"},
		{"question marks", again("? ", 1<<17), "1:1: complex keys (?) are not used in this file"},
		{"anchors", again("&a ", 1<<17), "anchors and aliases (& and *) are not used in this file"},
		{"tags", again("!a ", 1<<17), "tags (!) are not used in this file"},
		{"merge bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "1:4: anchors and aliases (& and *) are not used in this file"},
		{"many keys", again("a: 1\n", 1<<18), "16385:2: too many keys"},
		{"many mappings of many keys", "x:\n" + again("  y:\n"+again("    a: 1\n", 16000), 3), "too many keys"},
		{"many values", "vips: [" + again("1,", 1<<20) + "]", "the file holds too many values"},
		{"many errors", "interfaces: {}\nvips: {a: {addresses: []}}\npools: {a: {backends: [" + again("1, ", 20000) + "]}}", "too many errors: some are not reported"},
		{"large", again("#", MaxBytes+1), "1:1: the file is larger than 4 MiB"},
		{"long line", "nodes: " + again("x", 1<<20), "1:1: unknown key \"nodes\"; did you mean \"node\"?"},
		{"long key", again("x", 1<<20) + ": 1", "unknown key \"" + again("x", 64) + "...\""},
		{"control characters by escape", "\"\\e[2J\": 1\n", `1:1: unknown key "\x1b[2J"`},
		{"many ports", base + "services: {a: {ports: [" + again("1/tcp, ", 300) + "]}}", "300 ports; at most 256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustRefuse(t, tt.text).Error()
			if !strings.Contains(got, tt.want) {
				t.Errorf("got\n%.2000s\nwant %s", got, tt.want)
			}
			if strings.ContainsAny(got, "\x1b\x00") {
				t.Error("the message holds control characters of the file")
			}
		})
	}
}

// steps nests block mappings.
func steps(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestAccepted holds odd forms that are right.
func TestAccepted(t *testing.T) {
	tests := []struct{ name, text string }{
		{"DOS line ends", strings.ReplaceAll(base, "\n", "\r\n")},
		{"byte order mark", "\ufeff" + base},
		{"document start and end", "---\n" + base + "...\n"},
		{"sections without content", base + "node:\nflows:\nannounce:\nvips:\npools:\nservices:\nlog:\n"},
		{"interface without content", "version: 1\ninterfaces:\n  eth0:\n"},
		{"quoted words", "\"version\": 1\n'interfaces': {\"eth0\": {xdp: 'auto'}}\n"},
		{"backend list in braces", base + "pools: {a: {backends: [10.0.0.1:53, \"[2001:db8::1]:53\"]}}\n"},
		{"backend in braces", base + "pools: {a: {backends: [{address: 10.0.0.1:53, name: b}, {address: \"[2001:db8::1]:53\"}]}}\n"},
		{"IPv6 list in braces", base + "vips: {a: {addresses: [2001:db8::80, 2001:db8::81]}}\n"},
		{"IPv6 list in brackets", base + "vips:\n  a:\n    addresses: [2001:db8::80, 2001:db8::81]\n"},
		{"JSON", `{"version":1,"interfaces":{"eth0":{}},"pools":{"a":{"backends":["10.0.0.1:53"]}}}`},
		{"no refresh", base + "announce: {refresh: 0s}\n"},
		{"refresh off", base + "announce: {refresh: off}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { mustParse(t, tt.text) })
	}
}
