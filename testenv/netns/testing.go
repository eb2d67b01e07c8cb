package netns

import (
	"os"
	"testing"
	"time"
)

// RequireRoot skips a test that raises worlds where it may not.
func RequireRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: network namespaces cannot be made without CAP_SYS_ADMIN")
	}
}

// New raises the world for a test and closes it when the test ends.
func New(tb testing.TB, w World) *Env {
	tb.Helper()
	RequireRoot(tb)
	env, err := Raise(tb.Context(), w)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := env.Close(); err != nil {
			tb.Errorf("close world: %v", err)
		}
	})
	return env
}

// waitDeadline is far longer than anything waited for takes: a loaded machine
// must not fail a test.
const waitDeadline = 30 * time.Second

// WaitFor polls cond until it holds and fails the test with what was waited
// for if it does not.
func WaitFor(tb testing.TB, cond func() bool, what string) {
	tb.Helper()
	deadline := time.Now().Add(waitDeadline)
	for !cond() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %v for %s", waitDeadline, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
