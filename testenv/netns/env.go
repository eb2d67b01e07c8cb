package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// Env is a raised world. Its methods may be called from any goroutine.
type Env struct {
	prefix string
	hosts  map[string]*HostEnv
	// spaces are all namespaces in the order they were made: the hosts',
	// then the switches'.
	spaces []*space

	closing  sync.Once
	closeErr error
}

// Raise builds the world and returns when every device carries packets. It
// first removes what dead processes left behind. On an error nothing stays.
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
func Raise(ctx context.Context, w World) (env *Env, err error) {
	if err := w.validate(); err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	prefix, err := newPrefix()
	if err != nil {
		return nil, err
	}
	env = &Env{prefix: prefix, hosts: map[string]*HostEnv{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, env.Close())
			env = nil
		}
	}()
	if err := env.addHosts(w.Hosts); err != nil {
		return env, err
	}
	if err := ctx.Err(); err != nil {
		return env, fmt.Errorf("raise world: %w", err)
	}
	if err := env.cable(ctx, w); err != nil {
		return env, err
	}
	for _, h := range w.Hosts {
		if err := env.hosts[h.Name].configure(h); err != nil {
			return env, err
		}
	}
	return env, nil
}

func (e *Env) addHosts(hosts []Host) error {
	for _, h := range hosts {
		s, err := e.addSpace(h.Name)
		if err != nil {
			return err
		}
		e.hosts[h.Name] = &HostEnv{name: h.Name, space: s, xdp: h.XDP}
	}
	return nil
}

// addSpace makes one namespace with the common settings.
func (e *Env) addSpace(name string) (*space, error) {
	s, err := newSpace(e.prefix + "-" + name)
	if err != nil {
		return nil, fmt.Errorf("make namespace of %s: %w", name, err)
	}
	e.spaces = append(e.spaces, s)
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("prepare namespace of %s: %w", name, err)
	}
	return s, nil
}

// Host returns the host of that name; it panics if the world has none, since
// the name is a constant of the caller.
func (e *Env) Host(name string) *HostEnv {
	h := e.hosts[name]
	if h == nil {
		panic(fmt.Sprintf("world has no host %q", name))
	}
	return h
}

// Prefix returns what the names of this world's namespaces begin with: host
// "gw" is reached by `ip netns exec PREFIX-gw`.
func (e *Env) Prefix() string { return e.prefix }

// Close kills processes that still run inside the world and removes its
// devices and namespaces. It goes on after errors and returns all of them.
// Later calls return the result of the first.
func (e *Env) Close() error {
	e.closing.Do(func() {
		var errs []error
		errs = append(errs, killInside(e.ids()))
		for _, s := range slices.Backward(e.spaces) {
			errs = append(errs, s.remove())
		}
		e.closeErr = errors.Join(errs...)
	})
	return e.closeErr
}

func (e *Env) ids() map[nsID]bool {
	m := map[nsID]bool{}
	for _, s := range e.spaces {
		m[s.id] = true
	}
	return m
}

// names lists the entries of the namespace directory.
func names() ([]string, error) {
	entries, err := os.ReadDir(namespaceDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, nil
}
