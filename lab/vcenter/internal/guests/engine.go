package guests

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
)

// Engine starts, stops and copies the guests of one lab.
type Engine struct {
	settings Settings
	podman   podman
	done     chan struct{}

	mutex  sync.Mutex
	news   map[string]bool // the guests whose facts changed and were not told yet
	wake   chan struct{}
	free   netip.Addr // the last address given to a guest
	guests map[string]*Guest
}

// Open removes what an earlier run of this lab left behind. The function changed is called
// from one goroutine of the engine's own after the facts of a guest changed, so it may wait for whoever is just
// switching that guest; several changes in a row may become one call.
func Open(ctx context.Context, settings Settings, changed func(*Guest)) (*Engine, error) {
	e := &Engine{
		settings: settings, podman: podman{settings}, guests: map[string]*Guest{},
		news: map[string]bool{}, wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if err := e.sweep(ctx); err != nil {
		return nil, fmt.Errorf("removing earlier guests: %w", err)
	}
	e.free = settings.Subnet.Masked().Addr().Next() // the first address is the gateway's
	if err := os.MkdirAll(settings.State, 0o700); err != nil {
		return nil, err
	}
	go e.spread(changed)
	return e, nil
}

// tell marks a guest's facts as news; it never waits.
func (e *Engine) tell(id string) {
	e.mutex.Lock()
	e.news[id] = true
	e.mutex.Unlock()
	select {
	case e.wake <- struct{}{}:
	default: // somebody woke the spreader already and it has not looked yet
	}
}

func (e *Engine) spread(changed func(*Guest)) {
	for {
		select {
		case <-e.done:
			return
		case <-e.wake:
		}
		e.mutex.Lock()
		told := []*Guest{}
		for id := range e.news {
			if g := e.guests[id]; g != nil {
				told = append(told, g)
			}
		}
		clear(e.news)
		e.mutex.Unlock()
		for _, g := range told {
			changed(g)
		}
	}
}

// sweep removes containers, mounts and disks that this lab made; nothing else carries its label or lies in its
// directory.
func (e *Engine) sweep(ctx context.Context) error {
	names, err := e.podman.leftovers(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := e.podman.remove(ctx, name); err != nil {
			return err
		}
	}
	mounts, err := mountsBelow(e.settings.State)
	if err != nil {
		return err
	}
	for _, point := range mounts {
		if _, err := command(ctx, nil, "", "umount", point); err != nil {
			return err
		}
	}
	return os.RemoveAll(e.settings.State)
}

// Create makes the disk of a new guest, which is switched off. The id is 32 hexadecimal digits: it becomes the
// machine id that systemd shows.
func (e *Engine) Create(ctx context.Context, id, hostName string, spec Spec) (*Guest, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	image, ok := e.settings.Images[spec.Image]
	if !ok {
		return nil, fmt.Errorf("guest: there is no image %q", spec.Image)
	}
	g, err := e.add(id, hostName, spec)
	if err != nil {
		return nil, err
	}
	err = g.disk.create(ctx, image, spec.DiskMiB)
	if err == nil {
		err = g.disk.attach(ctx)
	}
	if err == nil {
		err = g.disk.identify(ctx, id, hostName, spec.Password)
	}
	if err != nil {
		return nil, errors.Join(err, g.Remove(ctx))
	}
	return g, nil
}

func (e *Engine) add(id, hostName string, spec Spec) (*Guest, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.guests[id] != nil {
		return nil, fmt.Errorf("guest %s exists already", id)
	}
	next := e.free.Next()
	if !e.settings.Subnet.Contains(next) {
		return nil, fmt.Errorf("no address is left in %s", e.settings.Subnet)
	}
	e.free = next
	g := newGuest(e, id, hostName, spec, next)
	e.guests[id] = g
	return g, nil
}

// Guest returns the guest with an id, or nil.
func (e *Engine) Guest(id string) *Guest {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.guests[id]
}

// Close stops all guests and removes their containers and disks.
func (e *Engine) Close(ctx context.Context) error {
	e.mutex.Lock()
	all := make([]*Guest, 0, len(e.guests))
	for _, g := range e.guests {
		all = append(all, g)
	}
	e.mutex.Unlock()
	close(e.done)
	var failed error
	for _, g := range all {
		failed = errors.Join(failed, g.Remove(ctx))
	}
	return errors.Join(failed, e.sweep(ctx))
}
