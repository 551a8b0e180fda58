package vcenter_test

import (
	"testing"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

func TestAWrongPasswordIsRefused(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	_, err := methods.Login(ctx, c.Client, &types.Login{This: *c.ServiceContent.SessionManager, UserName: admin, Password: "guess"})
	w.expect("login", faultOf(err), "InvalidLogin")
	if _, err := w.login("nobody@vsphere.local"); faultOf(err) != "InvalidLogin" {
		t.Errorf("an unknown user: %v", err)
	}
}

func missing(err error) string {
	if err == nil || !soap.IsSoapFault(err) {
		return ""
	}
	if fault, ok := soap.ToSoapFault(err).VimFault().(types.NoPermission); ok {
		return fault.PrivilegeId
	}
	return faultOf(err)
}

func TestTheMissingPrivilegeDependsOnTheArguments(t *testing.T) {
	w := start(t)
	c := w.client(operator)
	vm := w.vm(c, "kunde-a/web-01")
	key := w.facts("kunde-a/web-01").Disks[0].Key
	for _, step := range []struct {
		name string
		spec configSpec
		want string
	}{
		{"CPUs, which the role has", configSpec{NumCPUs: 3}, ""},
		{"the version costs nothing", configSpec{NumCPUs: 3, ChangeVersion: w.facts("kunde-a/web-01").ChangeVersion}, ""},
		{"memory", configSpec{MemoryMB: 8192}, "VirtualMachine.Config.Memory"},
		{"a disk", diskChange(key, 50), "VirtualMachine.Config.DiskExtend"},
		{
			"options", configSpec{ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "k", Value: "v"}}},
			"VirtualMachine.Config.AdvancedConfig",
		},
		{"the name", configSpec{Name: "x"}, "VirtualMachine.Config.Rename"},
		{"anything else", configSpec{GuestId: "x"}, "VirtualMachine.Config.Settings"},
	} {
		_, err := vm.Reconfigure(ctx, step.spec)
		w.expect(step.name, missing(err), step.want)
	}
	if got := w.facts("kunde-a/web-01").MemoryMiB; got != 4096 {
		t.Errorf("a refused call set the memory to %d", got)
	}
}

func TestAReaderReadsAndChangesNothing(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	vm := w.vm(c, "kunde-a/web-01")
	_, err := vm.PowerOff(ctx)
	w.expect("power off", missing(err), "VirtualMachine.Interact.PowerOff")
	_, err = vm.CreateSnapshot(ctx, "s", "", false, false)
	w.expect("snapshot", missing(err), "VirtualMachine.State.CreateSnapshot")
	_, err = w.cluster(c, "cluster-1").Reconfigure(ctx, &types.ClusterConfigSpecEx{}, true)
	w.expect("cluster", missing(err), "Host.Inventory.EditCluster")
	_, err = vm.Rename(ctx, "x")
	w.expect("rename", missing(err), "VirtualMachine.Config.Rename")
	w.expect("power", w.facts("kunde-a/web-01").Power, "poweredOn")
	for _, mutation := range w.Journal.Snapshot().Mutations {
		w.expect(mutation.Method, mutation.Outcome, "NoPermission")
	}
}

func TestAMethodOutsideTheTableDoesNotExistForAnybody(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	_, err := methods.MarkAsTemplate(ctx, c.Client, &types.MarkAsTemplate{This: w.vm(c, "kunde-a/web-01").Reference()})
	w.expect("MarkAsTemplate", faultOf(err), "MethodNotFound")
	_, err = w.cluster(c, "cluster-1").Destroy(ctx)
	w.expect("destroying a cluster", faultOf(err), "MethodNotFound")
}

func TestAskingForPrivilegesAnswersAsTheCallsDo(t *testing.T) {
	w := start(t)
	c := w.client(operator)
	vm := w.vm(c, "kunde-a/web-01").Reference()
	answer := call(w, c, methods.HasPrivilegeOnEntities, types.HasPrivilegeOnEntities{
		This: *c.ServiceContent.AuthorizationManager, Entity: []types.ManagedObjectReference{vm},
		PrivId: []string{"VirtualMachine.Config.CPUCount", "VirtualMachine.Config.Memory", "System.Read"},
	}).Returnval
	var granted []bool
	for _, one := range answer[0].PrivAvailability {
		granted = append(granted, one.IsGranted)
	}
	if len(granted) != 3 || !granted[0] || granted[1] || !granted[2] {
		t.Errorf("granted: %v", granted)
	}
}

func TestATerminatedSessionIsNotAuthenticatedAnywhere(t *testing.T) {
	w := start(t)
	boss, victim := w.client(admin), w.client(operator)
	vm := w.vm(victim, "kunde-a/web-01")
	stream := w.stream(victim, vmSet())
	stream.fill()
	waiting := make(chan error, 1)
	go func() {
		_, err := methods.WaitForUpdatesEx(ctx, victim.Client, &types.WaitForUpdatesEx{This: stream.pc, Version: stream.version})
		waiting <- err
	}()
	user, err := victim.SessionManager.UserSession(ctx)
	w.must(err)
	w.must(session.NewManager(boss.Client).TerminateSession(ctx, []string{user.Key}))
	w.expect("the waiting call", faultOf(<-waiting), "NotAuthenticated")
	_, err = vm.PowerOff(ctx)
	w.expect("a method", faultOf(err), "NotAuthenticated")
	var properties mo.VirtualMachine
	w.expect("a property", faultOf(vm.Properties(ctx, vm.Reference(), []string{"name"}, &properties)), "NotAuthenticated")
	w.expect("power", w.facts("kunde-a/web-01").Power, "poweredOn")
}

func TestAnIdleSessionEndsAndABusyOneDoesNot(t *testing.T) {
	w := start(t, func(o *vcenter.Options) { o.SessionTimeout = 150 * time.Millisecond })
	busy := w.client(operator)
	s := w.stream(busy, vmSet())
	s.fill()
	waiting := make(chan error, 1)
	go func() {
		_, err := methods.WaitForUpdatesEx(ctx, busy.Client, &types.WaitForUpdatesEx{This: s.pc, Version: s.version})
		waiting <- err
	}()
	w.client(reader)
	w.eventually("the idle session is gone", func() bool { return w.SessionCount() == 1 })
	w.change("kunde-a/web-01", vcenter.VMChange{Heartbeat: pointer("red")})
	w.must(<-waiting)
	w.eventually("and then the other one", func() bool { return w.SessionCount() == 0 })
}

func TestTheSessionListShowsWhoUsesWhat(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	w.client(reader)
	var manager mo.SessionManager
	w.must(c.RetrieveOne(ctx, *c.ServiceContent.SessionManager, []string{"sessionList", "currentSession"}, &manager))
	if len(manager.SessionList) != 2 || manager.CurrentSession.UserName != admin || manager.CurrentSession.UserAgent == "" {
		t.Errorf("the list is %+v", manager.SessionList)
	}
}

func TestTheJournalTellsWhoDidWhatWithWhichPrivilege(t *testing.T) {
	w := start(t)
	c := w.client(operator)
	vm := w.vm(c, "kunde-a/web-01")
	w.Journal.Reset()
	var properties mo.VirtualMachine
	w.must(vm.Properties(ctx, vm.Reference(), []string{"name"}, &properties))
	task, err := vm.Reconfigure(ctx, configSpec{NumCPUs: 3})
	w.expect("reconfigure", outcome(task, err), "")
	calls := w.Journal.Snapshot()
	if calls.VMReads != 1 || calls.Methods["ReconfigVM_Task"] != 1 || calls.Users[operator]["ReconfigVM_Task"] != 1 {
		t.Errorf("counted %+v", calls)
	}
	entry := calls.Mutations[0]
	if len(calls.Mutations) != 1 || entry.Path != "kunde-a/web-01" || entry.User != operator || entry.Outcome != "success" ||
		entry.Task != task.Reference().Value {
		t.Errorf("the mutation is %+v", entry)
	}
	w.expect("privileges", calls.Privileges[operator][len(calls.Privileges[operator])-1], "VirtualMachine.Config.CPUCount")
}
