package netns

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Names of namespaces are steelyard-PID-START-WORLD-HOST: PID and START (in
// base 36) tell the process that raised the world, even after its number is
// used again; WORLD tells its worlds apart.
const nameStem = "steelyard-"

const worldNumbers = 36 * 36 * 36 * 36

func newPrefix() (string, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("name world: %w", err)
	}
	world := strconv.FormatInt(rand.Int64N(worldNumbers), 36)
	return nameStem + strconv.Itoa(os.Getpid()) + "-" + start + "-" + world, nil
}

// startTime returns when a process started, in base 36 of the unit of
// proc_pid_stat(5) field 22.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("read start time: %w", err)
	}
	// Field 2 is the program's name in brackets and may hold anything.
	rest := string(stat[strings.LastIndexByte(string(stat), ')')+1:])
	const startField = 22 - 3
	fields := strings.Fields(rest)
	if len(fields) <= startField {
		return "", fmt.Errorf("read start time: %d fields in /proc/%d/stat", len(fields), pid)
	}
	ticks, err := strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return "", fmt.Errorf("read start time: %w", err)
	}
	return strconv.FormatUint(ticks, 36), nil
}

// ownerDead says whether a name is one of ours and its process is gone.
func ownerDead(name string) bool {
	rest, ours := strings.CutPrefix(name, nameStem)
	parts := strings.SplitN(rest, "-", 4)
	if !ours || len(parts) != 4 {
		return false
	}
	pid, err := strconv.Atoi(parts[0])
	if err != nil {
		return false
	}
	start, err := startTime(pid)
	if err == nil {
		return start != parts[1]
	}
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// sweep removes the namespaces of dead processes and what runs inside them.
func sweep() error {
	list, err := names()
	if err != nil {
		return err
	}
	ids := map[nsID]bool{}
	var dead []string
	for _, name := range list {
		if !ownerDead(name) {
			continue
		}
		dead = append(dead, name)
		// A name that was never bound has no processes.
		if id, err := identify(filepath.Join(namespaceDir, name)); err == nil {
			ids[id] = true
		}
	}
	errs := []error{killInside(ids)}
	for _, name := range dead {
		errs = append(errs, unbind(name))
	}
	return errors.Join(errs...)
}

// killInside kills the processes whose namespace is one of those given. Our
// own process is spared: one of its threads may be inside for a moment.
func killInside(ids map[nsID]bool) error {
	if len(ids) == 0 {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		id, err := identify(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil || !ids[id] {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return nil
}
