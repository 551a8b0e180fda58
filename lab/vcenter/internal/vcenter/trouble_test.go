package vcenter_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

const web = "kunde-a/web-01"

func (w *world) trouble(trouble vcenter.Trouble) {
	w.Helper()
	w.must(w.Plan.Add(trouble))
}

func (w *world) taskInfo(c *govmomi.Client, task *object.Task) types.TaskInfo {
	w.Helper()
	var info mo.Task
	w.must(c.RetrieveOne(ctx, task.Reference(), []string{"info"}, &info))
	return info.Info
}

func TestADroppedResponseHappenedAllTheSame(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	vm := w.vm(c, web)
	w.trouble(vcenter.Trouble{Kind: vcenter.DropResponse, Method: "ReconfigVM_Task", Count: 1})
	if _, err := vm.Reconfigure(ctx, configSpec{NumCPUs: 3}); err == nil || faultOf(err) == "" {
		t.Error("the client got an answer")
	}
	w.eventually("the effect", func() bool { return w.facts(web).CPUs == 3 })
	w.expect("the next call", w.reconfigure(c, web, configSpec{NumCPUs: 4}), "")
	if left := w.Plan.List(); len(left) != 0 {
		t.Errorf("still in force: %+v", left)
	}
}

func TestARejectedCallHasNoEffect(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	w.trouble(vcenter.Trouble{Kind: vcenter.Reject, Method: "ReconfigVM_Task", Fault: "TaskInProgress", Count: 2, Path: web})
	w.expect("another VM", w.reconfigure(c, "kunde-b/off-01", configSpec{NumCPUs: 3}), "")
	w.expect("the first", w.reconfigure(c, web, configSpec{NumCPUs: 3}), "TaskInProgress")
	w.expect("the second", w.reconfigure(c, web, configSpec{NumCPUs: 3}), "TaskInProgress")
	if n := w.facts(web).CPUs; n != 2 {
		t.Errorf("a rejected call set %d CPUs", n)
	}
	w.expect("the third", w.reconfigure(c, web, configSpec{NumCPUs: 3}), "")
}

func TestAFailedTaskHasNoEffectAndSaysWhy(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	w.trouble(vcenter.Trouble{Kind: vcenter.FailTask, Method: "ReconfigVM_Task", Fault: "InvalidPowerState", Count: 1})
	task, err := w.vm(c, web).Reconfigure(ctx, configSpec{NumCPUs: 3})
	w.must(err)
	w.expect("the task", outcome(task, nil), "InvalidPowerState")
	info := w.taskInfo(c, task)
	if info.State != types.TaskInfoStateError || info.CompleteTime == nil || info.Error == nil || w.facts(web).CPUs != 2 {
		t.Errorf("the task says %+v", info)
	}
}

func TestASlowTaskIsSeenRunningAndOthersGoOn(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	w.trouble(vcenter.Trouble{Kind: vcenter.SlowTask, Method: "ReconfigVM_Task", Seconds: 0.4, Count: 1})
	task, err := w.vm(c, web).Reconfigure(ctx, configSpec{NumCPUs: 3})
	w.must(err)
	w.eventually("progress", func() bool {
		info := w.taskInfo(c, task)
		return info.State == types.TaskInfoStateRunning && info.StartTime != nil && info.Progress > 0
	})
	if n := w.facts(web).CPUs; n != 2 {
		t.Errorf("a running task set %d CPUs already", n)
	}
	w.expect("another call meanwhile", w.reconfigure(c, "kunde-b/off-01", configSpec{NumCPUs: 1}), "")
	w.expect("the slow task", outcome(task, nil), "")
	info := w.taskInfo(c, task)
	if info.QueueTime.After(*info.StartTime) || !info.CompleteTime.After(*info.StartTime) || w.facts(web).CPUs != 3 {
		t.Errorf("queued %s, started %s, completed %s", info.QueueTime, info.StartTime, info.CompleteTime)
	}
}

func TestAFinishedTaskStaysInTheListsOfRecentTasks(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	vm := w.vm(c, web)
	task, err := vm.Reconfigure(ctx, configSpec{NumCPUs: 3})
	w.expect("reconfigure", outcome(task, err), "")
	var machine mo.VirtualMachine
	var manager mo.TaskManager
	w.must(c.RetrieveOne(ctx, vm.Reference(), []string{"recentTask"}, &machine))
	w.must(c.RetrieveOne(ctx, *c.ServiceContent.TaskManager, []string{"recentTask"}, &manager))
	for _, list := range [][]types.ManagedObjectReference{machine.RecentTask, manager.RecentTask} {
		if len(list) != 1 || list[0] != task.Reference() {
			t.Errorf("the list is %v", list)
		}
	}
	info := w.taskInfo(c, task)
	if info.DescriptionId != "VirtualMachine.reconfigure" || info.EntityName != "web-01" {
		t.Errorf("the task is %s of %s", info.DescriptionId, info.EntityName)
	}
	if reason, ok := info.Reason.(*types.TaskReasonUser); !ok || reason.UserName != admin {
		t.Errorf("the reason is %+v", info.Reason)
	}
}

func TestADelayedCallIsLate(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	w.trouble(vcenter.Trouble{Kind: vcenter.Delay, Method: "ReconfigVM_Task", Milliseconds: 60, Count: 1})
	vm := w.vm(c, web)
	begin := time.Now()
	_, err := vm.Reconfigure(ctx, configSpec{NumCPUs: 3})
	w.must(err)
	if gone := time.Since(begin); gone < 60*time.Millisecond {
		t.Errorf("the call took %s", gone)
	}
}

func TestAWrongClockIsSeenAtTheTasksAndEndsWithItsTrouble(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	off := func() time.Duration {
		task, err := w.vm(c, web).Reconfigure(ctx, configSpec{NumCPUs: 3})
		w.expect("reconfigure", outcome(task, err), "")
		return time.Until(*w.taskInfo(c, task).CompleteTime).Round(time.Hour)
	}
	w.trouble(vcenter.Trouble{Kind: vcenter.WrongClock, Seconds: -9 * 3600})
	if skew := off(); skew != -9*time.Hour {
		t.Errorf("the clock is off by %s", skew)
	}
	w.Plan.Clear()
	if skew := off(); skew != 0 {
		t.Errorf("the clock is off by %s afterwards", skew)
	}
}

func TestASilentServerAnswersOnceItIsCleared(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	vm := w.vm(c, web)
	w.trouble(vcenter.Trouble{Kind: vcenter.Silence})
	impatient, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
	defer cancel()
	if _, err := vm.Reconfigure(impatient, configSpec{NumCPUs: 5}); err == nil {
		t.Error("a silent server answered")
	}
	answered := make(chan error, 1)
	go func() {
		_, err := vm.Reconfigure(ctx, configSpec{NumCPUs: 3})
		answered <- err
	}()
	select {
	case <-answered:
		t.Error("a silent server answered")
	case <-time.After(30 * time.Millisecond):
	}
	w.Plan.Clear()
	w.must(<-answered)
	w.eventually("the effect of the patient call only", func() bool { return w.facts(web).CPUs == 3 })
}

func TestExpiredSessionsHaveToLogInAgain(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	vm := w.vm(c, web)
	w.ExpireSessions()
	_, err := vm.PowerOff(ctx)
	w.expect("power off", faultOf(err), "NotAuthenticated")
	w.expect("after a new login", w.reconfigure(w.client(admin), web, configSpec{NumCPUs: 3}), "")
}

func TestARefusingServerClosesConnections(t *testing.T) {
	w := start(t)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	listener := w.NewListener(socket)
	server := &http.Server{Handler: w.Handler(nil), ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	ask := func() error {
		res, err := http.Get("http://" + socket.Addr().String() + "/sdk/vimServiceVersions.xml")
		if err == nil {
			_ = res.Body.Close()
		}
		return err
	}
	w.must(ask())
	w.trouble(vcenter.Trouble{Kind: vcenter.Refuse})
	listener.DropAll()
	if ask() == nil {
		t.Error("a refusing server answered")
	}
	w.Plan.Clear()
	w.must(ask())
}

func TestATroubleThatCannotBeIsRefused(t *testing.T) {
	plan := start(t).Plan
	for _, trouble := range []vcenter.Trouble{
		{Kind: "earthquake"}, {Kind: vcenter.Reject, Fault: "NoSuchFault"}, {Kind: vcenter.FailTask},
		{Kind: vcenter.Delay, Milliseconds: -1},
	} {
		if plan.Add(trouble) == nil {
			t.Errorf("accepted: %+v", trouble)
		}
	}
}
