package vcenter

import (
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	taskLife     = 10 * time.Minute // how long vCenter remembers a finished task
	recentTasks  = 200
	recentPerOne = 20
	progressStep = 100 * time.Millisecond
)

// job is the work of one task.
type job struct {
	entity ref
	check  Fault               // known when the call came in; reported by the task, as vCenter does
	slow   func() error        // may block; runs unlocked, after the task was seen running
	apply  func() (any, Fault) // the effect, under the write lock
	undo   func()              // called, locked, when slow failed
}

type task struct {
	mo.Task
	user string
}

// taskLog remembers tasks for a while; it is guarded by the inventory's lock.
type taskLog struct {
	byRef map[ref]*task
	order []*task
	next  int64
}

func (l *taskLog) init() { l.byRef = map[ref]*task{} }

func (l *taskLog) find(r ref) *task { return l.byRef[r] }

// handleTask registers a method that returns a task. plan looks at the arguments and says what
// is to be done; what it refuses at once is not a task.
func handleTask[R any](v *VCenter, method string, plan func(*Call, *R) (job, Fault)) {
	handle(v, method, unlocked, func(c *Call, req *R) (any, Fault) {
		var j job
		var fault Fault
		v.locked(reading, func() { j, fault = plan(c, req) })
		if fault != nil {
			return nil, fault
		}
		return v.start(c, j), nil
	})
}

func (v *VCenter) start(c *Call, j job) ref {
	var t *task
	v.locked(writing, func() { t = v.newTask(c, j.entity) })
	if c.entry != nil {
		v.Journal.setTask(c.entry, t.Self.Value)
	}
	go func() {
		result, fault := v.perform(c, t, j)
		v.locked(writing, func() { v.complete(t, result, fault) })
		_ = v.settle(c, fault)
	}()
	return t.Self
}

// newTask registers a queued task where clients look for it. The caller holds the write lock.
func (v *VCenter) newTask(c *Call, entity ref) *task {
	v.forgetTasks()
	v.tasks.next++
	t := &task{user: c.User()}
	t.Self = ref{Type: "Task", Value: fmt.Sprintf("task-%d", v.tasks.next)}
	t.Info = types.TaskInfo{
		Key: t.Self.Value, Task: t.Self, Name: c.Method,
		DescriptionId: description(entity.Type, c.Method),
		Entity:        &entity, EntityName: v.name(entity), State: types.TaskInfoStateQueued,
		Reason: &types.TaskReasonUser{UserName: c.User()}, QueueTime: v.now(),
		EventChainId: int32(v.tasks.next),
	}
	v.tasks.byRef[t.Self] = t
	v.tasks.order = append(v.tasks.order, t)
	if manager := lookup[mo.TaskManager](v, *v.content.TaskManager); manager != nil {
		manager.RecentTask = keepLast(append(manager.RecentTask, t.Self), recentTasks)
		v.touch(manager.Self)
	}
	if e := v.entity(entity); e != nil {
		e.RecentTask = keepLast(append(e.RecentTask, t.Self), recentPerOne)
		v.touch(entity)
	}
	return t
}

// description is vCenter's own id of a kind of task: VirtualMachine.powerOn, for PowerOnVM_Task.
func description(kind, method string) string {
	verb := strings.TrimSuffix(strings.TrimSuffix(method, "_Task"), "VM")
	switch verb {
	case "Reconfig":
		verb = "reconfigure"
	case "ReconfigureComputeResource":
		verb = "reconfigureEx"
	}
	return kind + "." + strings.ToLower(verb[:1]) + verb[1:]
}

func keepLast(list []ref, n int) []ref {
	if len(list) <= n {
		return list
	}
	return append([]ref{}, list[len(list)-n:]...)
}

// perform runs the job and turns everything that can go wrong into the task's fault.
func (v *VCenter) perform(c *Call, t *task, j job) (result any, fault Fault) {
	defer func() {
		if p := recover(); p != nil {
			log.Printf("task %s of %s panicked: %v", t.Self.Value, c.Method, p)
			result, fault = nil, systemError(fmt.Sprint(p))
		}
	}()
	v.locked(writing, func() {
		now := v.now()
		t.Info.State, t.Info.StartTime = types.TaskInfoStateRunning, &now
		v.touch(t.Self)
	})
	v.crawl(t, v.Plan.slow(c.Method, c.Path))
	if fault := v.Plan.fail(c.Method, c.Path); fault != nil {
		return nil, fault
	}
	if j.check != nil {
		return nil, j.check
	}
	if j.slow != nil {
		if err := j.slow(); err != nil {
			if j.undo != nil {
				v.locked(writing, j.undo)
			}
			return nil, systemError(err.Error())
		}
	}
	if j.apply != nil {
		v.locked(writing, func() { result, fault = j.apply() })
	}
	return result, fault
}

// crawl lets the task be seen running, with its progress, for as long as the plan wants.
func (v *VCenter) crawl(t *task, wait time.Duration) {
	for begin := time.Now(); ; {
		gone := time.Since(begin)
		if gone >= wait {
			return
		}
		v.locked(writing, func() {
			t.Info.Progress = int32(100 * gone / wait)
			v.touch(t.Self)
		})
		pause(v.closing, min(progressStep, wait-gone))
		if v.closing.Err() != nil {
			return
		}
	}
}

// complete writes the outcome. The caller holds the write lock.
func (v *VCenter) complete(t *task, result any, fault Fault) {
	now := v.now()
	t.Info.CompleteTime = &now
	t.Info.State, t.Info.Result, t.Info.Progress = types.TaskInfoStateSuccess, result, 0
	if fault != nil {
		t.Info.State, t.Info.Result = types.TaskInfoStateError, nil
		t.Info.Error = &types.LocalizedMethodFault{Fault: fault, LocalizedMessage: message(fault)}
	}
	v.touch(t.Self)
}

// forgetTasks drops what finished long ago, from the front of the log only: it is nearly sorted.
func (v *VCenter) forgetTasks() {
	for len(v.tasks.order) > 0 {
		t := v.tasks.order[0]
		done := t.Info.CompleteTime
		if done == nil || v.now().Sub(*done) < taskLife {
			return
		}
		delete(v.tasks.byRef, t.Self)
		v.tasks.order = v.tasks.order[1:]
		if manager := lookup[mo.TaskManager](v, *v.content.TaskManager); manager != nil {
			manager.RecentTask = without(manager.RecentTask, t.Self)
		}
		if e := v.entity(*t.Info.Entity); e != nil {
			e.RecentTask = without(e.RecentTask, t.Self)
			v.touch(*t.Info.Entity)
		}
	}
}
