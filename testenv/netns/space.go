package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaceDir is where iproute2 looks for named namespaces.
const namespaceDir = "/run/netns"

// space is one named network namespace with a netlink socket inside it.
type space struct {
	name   string // file name below namespaceDir
	handle vnetns.NsHandle
	id     nsID
	nl     *netlink.Handle
	veths  []netlink.Link // made here; removing them removes their peers
}

// nsID identifies a namespace whatever path it is seen by: its bound name or
// /proc/PID/ns/net.
type nsID struct{ dev, inode uint64 }

func identify(path string) (nsID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nsID{}, fmt.Errorf("stat namespace %s: %w", path, err)
	}
	return nsID{dev: uint64(st.Dev), inode: st.Ino}, nil
}

func (s *space) path() string { return filepath.Join(namespaceDir, s.name) }

// newSpace makes a namespace and binds it to its name.
func newSpace(name string) (s *space, err error) {
	s = &space{name: name, handle: vnetns.None()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
			s = nil
		}
	}()
	if err := keepNamespace(func() (err error) {
		s.handle, err = vnetns.NewNamed(name)
		return err
	}); err != nil {
		return s, err
	}
	if s.id, err = identify(s.path()); err != nil {
		return s, err
	}
	if s.nl, err = netlink.NewHandleAt(s.handle, unix.NETLINK_ROUTE); err != nil {
		return s, fmt.Errorf("open netlink: %w", err)
	}
	return s, nil
}

// keepNamespace runs f, which may change the thread's namespace, on the
// calling goroutine and puts the namespace back. Running f here and not on a
// goroutine of its own lets a test fail from inside f.
func keepNamespace(f func() error) (err error) {
	runtime.LockOSThread()
	home, err := vnetns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own namespace: %w", err)
	}
	defer func() {
		// A thread that cannot go home must not serve other goroutines: it
		// stays locked and ends with this one.
		if back := vnetns.Set(home); back != nil {
			err = errors.Join(err, fmt.Errorf("return to own namespace: %w", back))
		} else {
			runtime.UnlockOSThread()
		}
		err = errors.Join(err, home.Close())
	}()
	return f()
}

// do runs f on a thread inside the namespace.
func (s *space) do(f func() error) error {
	// f's error is returned as it is: callers compare it.
	var result error
	err := keepNamespace(func() error {
		if err := vnetns.Set(s.handle); err != nil {
			return fmt.Errorf("enter namespace %s: %w", s.name, err)
		}
		result = f()
		return nil
	})
	if err != nil {
		return errors.Join(result, err)
	}
	return result
}

// remove takes the namespace away. It may be called on a half-made space.
func (s *space) remove() error {
	var errs []error
	if s.nl != nil {
		for _, l := range s.veths {
			// The peer's owner may have removed the pair already.
			if err := s.nl.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
				errs = append(errs, fmt.Errorf("remove device %s: %w", l.Attrs().Name, err))
			}
		}
		s.nl.Close()
	}
	if s.handle.IsOpen() {
		errs = append(errs, s.handle.Close(), unbind(s.name))
	}
	return errors.Join(errs...)
}

// unbind removes a name, bound or not. A name that is gone is no error: two
// processes may clean up at once.
func unbind(name string) error {
	path := filepath.Join(namespaceDir, name)
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unbind namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}
