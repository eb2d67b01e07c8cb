package traffic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestAllowFiles(t *testing.T) {
	var before, after syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	low := syscall.Rlimit{Cur: 100, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}()
	if err := allowFiles(500); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &after); err != nil {
		t.Fatal(err)
	}
	if after.Cur < 500+fileReserve || after.Max < before.Max {
		t.Errorf("limit of open files %+v after asking for 500 more", after)
	}
	// Above what any kernel grants (fs.nr_open).
	if err := allowFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "raise limit of open files from") {
		t.Errorf("more files than there can be: %v", err)
	}
}

func TestCause(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"error number", dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "connection refused"},
		{"read deadline", dial(os.ErrDeadlineExceeded), "no answer in time"},
		{"own text", fmt.Errorf("got %q: %w", "x", errWrongAnswer), "wrong answer"},
		{"plain", errors.New("strange"), "strange"},
	}
	for _, tt := range tests {
		if got := cause(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTallyAddsUp(t *testing.T) {
	one, two := newTally(), newTally()
	for _, w := range []*tally{&one, &two} {
		*w.share([]byte("red")) = Share{Flows: 1, Messages: 10}
		w.moves[[2]string{"red", "blue"}] = 2
		w.moves[[2]string{"blue", "red"}] = 1
		w.reasons["silence"] = 3
	}
	*two.share([]byte("blue")) = Share{Flows: 5, Messages: 6}
	one.add(two)
	if got := one.backends(); len(got) != 2 || got["red"] != (Share{2, 20}) || got["blue"] != (Share{5, 6}) {
		t.Errorf("backends %v", got)
	}
	if got, want := one.moveList(), []Move{{"blue", "red", 2}, {"red", "blue", 4}}; !slices.Equal(got, want) {
		t.Errorf("moves %v, want %v", got, want)
	}
	if got, want := one.reasonList(), []Reason{{"silence", 6}}; !slices.Equal(got, want) {
		t.Errorf("reasons %v, want %v", got, want)
	}
}
