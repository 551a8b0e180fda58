package vcenter

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/wire"
)

// Trouble is one thing that shall go wrong. Count is how often, 0 meaning until it is cleared.
type Trouble struct {
	Kind         string  `json:"kind"`
	Method       string  `json:"method,omitempty"` // "" means every method
	Fault        string  `json:"fault,omitempty"`
	Path         string  `json:"path,omitempty"` // "" means every object
	Seconds      float64 `json:"seconds,omitempty"`
	Milliseconds float64 `json:"milliseconds,omitempty"`
	Count        int     `json:"count,omitempty"`
	Remaining    int     `json:"remaining"`
}

// The kinds of trouble that stay until they are used up or cleared.
const (
	DropResponse = "drop-response" // the effect happens, the answer does not arrive
	Reject       = "reject"        // the call is refused, nothing happens
	FailTask     = "fail-task"     // the call returns a task, the task fails without effect
	SlowTask     = "slow-task"     // the task runs for a while before it has its effect
	Delay        = "delay"         // the call itself takes longer
	Silence      = "silence"       // requests hang
	Refuse       = "refuse"        // connections are closed at once
	WrongClock   = "wrong-clock"   // what the server tells of time is so many seconds off
)

var troubleKinds = []string{DropResponse, Reject, FailTask, SlowTask, Delay, Silence, Refuse, WrongClock}

// FaultPlan is the list of troubles in force. It has its own lock.
type FaultPlan struct {
	mu      sync.Mutex
	all     []*Trouble
	cleared chan struct{} // closed and replaced by Clear, so that silenced requests go on
}

func newFaultPlan() *FaultPlan { return &FaultPlan{cleared: make(chan struct{})} }

// Add puts a trouble in force. Errors say what is wrong with it.
func (p *FaultPlan) Add(t Trouble) error {
	if !slices.Contains(troubleKinds, t.Kind) {
		return fmt.Errorf("unknown kind %q, known are expire-sessions and %v", t.Kind, troubleKinds)
	}
	if t.Kind == Reject || t.Kind == FailTask {
		if _, ok := wire.NewFault(t.Fault); !ok {
			return fmt.Errorf("unknown fault %q", t.Fault)
		}
	}
	if t.Count < 0 || (t.Seconds < 0 && t.Kind != WrongClock) || t.Milliseconds < 0 {
		return errors.New("count, seconds and milliseconds cannot be negative")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Remaining = t.Count
	p.all = append(p.all, &t)
	return nil
}

// Clear ends all troubles.
func (p *FaultPlan) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = nil
	close(p.cleared)
	p.cleared = make(chan struct{})
}

// List is what is still in force.
func (p *FaultPlan) List() []Trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []Trouble{}
	for _, t := range p.all {
		list = append(list, *t)
	}
	return list
}

// take uses up the first matching trouble once.
func (p *FaultPlan) take(kind, method, path string) (Trouble, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range p.all {
		if t.Kind != kind || (t.Method != "" && t.Method != method) || (t.Path != "" && t.Path != path) {
			continue
		}
		if t.Count > 0 {
			t.Remaining--
			if t.Remaining == 0 {
				p.all = slices.Delete(p.all, i, i+1)
			}
		}
		return *t, true
	}
	return Trouble{}, false
}

func (p *FaultPlan) delay(method, path string) time.Duration {
	t, _ := p.take(Delay, method, path)
	return time.Duration(t.Milliseconds * float64(time.Millisecond))
}

func (p *FaultPlan) slow(method, path string) time.Duration {
	t, _ := p.take(SlowTask, method, path)
	return time.Duration(t.Seconds * float64(time.Second))
}

// skew is how far the server's clock is ahead of the true time; negative when it is behind.
func (p *FaultPlan) skew() time.Duration {
	t, _ := p.take(WrongClock, "", "")
	return time.Duration(t.Seconds * float64(time.Second))
}

func (p *FaultPlan) reject(c *Call) Fault {
	t, ok := p.take(Reject, c.Method, c.Path)
	if !ok {
		return nil
	}
	fault, _ := wire.NewFault(t.Fault)
	switch f := fault.(type) {
	case *types.NoPermission:
		f.Object, f.PrivilegeId = &c.This, "Lab.Rejected"
	case *types.NotAuthenticated:
		f.Object, f.PrivilegeId = &c.This, noPrivilege
	case *types.TaskInProgress:
		f.Task = ref{Type: "Task", Value: "task-0"} // a reference without a type cannot be read by clients
	}
	return fault
}

func (p *FaultPlan) fail(method, path string) Fault {
	t, ok := p.take(FailTask, method, path)
	if !ok {
		return nil
	}
	fault, _ := wire.NewFault(t.Fault)
	return fault
}

// refusing tells whether connections are closed at once, and silent gives the channel to wait for
// when requests hang.
func (p *FaultPlan) refusing() bool {
	_, ok := p.take(Refuse, "", "")
	return ok
}

func (p *FaultPlan) silent(method string) (<-chan struct{}, bool) {
	p.mu.Lock()
	cleared := p.cleared
	p.mu.Unlock()
	_, ok := p.take(Silence, method, "")
	return cleared, ok
}
