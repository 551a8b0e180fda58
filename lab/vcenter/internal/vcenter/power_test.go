package vcenter_test

import (
	"context"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

var ctx = context.Background()

func TestPowerOperationsNeedTheRightState(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	on, off := w.vm(c, "kunde-a/web-01"), w.vm(c, "kunde-b/off-01")
	for _, step := range []struct {
		name string
		do   func(context.Context) (*object.Task, error)
		want string
	}{
		{"on when on", on.PowerOn, "InvalidPowerState"},
		{"off when off", off.PowerOff, "InvalidPowerState"},
		{"reset when off", off.Reset, "InvalidPowerState"},
		{"on when off", off.PowerOn, ""},
		{"off when on", on.PowerOff, ""},
	} {
		task, err := step.do(ctx)
		w.expect(step.name, outcome(task, err), step.want)
	}
	w.expect("power of web-01", w.facts("kunde-a/web-01").Power, "poweredOff")
	w.expect("power of off-01", w.facts("kunde-b/off-01").Power, "poweredOn")
}

func TestToolsHeartbeatAndProtectionFollowThePower(t *testing.T) {
	w := start(t)
	path := "kunde-a/web-01"
	facts := w.facts(path)
	if facts.Heartbeat != "green" || facts.Tools != "guestToolsRunning" || !facts.Protected {
		t.Errorf("a running VM shows %+v", facts)
	}
	w.change(path, vcenter.VMChange{Power: pointer("off")})
	facts = w.facts(path)
	if facts.Heartbeat != "gray" || facts.Tools != "guestToolsNotRunning" || facts.Protected {
		t.Errorf("a VM that is off shows %+v", facts)
	}
	w.change("kunde-b/off-01", vcenter.VMChange{Power: pointer("on")})
	if w.facts("kunde-b/off-01").Protected {
		t.Error("a VM is protected in a cluster without HA")
	}
}

func TestAGuestShutsDownWhenItsToolsRun(t *testing.T) {
	w := start(t)
	vm := w.vm(w.client(admin), "kunde-a/web-01")
	w.change("kunde-a/web-01", vcenter.VMChange{ShutdownSeconds: pointer(0.0)})
	w.must(vm.ShutdownGuest(ctx))
	w.eventually("the VM is off", func() bool { return w.facts("kunde-a/web-01").Power == "poweredOff" })
	w.expect("shutting down again", faultOf(vm.ShutdownGuest(ctx)), "InvalidPowerState")
}

func TestAGuestWithoutToolsCannotBeShutDown(t *testing.T) {
	w := start(t)
	vm := w.vm(w.client(admin), "kunde-a/web-01")
	w.change("kunde-a/web-01", vcenter.VMChange{Tools: pointer("notRunning")})
	w.expect("shutdown", faultOf(vm.ShutdownGuest(ctx)), "ToolsUnavailable")
	w.expect("reboot", faultOf(vm.RebootGuest(ctx)), "ToolsUnavailable")
}

func TestAGuestMayIgnoreTheShutdown(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	vm := w.vm(c, "kunde-a/web-01")
	w.change("kunde-a/web-01", vcenter.VMChange{IgnoreShutdown: pointer(true), ShutdownSeconds: pointer(0.0)})
	w.must(vm.ShutdownGuest(ctx))
	obedient := w.vm(c, "kunde-b/db-01")
	w.change("kunde-b/db-01", vcenter.VMChange{ShutdownSeconds: pointer(0.0)})
	w.must(obedient.ShutdownGuest(ctx))
	w.eventually("the other VM is off", func() bool { return w.facts("kunde-b/db-01").Power == "poweredOff" })
	w.expect("power", w.facts("kunde-a/web-01").Power, "poweredOn")
}

func TestALateShutdownDoesNotHitAVMThatWasRestarted(t *testing.T) {
	w := start(t)
	vm := w.vm(w.client(admin), "kunde-a/web-01")
	w.change("kunde-a/web-01", vcenter.VMChange{ShutdownSeconds: pointer(0.05)})
	w.must(vm.ShutdownGuest(ctx))
	task, err := vm.Reset(ctx)
	w.expect("reset", outcome(task, err), "")
	w.change("kunde-b/db-01", vcenter.VMChange{ShutdownSeconds: pointer(0.1)})
	w.must(w.vm(w.client(admin), "kunde-b/db-01").ShutdownGuest(ctx))
	w.eventually("a later shutdown is done", func() bool { return w.facts("kunde-b/db-01").Power == "poweredOff" })
	w.expect("power", w.facts("kunde-a/web-01").Power, "poweredOn")
}

func TestASnapshotBringsTheConfigurationBack(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	vm := w.vm(c, "kunde-a/web-01")
	task, err := vm.CreateSnapshot(ctx, "before", "", false, false)
	w.expect("create", outcome(task, err), "")
	w.expect("reconfigure", w.reconfigure(c, "kunde-a/web-01", configSpec{NumCPUs: 8}), "")
	key := w.facts("kunde-a/web-01").Disks[0].Key
	w.expect("growing a disk under a snapshot", w.reconfigure(c, "kunde-a/web-01", diskChange(key, 80)), "InvalidDeviceOperation")
	task, err = vm.RevertToSnapshot(ctx, "before", true)
	w.expect("revert", outcome(task, err), "")
	facts := w.facts("kunde-a/web-01")
	if facts.CPUs != 2 || facts.Power != "poweredOff" || len(facts.Snapshots) != 1 {
		t.Errorf("after the revert: %+v", facts)
	}
	task, err = vm.RemoveAllSnapshot(ctx, nil)
	w.expect("remove", outcome(task, err), "")
	if n := len(w.facts("kunde-a/web-01").Snapshots); n != 0 {
		t.Errorf("%d snapshots are left", n)
	}
}

func TestSnapshotsFormATree(t *testing.T) {
	w := start(t)
	vm := w.vm(w.client(admin), "kunde-a/web-01")
	for _, name := range []string{"one", "two", "three"} {
		task, err := vm.CreateSnapshot(ctx, name, "", false, false)
		w.expect(name, outcome(task, err), "")
	}
	task, err := vm.RemoveSnapshot(ctx, "two", false, nil)
	w.expect("remove two", outcome(task, err), "")
	if _, err := vm.FindSnapshot(ctx, "one/three"); err != nil {
		t.Errorf("three did not move up to one: %v", err)
	}
	task, err = vm.RemoveSnapshot(ctx, "one", true, nil)
	w.expect("remove one with its children", outcome(task, err), "")
	if n := len(w.facts("kunde-a/web-01").Snapshots); n != 0 {
		t.Errorf("%d snapshots are left", n)
	}
}

func TestMigrationKeepsTheVMAndItsHistory(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	_, err := w.Restart("kunde-a/web-01", vcenter.HARestart{Kind: "reset"})
	w.must(err)
	facts := w.facts("kunde-a/web-01")
	target := "esx-cluster-1-2"
	if facts.Host == target {
		target = "esx-cluster-1-1"
	}
	cluster, err := w.ChangeCluster("cluster-1", vcenter.ClusterChange{})
	w.must(err)
	if len(cluster.Hosts) != 2 {
		t.Fatalf("the cluster has hosts %v", cluster.Hosts)
	}
	host := w.host(c, target)
	task, err := w.vm(c, "kunde-a/web-01").Migrate(ctx, nil, host, types.VirtualMachineMovePriorityDefaultPriority, "")
	w.expect("migrate", outcome(task, err), "")
	moved := w.facts("kunde-a/web-01")
	if moved.Host != target || moved.Power != "poweredOn" || moved.InstanceUUID != facts.InstanceUUID {
		t.Errorf("after vMotion: %+v", moved)
	}
	events := w.events(c, "VmDasBeingResetEvent", "VmMigratedEvent")
	if len(events) != 2 {
		t.Errorf("the history has %d of the 2 events", len(events))
	}
}
