package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"steelyard/control/api"
	"steelyard/testenv/netns"
	"steelyard/testenv/site"
)

// invocation is how a run of the binary went.
type invocation struct {
	code     int
	out, err string
}

// cli runs the binary on a host and waits for its end.
func (b *bed) cli(host *netns.HostEnv, args ...string) invocation {
	b.t.Helper()
	return invoke(b.t, host.Do, nil, args...)
}

// decodes checks that text is one JSON value of a kind.
func decodes(t *testing.T, text string, to any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		t.Errorf("%v in:\n%s", err, text)
	}
}

// within runs f where a command shall start.
type within func(f func() error) error

// invokeTimeout bounds a command that does not end as it should.
const invokeTimeout = 30 * time.Second

// invoke runs the binary and waits for its end; as may be nil.
func invoke(t *testing.T, where within, as *syscall.Credential, args ...string) invocation {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), invokeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binaryPath, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // let a daemon clean up
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	err := where(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("steelyard %s: %v", strings.Join(args, " "), err)
	}
	return invocation{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errs.String()}
}

// here runs a command in the namespace of the test.
func here(f func() error) error { return f() }

// configIn writes a config that anybody may read and returns its path.
func configIn(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "steelyard-config-") // unlike t.TempDir's parents, it can be opened
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "steelyard.yaml")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExitCodes: each way to fail has its code, and says what to do.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	good := configIn(t, minimal)
	bad := configIn(t, strings.ReplaceAll(minimal, "7000/udp", "7000/upd"))
	tests := []struct {
		name string
		args []string
		code int
		out  []string // what standard output says
		err  []string // what standard error says
	}{
		{"help", []string{"--help"}, 0, []string{"run", "check", "status", "version", "Exit codes"}, nil},
		{"no verb", nil, 0, []string{"Usage"}, nil},
		{"unknown verb", []string{"balance"}, 2, nil, []string{"balance"}},
		{"unknown flag", []string{"run", "--fast"}, 2, nil, []string{"--fast"}},
		{"argument too many", []string{"check", good}, 2, nil, []string{"steelyard check --help"}},
		{"unknown output", []string{"version", "-o", "xml"}, 2, nil, []string{"table or json"}},
		{"version", []string{"version"}, 0, []string{"steelyard ", "linux/"}, nil},
		{"check, good", []string{"check", "-c", good}, 0, []string{"ok", "2 services", "4 backends"}, nil},
		{"check, bad", []string{"check", "-c", bad}, 3, nil, []string{bad + ":5:", "upd", "udp"}},
		{"check, no file", []string{"check", "-c", good + ".no"}, 1, nil, []string{good + ".no"}},
		{"run, bad", []string{"run", "-c", bad}, 3, nil, []string{bad + ":5:", "refused"}},
		{"run, no file", []string{"run", "-c", good + ".no"}, 1, nil, []string{good + ".no"}},
		{"status, no daemon", []string{"status", "--run-dir", t.TempDir()}, 5, nil, []string{"unreachable", "steelyard run"}},
		{"status, no daemon, json", []string{"status", "-o", "json", "--run-dir", t.TempDir()}, 5, nil, []string{"unreachable"}},
		{"completion", []string{"completion", "bash"}, 0, []string{"steelyard"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := invoke(t, here, nil, tt.args...)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", got.code, tt.code, got.out, got.err)
			}
			for _, want := range tt.out {
				if !strings.Contains(got.out, want) {
					t.Errorf("standard output does not say %q:\n%s", want, got.out)
				}
			}
			for _, want := range tt.err {
				if !strings.Contains(got.err, want) {
					t.Errorf("standard error does not say %q:\n%s", want, got.err)
				}
			}
		})
	}
}

// TestCompletion: a shell takes what completion prints.
func TestCompletion(t *testing.T) {
	t.Parallel()
	need(t, "bash", "bash")
	script := invoke(t, here, nil, "completion", "bash")
	cmd := exec.CommandContext(t.Context(), "bash", "-n")
	cmd.Stdin = strings.NewReader(script.out)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("bash: %v\n%s", err, out)
	}
}

// TestJSON: -o json is JSON and nothing else, also where the answer is no.
func TestJSON(t *testing.T) {
	t.Parallel()
	type problem struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Message string `json:"message"`
	}
	type verdict struct {
		File     string    `json:"file"`
		Accepted bool      `json:"accepted"`
		Errors   []problem `json:"errors"`
		Warnings []problem `json:"warnings"`
	}
	good, bad := configIn(t, minimal), configIn(t, minimal+"colour: blue\n")
	for path, accepted := range map[string]bool{good: true, bad: false} {
		var got verdict
		c := invoke(t, here, nil, "check", "-c", path, "-o", "json")
		if err := json.Unmarshal([]byte(c.out), &got); err != nil {
			t.Fatalf("%v in:\n%s", err, c.out)
		}
		if got.Accepted != accepted || got.File != path || len(got.Errors) != map[bool]int{false: 1}[accepted] {
			t.Errorf("check -o json says %+v", got)
		}
		if strings.Contains(c.out, "null") {
			t.Errorf("an empty list is not a list:\n%s", c.out)
		}
		for _, e := range got.Errors {
			if e.Line != 7 || e.Column != 1 || e.Message == "" {
				t.Errorf("the error is at %d:%d (%q), want 7:1: %s", e.Line, e.Column, e.Message, c.out)
			}
		}
	}
	var build map[string]string
	decodes(t, invoke(t, here, nil, "version", "-o", "json").out, &build)
	if build["version"] == "" || build["os"] != "linux" {
		t.Errorf("version -o json says %v", build)
	}
}

// TestStatusJSON: the answer has nothing that the API's types do not name.
func TestStatusJSON(t *testing.T) {
	t.Parallel()
	b := raiseServing(t, 2, site.Config{})
	b.balances(t, 2)
	var s api.Status
	c := b.cli(b.gateway, "status", "-o", "json", "--exit-code", "--run-dir", filepath.Dir(b.daemon.ConfigFile()))
	decodes(t, c.out, &s)
	if c.code != 0 || s.Revision != 1 || len(s.Services) != 4 || len(s.VIPs) != 2 || len(s.Interfaces) != 2 {
		t.Errorf("exit code %d, status %+v", c.code, s)
	}
	for _, pool := range s.Pools {
		for _, be := range pool.Backends {
			if be.Forwarded.Packets == 0 || be.Returned.Packets == 0 {
				t.Errorf("pool %s: backend %s has counts %+v", pool.Name, be.Name, be.BackendCount)
			}
		}
	}
}

// TestNotRoot: whoever may not do it is told what is missing.
func TestNotRoot(t *testing.T) {
	netns.RequireRoot(t)
	t.Parallel()
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	path := configIn(t, minimal)
	c := invoke(t, here, nobody, "run", "-c", path, "--run-dir", t.TempDir())
	if c.code != 1 || !strings.Contains(c.err, "not root") || !strings.Contains(c.err, "sudo") {
		t.Errorf("exit code %d, want 1 and what is missing:\n%s", c.code, c.err)
	}
	if c := invoke(t, here, nobody, "check", "-c", path); c.code != 0 {
		t.Errorf("check: exit code %d, want 0 for anybody:\n%s", c.code, c.err)
	}
}

// TestNoSuchDevice: the devices that there are get named, and nothing is done.
func TestNoSuchDevice(t *testing.T) {
	t.Parallel()
	b := raise(t, site.World(1))
	config := site.Config{Backends: site.Members(1), Interfaces: []string{"wan", "lam"}}.String()
	c := b.cli(b.gateway, "run", "-c", configIn(t, config), "--run-dir", t.TempDir(), "--pin-path", "/sys/fs/bpf/"+filepath.Base(b.gateway.Path()))
	if c.code != 1 || !strings.Contains(c.err, "no device lam") || !strings.Contains(c.err, "lan") || !strings.Contains(c.err, "wan") {
		t.Errorf("exit code %d, want 1 and the names of the devices:\n%s", c.code, c.err)
	}
	if b.has(vip4OnHost) {
		t.Error("a daemon that did not start has added its VIP")
	}
}
