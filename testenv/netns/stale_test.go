package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// abandonEnv makes the test binary raise a world and die without closing it.
const abandonEnv = "STEELYARD_TEST_ABANDON"

func abandon() {
	env, err := Raise(context.Background(), lan())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sleeper := env.Host("gw").Command(context.Background(), "sleep", "1000")
	if err := sleeper.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(env.Prefix(), sleeper.Process.Pid)
	os.Exit(0)
}

func TestRaiseRemovesWhatTheDeadLeft(t *testing.T) {
	RequireRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), abandonEnv+"=1")
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	var prefix string
	var sleeper int
	if _, err := fmt.Sscan(string(out), &prefix, &sleeper); err != nil {
		t.Fatal(err)
	}
	New(t, World{Hosts: []Host{{Name: "alone"}}})
	if left := mine(t, prefix); len(left) != 0 {
		t.Errorf("left of a dead process: %v", left)
	}
	// Whoever adopted the process may take a moment to reap it.
	WaitFor(t, func() bool {
		_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", sleeper))
		return err != nil
	}, "the process inside to be gone")
}

func TestOwnerDead(t *testing.T) {
	own, err := newPrefix()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(own, "-") // steelyard-PID-START-WORLD
	reused := strings.Join([]string{parts[0], parts[1], parts[2] + "0", parts[3]}, "-")
	tests := []struct {
		name  string
		space string
		want  bool
	}{
		{"our own", own + "-gw", false},
		{"number used again", reused + "-gw", true},
		{"no such process", "steelyard-4194305-1-1-gw", true},
		{"host name with dashes", "steelyard-4194305-1-1-backend-1", true},
		{"somebody else's", "blue", false},
		{"somebody else's with our stem", "steelyard-lab", false},
		{"number is none", "steelyard-a-b-c-d", false},
	}
	for _, tt := range tests {
		if got := ownerDead(tt.space); got != tt.want {
			t.Errorf("%s: %s: dead %v, want %v", tt.name, tt.space, got, tt.want)
		}
	}
}

func TestUnbindToleratesRaces(t *testing.T) {
	RequireRoot(t)
	if err := os.MkdirAll(namespaceDir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Died between making the file and binding the namespace to it.
	name := "steelyard-4194305-1-1-" + filepath.Base(t.TempDir())
	if err := os.WriteFile(filepath.Join(namespaceDir, name), nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := unbind(name); err != nil {
		t.Errorf("unbound file: %v", err)
	}
	if err := unbind(name); err != nil {
		t.Errorf("removed by another process: %v", err)
	}
	if err := unix.Access(filepath.Join(namespaceDir, name), unix.F_OK); err == nil {
		t.Error("file is still there")
	}
}
