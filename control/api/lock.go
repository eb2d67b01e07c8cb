package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// ErrInUse means that a living daemon uses the run directory.
var ErrInUse = errors.New("run directory in use by a running daemon")

// runLock is a lock on a run directory. The kernel gives it up with the
// process that holds it, however that ends.
type runLock struct{ dir *os.File }

// lockRunDir takes the lock, so that of two daemons that start at once only
// one goes on. Returns ErrInUse where another holds it.
func lockRunDir(path string) (*runLock, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open run directory: %w", err)
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return &runLock{dir}, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	return nil, errors.Join(fmt.Errorf("lock run directory %s: %w", path, err), dir.Close())
}

func (l *runLock) release() error { return l.dir.Close() }

// removeStale removes a socket on which nobody answers. Anything that is not a
// socket is not ours and stays. Returns ErrInUse where somebody answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for old socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen on admin socket: %s is there and is not a socket", path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("listen on admin socket %s: %w", path, ErrInUse), conn.Close())
	}
	// Only a refusal says that nobody is there: a busy daemon has no room
	// for one more client for a moment.
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("look for a daemon on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove old socket: %w", err)
	}
	return nil
}
