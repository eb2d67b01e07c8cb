package site

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"steelyard/control/api"
	"steelyard/testenv/netns"
)

// Timeouts of a daemon in a site; they only bound failures.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// Daemon is `steelyard run` inside a host, with directories of its own.
type Daemon struct {
	binary string
	dir    string
	pins   string
	host   *netns.HostEnv
	cmd    *netns.Cmd
	log    syncBuffer
	done   chan struct{} // closed when the process ended
	err    error         // valid once done is closed
}

// Start runs the daemon in a host and returns when it reports the config in
// force without problems. dir is an empty directory for its files.
func Start(ctx context.Context, host *netns.HostEnv, binary, dir, config string) (*Daemon, error) {
	d, err := Launch(ctx, host, binary, dir, config)
	if err != nil {
		return nil, err
	}
	if err := d.WaitInForce(ctx, 1); err != nil {
		return nil, errors.Join(err, d.Kill())
	}
	return d, nil
}

// Launch runs the daemon and returns at once.
func Launch(ctx context.Context, host *netns.HostEnv, binary, dir, config string) (*Daemon, error) {
	d := &Daemon{
		binary: binary,
		dir:    dir,
		pins:   filepath.Join("/sys/fs/bpf", "steelyard-lab-"+filepath.Base(host.Path())),
		host:   host,
		done:   make(chan struct{}),
	}
	if err := os.WriteFile(d.ConfigFile(), []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("write config: %w", err)
	}
	d.cmd = host.Command(context.WithoutCancel(ctx), binary, append([]string{"run"}, d.flags()...)...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start daemon: %w", err)
	}
	go func() { // ends with the process
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	return d, nil
}

func (d *Daemon) flags() []string {
	return []string{"-c", d.ConfigFile(), "--run-dir", d.dir, "--state-dir", d.dir, "--pin-path", d.pins}
}

// ConfigFile returns the path of the config.
func (d *Daemon) ConfigFile() string { return filepath.Join(d.dir, "steelyard.yaml") }

// Pins returns the daemon's directory on bpffs.
func (d *Daemon) Pins() string { return d.pins }

// PID returns the daemon's process number.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Log returns what the daemon has printed.
func (d *Daemon) Log() string { return d.log.String() }

// CommandLine returns the words that run a verb against this daemon from the
// shell, such as "status".
func (d *Daemon) CommandLine(verb string) []string {
	return []string{d.binary, verb, "--run-dir", d.dir}
}

// Status asks the daemon through its own command line.
func (d *Daemon) Status(ctx context.Context) (s api.Status, err error) {
	words := append(d.CommandLine("status"), "-o", "json")
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).Output()
	if err != nil {
		return s, fmt.Errorf("ask for status: %w", err)
	}
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("read status: %w", err)
	}
	return s, nil
}

// WaitInForce waits until the config of that revision, or a later one, is in
// force without problems.
func (d *Daemon) WaitInForce(ctx context.Context, revision uint64) error {
	return d.WaitStatus(ctx, func(s api.Status) bool { return s.Revision >= revision && len(s.Problems) == 0 })
}

// WaitStatus waits until the daemon's status is as wanted.
func (d *Daemon) WaitStatus(ctx context.Context, want func(api.Status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last api.Status
	var err error
	for {
		var s api.Status
		if s, err = d.Status(ctx); err == nil {
			if last = s; want(s) {
				return nil
			}
		}
		select {
		case <-d.done:
			return fmt.Errorf("daemon ended: %w\n%s", d.err, d.Log())
		case <-ctx.Done():
			return fmt.Errorf("wait for the daemon's status: %w\nlast status: %+v\nlog:\n%s", errors.Join(ctx.Err(), err), last, d.Log())
		case <-time.After(pollEvery):
		}
	}
}

// Reload gives the daemon another config and returns when it is in force.
func (d *Daemon) Reload(ctx context.Context, config string) error {
	before, err := d.Status(ctx)
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.ConfigFile(), []byte(config), 0o644); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("signal daemon: %w", err)
	}
	return d.WaitInForce(ctx, before.Revision+1)
}

// Signal sends a signal to the daemon.
func (d *Daemon) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }

// Stop ends the daemon as an operator does and returns how it ended.
func (d *Daemon) Stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal daemon: %w", err)
	}
	return d.Wait()
}

// Kill ends the daemon without giving it a chance to clean up.
func (d *Daemon) Kill() error {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill daemon: %w", err)
	}
	<-d.done
	return nil
}

// Wait waits until the daemon has ended and returns how.
func (d *Daemon) Wait() error {
	select {
	case <-d.done:
	case <-time.After(stopTimeout):
		return fmt.Errorf("the daemon did not end within %s\n%s", stopTimeout, d.Log())
	}
	if d.err != nil {
		return fmt.Errorf("daemon: %w\n%s", d.err, d.Log())
	}
	return nil
}

// syncBuffer is written by the process's copying goroutine and read by tests.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// WaitEnd waits until ctx ends and returns nil, or until the daemon has ended
// by itself, which is an error.
func (d *Daemon) WaitEnd(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.done:
		return fmt.Errorf("the daemon ended: %w\n%s", d.err, d.Log())
	}
}
