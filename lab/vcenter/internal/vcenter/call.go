package vcenter

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/wire"
)

// Call is one request on its way through the server.
type Call struct {
	*wire.Request
	Path    string // inventory path of the object called, "" when it has none
	session *session
	http    *http.Request
	writer  http.ResponseWriter
	entry   *Mutation // nil for a call that changes nothing
}

// User who makes the call, "" before a login.
func (c *Call) User() string {
	if c.session == nil {
		return ""
	}
	return c.session.info.UserName
}

type locking int

const (
	unlocked locking = iota
	reading
	writing
)

type handler struct {
	locking locking
	serve   func(*Call) (any, Fault)
}

// handle registers a method. R is the govmomi request type, so a method called with something
// else is refused before the function sees it.
func handle[R any](v *VCenter, method string, locking locking, serve func(*Call, *R) (any, Fault)) {
	v.handlers[method] = handler{locking, func(c *Call) (any, Fault) {
		body, ok := c.Body.(*R)
		if !ok {
			return nil, &types.InvalidRequest{}
		}
		return serve(c, body)
	}}
}

// answer runs one call through the gates in vCenter's order: is it a method, who asks, does the
// object exist, may they, and only then what it does.
func (v *VCenter) answer(c *Call) (any, Fault) {
	rule, known := v.authority.methods[c.Method]
	serve, served := v.handlers[c.Method]
	if _, here := rule.on(c.This.Type); !known || !served || !here {
		return nil, &types.MethodNotFound{Receiver: c.This, Method: c.Method}
	}
	c.session = v.sessions.of(c.http)
	defer v.sessions.done(c.session)
	v.locked(reading, func() { c.Path = v.callPath(c) })
	v.Journal.count(c, v.directVMReads(c))
	if c.session == nil && !rule.Anonymous && !v.readableByAnyone(c) {
		return nil, notAuthenticated(c.This)
	}
	if rule.Mutates {
		c.entry = v.Journal.begin(c)
	}
	if wait := v.Plan.delay(c.Method, c.Path); wait > 0 {
		pause(c.http.Context(), wait)
	}
	if fault := v.Plan.reject(c); fault != nil {
		return nil, v.settle(c, fault)
	}
	var missing Fault
	v.locked(reading, func() {
		if missing = v.missing(c); missing == nil {
			missing = v.authority.check(v, c, rule)
		}
	})
	if missing != nil {
		return nil, v.settle(c, missing)
	}
	result, fault := v.guarded(c, serve)
	if r, isTask := result.(ref); c.entry != nil && !(isTask && r.Type == "Task") {
		_ = v.settle(c, fault)
	}
	return result, fault
}

func (v *VCenter) settle(c *Call, fault Fault) Fault {
	if c.entry != nil {
		v.Journal.finish(c.entry, fault)
	}
	return fault
}

// guarded runs the handler under its lock. A panic is an answer to this client, not the end of
// the process; the deferred unlock keeps everybody else working.
func (v *VCenter) guarded(c *Call, h handler) (result any, fault Fault) {
	defer func() {
		if p := recover(); p != nil {
			log.Printf("%s on %s panicked: %v", c.Method, c.This, p)
			result, fault = nil, systemError(fmt.Sprint(p))
		}
	}()
	v.locked(h.locking, func() { result, fault = h.serve(c) })
	return result, fault
}

func (v *VCenter) locked(how locking, do func()) {
	switch how {
	case reading:
		v.mu.RLock()
		defer v.mu.RUnlock()
	case writing:
		v.mu.Lock()
		defer v.mu.Unlock()
	case unlocked:
	}
	do()
}

func (v *VCenter) missing(c *Call) Fault {
	if c.Method == "Fetch" || v.exists(c.session, c.This) {
		return nil
	}
	return &types.ManagedObjectNotFound{Obj: c.This}
}

// callPath names the VM a call is about, through its snapshot if need be.
func (v *VCenter) callPath(c *Call) string {
	if target := c.guestTarget(); target != nil {
		return v.pathOf(*target)
	}
	switch c.This.Type {
	case "VirtualMachineSnapshot":
		if s := v.snapshot(c.This); s != nil {
			return v.pathOf(s.Vm)
		}
		return ""
	case "VirtualMachine", "Folder", "Datacenter", "ClusterComputeResource", "HostSystem":
		return v.pathOf(c.This)
	default:
		return ""
	}
}

func systemError(reason string) Fault {
	return &types.SystemError{Reason: reason}
}

func invalidArgument(property string) Fault {
	return &types.InvalidArgument{InvalidProperty: property}
}

// message is what the fault says to a person; vCenter localises these, we say them in English.
func message(fault Fault) string {
	switch f := fault.(type) {
	case *types.NoPermission:
		return "Permission to perform this operation was denied."
	case *types.NotAuthenticated:
		return "The session is not authenticated."
	case *types.InvalidLogin:
		return "Cannot complete login due to an incorrect user name or password."
	case *types.ManagedObjectNotFound:
		return fmt.Sprintf("The object '%s:%s' has already been deleted or has not been completely created",
			f.Obj.Type, f.Obj.Value)
	case *types.InvalidArgument:
		return "A specified parameter was not correct: " + f.InvalidProperty
	case *types.InvalidProperty:
		return "The property is not known: " + f.Name
	case *types.MethodNotFound:
		return fmt.Sprintf("The simulator does not serve %s on %s", f.Method, f.Receiver.Type)
	case *types.SystemError:
		return "A general system error occurred: " + f.Reason
	default:
		return wire.FaultName(fault)
	}
}

func pause(done interface{ Done() <-chan struct{} }, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done.Done():
	}
}
