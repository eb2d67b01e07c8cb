package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrPinsInUse means that another process holds the pin directory.
var ErrPinsInUse = errors.New("another instance uses this pin path")

// bpffsRoot is where bpffs belongs.
const bpffsRoot = "/sys/fs/bpf"

// Pins is a directory on bpffs that one process holds. What is pinned in it
// can be looked at with bpftool.
type Pins struct {
	dir  string
	lock *os.File
}

// OpenPins takes hold of a directory on bpffs, which it creates; bpffs itself
// is mounted on /sys/fs/bpf if it is missing and dir is below. What a dead
// process left pinned there is removed. Returns ErrPinsInUse where a living
// one holds it.
func OpenPins(dir string) (p *Pins, err error) {
	if err := mountBPFFS(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make pin directory: %w", err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open pin directory: %w", err)
	}
	p = &Pins{dir: dir, lock: lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrPinsInUse
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), lock.Close())
	}
	if err := p.clear(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return p, nil
}

// mountBPFFS mounts bpffs where it belongs unless something is mounted that
// holds dir already.
func mountBPFFS(dir string) error {
	if !strings.HasPrefix(filepath.Clean(dir)+"/", bpffsRoot+"/") {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(bpffsRoot, &fs); err != nil {
		return fmt.Errorf("look at %s: %w: the kernel has no BPF file system", bpffsRoot, err)
	}
	if fs.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", bpffsRoot, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount bpffs on %s: %w: try `mount -t bpf bpf %s`", bpffsRoot, err, bpffsRoot)
	}
	return nil
}

func (p *Pins) clear() error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("list pins: %w", err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(p.dir, e.Name())); err != nil {
			return fmt.Errorf("remove old pin: %w", err)
		}
	}
	return nil
}

// Pin makes the program and its tables visible in the directory.
func (p *Pins) Pin(b *Balancer) error {
	if err := b.objs.Balancer.Pin(filepath.Join(p.dir, "balancer")); err != nil {
		return fmt.Errorf("pin program: %w", err)
	}
	for name, m := range b.tables() {
		if err := m.Pin(filepath.Join(p.dir, name)); err != nil {
			return fmt.Errorf("pin %s: %w", name, err)
		}
	}
	return nil
}

// Close removes the pins and gives the directory up.
func (p *Pins) Close() error {
	return errors.Join(p.clear(), os.Remove(p.dir), p.lock.Close())
}

// tables names every table as bpf/maps.h does.
func (b *Balancer) tables() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		"answer_budgets": b.objs.AnswerBudgets,
		"backend_counts": b.objs.BackendCounts,
		"backends":       b.objs.Backends,
		"flow_buckets":   b.objs.FlowBuckets,
		"flow_counts":    b.objs.FlowCounts,
		"fragments":      b.objs.Fragments,
		"interfaces":     b.objs.Interfaces,
		"origins":        b.objs.Origins,
		"rings":          b.objs.Rings,
		"routes":         b.objs.Routes,
		"service_keys":   b.objs.ServiceKeys,
		"services":       b.objs.Services,
		"slots":          b.objs.Slots,
		"tx_devices":     b.objs.TxDevices,
		"verdict_counts": b.objs.VerdictCounts,
		"vips":           b.objs.Vips,
	}
}

// Memory returns the bytes of kernel memory that the tables take, as the
// kernel accounts them.
func (b *Balancer) Memory() (uint64, error) {
	var total uint64
	for name, m := range b.tables() {
		info, err := m.Info()
		if err != nil {
			return 0, fmt.Errorf("look at %s: %w", name, err)
		}
		bytes, _ := info.Memlock()
		total += bytes
	}
	return total, nil
}
