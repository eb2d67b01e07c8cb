package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/lexer"
)

func TestErrorText(t *testing.T) {
	text := "version: 1\ninterfaces: {eth0: {}}\nservices:\n  dns:\n    vip: 203.0.113.53\n" +
		"    ports: [53/udp]\n    pool: resolver\npools:\n  resolvers: {backends: [10.0.0.1:53]}\n"
	_, err := Parse("steelyard.yaml", []byte(text))
	want := "steelyard.yaml:7:11: services.dns.pool: no pool named \"resolver\"; did you mean \"resolvers\"?\n" +
		"    7 |     pool: resolver\n" +
		"      |           ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 500)
	tests := []struct {
		name, line string
		col        int
		want       string
		caret      int
	}{
		{"short", "a: b", 4, "a: b", 4},
		{"behind the end", "a", 2, "a", 2},
		{"start of a long line", long, 1, long[:maxExcerpt], 1},
		{"end of a long line", long, 501, long[:maxExcerpt], maxExcerpt + 1},
		{"inside a long line", long, 250, long[:maxExcerpt], maxExcerpt / 2},
		{"not printable", "a\u202eb", 3, "a\uFFFDb", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, caret := excerpt([]rune(tt.line), tt.col)
			if got != tt.want || caret != tt.caret {
				t.Errorf("got %q, %d, want %q, %d", got, caret, tt.want, tt.caret)
			}
		})
	}
}

// TestCaret keeps tabs, so that the caret stands where the terminal puts the
// character.
func TestCaret(t *testing.T) {
	e := Error{Line: 7, Source: "a:\t[é x", Caret: 6}
	if got, want := e.Excerpt(), "    7 | a:\t[é x\n      |   \t  ^\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSuggest(t *testing.T) {
	tests := []struct {
		name, word string
		candidates []string
		want       string
	}{
		{"missing letter", "resolver", []string{"postgres", "resolvers"}, "resolvers"},
		{"swapped letters", "dsn", []string{"db", "dns"}, "dns"},
		{"upper case", "NAT", []string{"nat"}, "nat"},
		{"start of the word", "warning", []string{"debug", "warn"}, "warn"},
		{"nearest", "pools", []string{"pool", "poolss", "tools"}, "pool"},
		{"by alphabet", "ab1", []string{"ab3", "ab2"}, "ab2"},
		{"nothing near", "resolver", []string{"postgres", "app"}, ""},
		{"one letter is not like another", "a", []string{"b"}, ""},
		{"no candidates", "a", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := ""
			if tt.want != "" {
				want = `did you mean "` + tt.want + `"?`
			}
			if got := newReport("", nil).suggest(tt.word, slices.Values(tt.candidates)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestRepairColons(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"block", "a: b:c", "a|:|b:c"},
		{"list in braces", "{a: [10.0.0.1:53, x]}", "{|a|:|[|10.0.0.1:53|,|x|]|}"},
		{"IPv6 in braces", "{a: [2001:db8::1]}", "{|a|:|[|2001:db8::1|]|}"},
		{"colon first", "{a: [::1, ::2]}", "{|a|:|[|::1|,|::2|]|}"},
		{"quoted key", `{"a":1}`, "{|a|:|1|}"},
		{"value apart", "{a: 1, b: 2}", "{|a|:|1|,|b|:|2|}"},
		{"value on the next line", "{a:\n 1}", "{|a|:|1|}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, tk := range repairColons(lexer.Tokenize(tt.text)) {
				got = append(got, tk.Value)
			}
			if s := strings.Join(got, "|"); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}
