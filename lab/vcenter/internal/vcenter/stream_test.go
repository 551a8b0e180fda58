package vcenter_test

import (
	"context"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

var vmPaths = []string{
	"name", "parent", "config.instanceUuid", "config.changeVersion", "config.hardware.numCPU",
	"config.hardware.memoryMB", "config.hardware.device", "config.cpuHotAddEnabled", "config.memoryHotAddEnabled",
	"config.hotPlugMemoryIncrementSize", "config.hotPlugMemoryLimit", "config.extraConfig", "config.template",
	"runtime.powerState", "runtime.connectionState", "runtime.host", "guest.toolsRunningStatus",
	"guestHeartbeatStatus", "runtime.dasVmProtection", "recentTask",
}

// stream is one collector with one filter, as the operator uses it.
type stream struct {
	w       *world
	c       *govmomi.Client
	pc      types.ManagedObjectReference
	version string
}

func (w *world) stream(c *govmomi.Client, sets ...types.PropertySpec) *stream {
	w.Helper()
	return w.streamBelow(c, c.ServiceContent.RootFolder, sets...)
}

func (w *world) streamBelow(c *govmomi.Client, root types.ManagedObjectReference, sets ...types.PropertySpec) *stream {
	w.Helper()
	content := c.ServiceContent
	pc := call(w, c, methods.CreatePropertyCollector, types.CreatePropertyCollector{This: content.PropertyCollector}).Returnval
	var kinds []string
	for _, set := range sets {
		kinds = append(kinds, set.Type)
	}
	view := call(w, c, methods.CreateContainerView, types.CreateContainerView{
		This: *content.ViewManager, Container: root, Type: kinds, Recursive: true,
	}).Returnval
	call(w, c, methods.CreateFilter, types.CreateFilter{This: pc, Spec: types.PropertyFilterSpec{
		PropSet: sets,
		ObjectSet: []types.ObjectSpec{{
			Obj: view, Skip: pointer(true),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "ContainerView", Path: "view"}},
		}},
	}})
	return &stream{w: w, c: c, pc: pc}
}

func vmSet() types.PropertySpec { return types.PropertySpec{Type: "VirtualMachine", PathSet: vmPaths} }

// next waits for one update set; nil when there was none within a second.
func (s *stream) next() *types.UpdateSet {
	s.w.Helper()
	set := call(s.w, s.c, methods.WaitForUpdatesEx, types.WaitForUpdatesEx{
		This: s.pc, Version: s.version, Options: &types.WaitOptions{MaxWaitSeconds: pointer(int32(1))},
	}).Returnval
	if set != nil {
		s.version = set.Version
	}
	return set
}

// fill reads until the client knows everything and returns the number of objects.
func (s *stream) fill() int {
	s.w.Helper()
	for n := 0; ; {
		set := s.next()
		for _, filter := range set.FilterSet {
			n += len(filter.ObjectSet)
		}
		if set.Truncated == nil || !*set.Truncated {
			return n
		}
	}
}

// until collects changes, by property, until the wanted one is there.
func (s *stream) until(what string, wanted func(types.ObjectUpdate) bool) {
	s.w.Helper()
	for range 20 {
		set := s.next()
		if set == nil {
			break
		}
		for _, filter := range set.FilterSet {
			for _, update := range filter.ObjectSet {
				if wanted(update) {
					return
				}
			}
		}
	}
	s.w.Fatalf("not streamed: %s", what)
}

func changes(path string, value any) func(types.ObjectUpdate) bool {
	return func(update types.ObjectUpdate) bool {
		for _, change := range update.ChangeSet {
			if change.Name == path && (value == nil || change.Val == value) {
				return true
			}
		}
		return false
	}
}

func kind(of types.ObjectUpdateKind) func(types.ObjectUpdate) bool {
	return func(update types.ObjectUpdate) bool { return update.Kind == of }
}

func TestEveryChangeBehindOurBackIsStreamed(t *testing.T) {
	w := start(t)
	s := w.stream(w.client(reader), vmSet())
	if n := s.fill(); n != 3 {
		t.Fatalf("filled with %d VMs, want 3", n)
	}
	for _, step := range []struct {
		path   string
		value  any
		change vcenter.VMChange
	}{
		{"guestHeartbeatStatus", types.ManagedEntityStatusRed, vcenter.VMChange{Heartbeat: pointer("red")}},
		{"guest.toolsRunningStatus", "guestToolsNotRunning", vcenter.VMChange{Tools: pointer("notRunning")}},
		{"config.hardware.numCPU", int32(7), vcenter.VMChange{CPUs: pointer(int32(7))}},
		{"config.hardware.memoryMB", int32(8192), vcenter.VMChange{Memory: pointer(int32(8192))}},
		{"config.changeVersion", nil, vcenter.VMChange{CPUs: pointer(int32(8))}},
		{"config.cpuHotAddEnabled", false, vcenter.VMChange{CPUHotAdd: pointer(false)}},
		{"config.hotPlugMemoryLimit", nil, vcenter.VMChange{MemoryHotAdd: pointer(false)}},
		{"runtime.host", nil, vcenter.VMChange{Host: pointer("esx-cluster-1-2")}},
		{"runtime.connectionState", types.VirtualMachineConnectionStateDisconnected, vcenter.VMChange{Connection: pointer("disconnected")}},
		{"runtime.powerState", types.VirtualMachinePowerStatePoweredOff, vcenter.VMChange{Power: pointer("off")}},
		{"runtime.dasVmProtection", nil, vcenter.VMChange{Power: pointer("on")}},
		{"parent", nil, vcenter.VMChange{MoveTo: pointer("kunde-c/new")}},
	} {
		path := "kunde-a/web-01"
		w.change(path, step.change)
		s.until(step.path, changes(step.path, step.value))
	}
	w.change("kunde-c/new/web-01", vcenter.VMChange{Rename: pointer("web-02")})
	s.until("name", changes("name", "web-02"))
}

func TestAChangeThroughTheAPIIsStreamedWithItsTask(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	s := w.stream(c, vmSet())
	s.fill()
	spec := types.VirtualMachineConfigSpec{NumCPUs: 4, ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "size", Value: "big"}}}
	w.expect("reconfigure", w.reconfigure(c, "kunde-a/web-01", spec), "")
	seen := map[string]bool{}
	s.until("CPUs, options and the task", func(update types.ObjectUpdate) bool {
		for _, change := range update.ChangeSet {
			seen[change.Name] = true
		}
		return seen["config.hardware.numCPU"] && seen["config.extraConfig"] && seen["recentTask"] && seen["config.changeVersion"]
	})
}

func TestVMsThatComeAndGoEnterAndLeave(t *testing.T) {
	w := start(t)
	s := w.stream(w.client(reader), vmSet(), types.PropertySpec{Type: "Folder", PathSet: []string{"name", "childEntity"}})
	s.fill()
	_, err := w.Create(vcenter.VMSpec{Path: "kunde-z/new-01", Cluster: "cluster-1"})
	w.must(err)
	s.until("the new VM", func(u types.ObjectUpdate) bool {
		return kind(types.ObjectUpdateKindEnter)(u) && changes("name", "new-01")(u)
	})
	w.must(w.Delete("kunde-z/new-01"))
	s.until("the VM leaving", kind(types.ObjectUpdateKindLeave))
}

func TestAVMThatMovesOutOfTheViewLeavesAndMayComeBack(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	folder, err := find.NewFinder(c.Client).Folder(ctx, "/Berlin/vm/kunde-a")
	w.must(err)
	s := w.streamBelow(c, folder.Reference(), vmSet())
	if n := s.fill(); n != 1 {
		t.Fatalf("the folder has %d VMs, want 1", n)
	}
	w.change("kunde-a/web-01", vcenter.VMChange{MoveTo: pointer("kunde-b")})
	s.until("the VM leaving", kind(types.ObjectUpdateKindLeave))
	w.change("kunde-b/web-01", vcenter.VMChange{MoveTo: pointer("kunde-a")})
	s.until("the VM coming back with all it has", func(u types.ObjectUpdate) bool {
		return kind(types.ObjectUpdateKindEnter)(u) && changes("name", "web-01")(u)
	})
}

func TestALostAnswerIsRepeated(t *testing.T) {
	w := start(t)
	s := w.stream(w.client(reader), vmSet())
	s.fill()
	before := s.version
	w.change("kunde-a/web-01", vcenter.VMChange{Heartbeat: pointer("yellow")})
	s.until("yellow", changes("guestHeartbeatStatus", types.ManagedEntityStatusYellow))
	s.version = before
	s.until("yellow again", changes("guestHeartbeatStatus", types.ManagedEntityStatusYellow))
}

func TestAVersionThatNeverWasIsRefused(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	s := w.stream(c, vmSet())
	s.fill()
	_, err := methods.WaitForUpdatesEx(context.Background(), c.Client, &types.WaitForUpdatesEx{This: s.pc, Version: "4711"})
	w.expect("unknown version", faultOf(err), "InvalidCollectorVersion")
}

func TestALargeInventoryComesInPages(t *testing.T) {
	w := start(t, func(o *vcenter.Options) { o.Inventory.Fleet = vcenter.FleetSpec{Count: 250, Folders: 3} })
	s := w.stream(w.client(reader), vmSet())
	first := s.next()
	if n := len(first.FilterSet[0].ObjectSet); n != 100 || first.Truncated == nil || !*first.Truncated {
		t.Errorf("the first page has %d objects, truncated %v", n, first.Truncated)
	}
	if n := s.fill(); n != 153 {
		t.Errorf("the rest has %d objects, want 153", n)
	}
}

func TestAnUnknownPropertyIsRefused(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	_, err := methods.CreateFilter(context.Background(), c.Client, &types.CreateFilter{
		This: c.ServiceContent.PropertyCollector,
		Spec: types.PropertyFilterSpec{
			ObjectSet: []types.ObjectSpec{{Obj: c.ServiceContent.RootFolder}},
			PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"config.hardware.numCpus"}}},
		},
	})
	w.expect("unknown property", faultOf(err), "InvalidProperty")
}

func TestACancelledWaitEnds(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	s := w.stream(c, vmSet())
	s.fill()
	done := make(chan error, 1)
	go func() {
		_, err := methods.WaitForUpdatesEx(context.Background(), c.Client, &types.WaitForUpdatesEx{This: s.pc, Version: s.version})
		done <- err
	}()
	w.eventually("the wait ends", func() bool {
		call(w, c, methods.CancelWaitForUpdates, types.CancelWaitForUpdates{This: s.pc})
		select {
		case err := <-done:
			w.expect("cancelled wait", faultOf(err), "RequestCanceled")
			return true
		default:
			return false
		}
	})
}
