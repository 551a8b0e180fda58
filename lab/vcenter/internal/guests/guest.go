package guests

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"managedvm.dev/lab/vcenter/internal/tools"
)

// Heartbeat is vSphere's word for how a guest answers.
type Heartbeat string

// Gray: Tools do not run. Green: they answer. Yellow and red: they run but have not answered for a while.
const (
	Gray   Heartbeat = "gray"
	Green  Heartbeat = "green"
	Yellow Heartbeat = "yellow"
	Red    Heartbeat = "red"
)

// Facts is what is seen of a guest from outside, and what its Tools said last.
type Facts struct {
	On          bool
	Stopped     bool // off because the guest stopped by itself
	ToolsRun    bool
	Heartbeat   Heartbeat
	Description tools.Description
}

var off = Facts{Heartbeat: Gray}

// Guest is the inside of one virtual machine.
type Guest struct {
	engine   *Engine
	id       string
	hostName string
	address  netip.Addr
	spec     Spec
	disk     disk
	tools    *tools.Client

	power sync.Mutex // held by whoever starts, stops or copies the guest

	mutex sync.Mutex // guards what follows
	pid   int        // of the guest's init; 0 when switched off
	stop  context.CancelFunc
	facts Facts
}

func newGuest(e *Engine, id, hostName string, spec Spec, address netip.Addr) *Guest {
	g := &Guest{engine: e, id: id, hostName: hostName, spec: spec, address: address}
	g.disk = disk{filepath.Join(e.settings.State, id)}
	g.tools = tools.NewClient(g.socket)
	g.facts = off
	return g
}

// ErrOff says that a guest is switched off.
var ErrOff = errors.New("the guest is switched off")

// socket is the daemon's socket, reached through the init process into the guest's own file system.
func (g *Guest) socket() (string, error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.pid == 0 {
		return "", ErrOff
	}
	return fmt.Sprintf("/proc/%d/root%s", g.pid, tools.Socket), nil
}

// Tools returns the client of the daemon inside the guest.
func (g *Guest) Tools() *tools.Client { return g.tools }

// ID returns what the guest was created with.
func (g *Guest) ID() string { return g.id }

// Facts returns what was last seen.
func (g *Guest) Facts() Facts {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.facts
}

func (g *Guest) containerName() string { return "managedvm-" + g.id }

// PowerOn starts the guest and returns once its init runs, as a VM is on before its system is up. One that is on
// stays on.
func (g *Guest) PowerOn(ctx context.Context) error {
	g.power.Lock()
	defer g.power.Unlock()
	if g.Facts().On {
		return nil
	}
	return g.start(ctx)
}

func (g *Guest) start(ctx context.Context) error {
	if err := g.disk.attach(ctx); err != nil {
		return err
	}
	// A full or damaged disk must not keep the machine from starting, and an existing directory is as good.
	for _, needed := range []string{"tmp", "var/log/journal"} {
		if err := os.MkdirAll(filepath.Join(g.disk.mount(), needed), 0o755); err != nil {
			return err
		}
	}
	if err := g.engine.podman.remove(ctx, g.containerName()); err != nil {
		return err
	}
	pid, err := g.engine.podman.run(ctx, container{
		name: g.containerName(), hostName: g.hostName, root: g.disk.mount(), address: g.address, memoryMiB: g.spec.MemoryMiB,
	})
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(context.Background())
	g.mutex.Lock()
	g.pid, g.stop = pid, stop
	g.mutex.Unlock()
	g.learn(pid, Facts{On: true, Heartbeat: Gray})
	go g.watch(watching, pid)
	return nil
}

// PowerOff pulls the plug. One that is off stays off.
func (g *Guest) PowerOff(ctx context.Context) error {
	g.power.Lock()
	defer g.power.Unlock()
	if err := g.halt(ctx); err != nil {
		return err
	}
	g.learn(0, off)
	return nil
}

// halt ends the container without telling anybody: between the two halves of a reset the VM is not off.
func (g *Guest) halt(ctx context.Context) error {
	g.mutex.Lock()
	stop := g.stop
	g.pid, g.stop = 0, nil
	g.mutex.Unlock()
	if stop != nil {
		stop()
	}
	return g.engine.podman.remove(ctx, g.containerName())
}

// Reset pulls the plug and starts again.
func (g *Guest) Reset(ctx context.Context) error {
	g.power.Lock()
	defer g.power.Unlock()
	if err := g.halt(ctx); err != nil {
		return err
	}
	return g.start(ctx)
}

// Ask lets the guest's own init stop or restart; it returns when the guest has heard it.
func (g *Guest) Ask(ctx context.Context, action tools.Action) error {
	return g.tools.Do(ctx, tools.Request{Operation: tools.Power, Action: action}, nil, nil)
}

// AwaitOff returns when the guest is off, or with the context's error.
func (g *Guest) AwaitOff(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for g.Facts().On {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Snapshot keeps a copy of the disk under a name; the memory is not kept.
func (g *Guest) Snapshot(ctx context.Context, name string) error {
	g.power.Lock()
	defer g.power.Unlock()
	return g.disk.takeSnapshot(ctx, name)
}

// Revert switches the guest off and gives it back the disk of a snapshot.
func (g *Guest) Revert(ctx context.Context, name string) error {
	g.power.Lock()
	defer g.power.Unlock()
	if err := g.halt(ctx); err != nil {
		return err
	}
	g.learn(0, off)
	if err := g.disk.detach(ctx); err != nil {
		return err
	}
	return copySparse(ctx, g.disk.snapshot(name), g.disk.file())
}

// DropSnapshot forgets a snapshot; one that is not there is fine.
func (g *Guest) DropSnapshot(name string) error { return g.disk.dropSnapshot(name) }

// Remove destroys the guest with its disk and its snapshots.
func (g *Guest) Remove(ctx context.Context) error {
	g.power.Lock()
	defer g.power.Unlock()
	err := g.halt(ctx)
	if err == nil {
		err = g.disk.detach(ctx)
	}
	if err == nil {
		err = os.RemoveAll(g.disk.directory)
	}
	if err != nil {
		return err
	}
	g.engine.mutex.Lock()
	defer g.engine.mutex.Unlock()
	delete(g.engine.guests, g.id)
	return nil
}

// learn keeps new facts and tells whoever listens if they differ from the last ones. What was seen of an init that
// is no longer the guest's is of the past and forgotten.
func (g *Guest) learn(pid int, facts Facts) {
	g.mutex.Lock()
	news := g.pid == pid && !reflect.DeepEqual(g.facts, facts)
	if news {
		g.facts = facts
	}
	g.mutex.Unlock()
	if news {
		g.engine.tell(g.id)
	}
}
