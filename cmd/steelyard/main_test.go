package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// binaryPath is the product as a user gets it; TestMain builds it once.
var binaryPath string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "steelyard-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the daemon: %v\n", err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build makes the binary. Where the tests run by sudo, the one who called it
// builds: root would leave files in that user's cache that he cannot change.
func build(dir string) error {
	// Tests run it as another user too.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	tool := "go"
	if root := os.Getenv("GOROOT"); root != "" { // set by go test; sudo changes PATH
		tool = filepath.Join(root, "bin", "go")
	}
	binaryPath = filepath.Join(dir, "steelyard")
	// Git refuses to look at a tree of another user: no version is stamped.
	cmd := exec.Command(tool, "build", "-trimpath", "-buildvcs=false", "-o", binaryPath, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	uid, uidErr := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 32)
	gid, gidErr := strconv.ParseUint(os.Getenv("SUDO_GID"), 10, 32)
	if os.Geteuid() == 0 && uidErr == nil && gidErr == nil {
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return err
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
