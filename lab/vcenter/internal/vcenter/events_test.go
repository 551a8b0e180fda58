package vcenter_test

import (
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

func (w *world) host(c *govmomi.Client, name string) *object.HostSystem {
	w.Helper()
	host, err := find.NewFinder(c.Client).HostSystem(ctx, "/Berlin/host/*/"+name)
	w.must(err)
	return host
}

func (w *world) events(c *govmomi.Client, ids ...string) []types.BaseEvent {
	w.Helper()
	return call(w, c, methods.QueryEvents, types.QueryEvents{
		This: *c.ServiceContent.EventManager, Filter: types.EventFilterSpec{EventTypeId: ids},
	}).Returnval
}

func TestEachHAActionIsItsOwnClassOfEvent(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, restart := range []string{"reset", "screenshot", "alternateHost", "failed", "maxReached"} {
		_, err := w.Restart("kunde-a/web-01", vcenter.HARestart{Kind: restart, At: &at})
		w.must(err)
	}
	var last int32
	for _, class := range []string{
		"VmDasBeingResetWithScreenshotEvent", "vim.event.VmRestartedOnAlternateHostEvent", "VmDasResetFailedEvent",
		"VmMaxRestartCountReached",
	} {
		events := w.events(c, class)
		if len(events) != 1 {
			t.Fatalf("%d events of %s", len(events), class)
		}
		event := events[0].GetEvent()
		if event.Vm == nil || event.Vm.Name != "web-01" || event.Key <= last || !event.CreatedTime.Equal(at) {
			t.Errorf("%s: vm %v, key %d after %d, at %s", class, event.Vm, event.Key, last, event.CreatedTime)
		}
		last = event.Key
	}
	if n := len(w.events(c, "VmDasBeingResetEvent")); n != 2 {
		t.Errorf("the class and the one that inherits from it give %d events, want 2", n)
	}
}

func TestARestartOnAnotherHostMovesTheVM(t *testing.T) {
	w := start(t)
	before := w.facts("kunde-a/web-01")
	_, err := w.Restart("kunde-a/web-01", vcenter.HARestart{Kind: "alternateHost"})
	w.must(err)
	after := w.facts("kunde-a/web-01")
	if after.Host == before.Host || !after.BootTime.After(*before.BootTime) {
		t.Errorf("host %s, then %s; boot %s, then %s", before.Host, after.Host, before.BootTime, after.BootTime)
	}
}

func (w *world) eventCollector(c *govmomi.Client, filter types.EventFilterSpec) types.ManagedObjectReference {
	w.Helper()
	return call(w, c, methods.CreateCollectorForEvents, types.CreateCollectorForEvents{
		This: *c.ServiceContent.EventManager, Filter: filter,
	}).Returnval
}

func TestTheLatestPageOfAnEventCollectorIsStreamed(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	collector := w.eventCollector(c, types.EventFilterSpec{EventTypeId: []string{"VmDasBeingResetEvent"}})
	pc := call(w, c, methods.CreatePropertyCollector, types.CreatePropertyCollector{This: c.ServiceContent.PropertyCollector}).Returnval
	call(w, c, methods.CreateFilter, types.CreateFilter{This: pc, Spec: types.PropertyFilterSpec{
		ObjectSet: []types.ObjectSpec{{Obj: collector}},
		PropSet:   []types.PropertySpec{{Type: "EventHistoryCollector", PathSet: []string{"latestPage"}}},
	}})
	s := &stream{w: w, c: c, pc: pc}
	s.fill()
	w.change("kunde-b/db-01", vcenter.VMChange{Power: pointer("off")})
	_, err := w.Restart("kunde-a/web-01", vcenter.HARestart{Kind: "reset", Count: 3})
	w.must(err)
	s.until("three resets, the newest first", func(update types.ObjectUpdate) bool {
		for _, change := range update.ChangeSet {
			page, ok := change.Val.(types.ArrayOfEvent)
			if ok && len(page.Event) == 3 {
				return page.Event[0].GetEvent().Key > page.Event[2].GetEvent().Key
			}
		}
		return false
	})
}

func TestAnEventCollectorIsReadForwardAndBack(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	_, err := w.Restart("kunde-a/web-01", vcenter.HARestart{Kind: "reset", Count: 25})
	w.must(err)
	collector := w.eventCollector(c, types.EventFilterSpec{EventTypeId: []string{"VmDasBeingResetEvent"}})
	next := func(n int32) []types.BaseEvent {
		return call(w, c, methods.ReadNextEvents, types.ReadNextEvents{This: collector, MaxCount: n}).Returnval
	}
	if a, b, end := next(20), next(20), next(20); len(a) != 20 || len(b) != 5 || len(end) != 0 {
		t.Errorf("read %d, %d and %d events", len(a), len(b), len(end))
	}
	back := call(w, c, methods.ReadPreviousEvents, types.ReadPreviousEvents{This: collector, MaxCount: 3}).Returnval
	if len(back) != 3 || back[0].GetEvent().Key < back[2].GetEvent().Key {
		t.Errorf("read %d events back", len(back))
	}
	call(w, c, methods.SetCollectorPageSize, types.SetCollectorPageSize{This: collector, MaxCount: 7})
	call(w, c, methods.ResetCollector, types.ResetCollector{This: collector})
	if page := next(100); len(page) != 7 {
		t.Errorf("after a reset %d events, want the page of 7", len(page))
	}
	call(w, c, methods.RewindCollector, types.RewindCollector{This: collector})
	if all := next(100); len(all) != 25 {
		t.Errorf("after a rewind %d events, want all 25", len(all))
	}
	_, err = methods.SetCollectorPageSize(ctx, c.Client, &types.SetCollectorPageSize{This: collector, MaxCount: 5000})
	w.expect("a page of 5000", faultOf(err), "InvalidArgument")
	call(w, c, methods.DestroyCollector, types.DestroyCollector{This: collector})
	_, err = methods.ReadNextEvents(ctx, c.Client, &types.ReadNextEvents{This: collector, MaxCount: 1})
	w.expect("reading a destroyed collector", faultOf(err), "ManagedObjectNotFound")
}

func TestEventsAreFilteredByEntityAndTime(t *testing.T) {
	w := start(t)
	c := w.client(reader)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, path := range []string{"kunde-a/web-01", "kunde-b/db-01"} {
		_, err := w.Restart(path, vcenter.HARestart{Kind: "reset", At: pointer(noon.Add(time.Duration(i) * time.Hour))})
		w.must(err)
	}
	count := func(filter types.EventFilterSpec) int {
		filter.EventTypeId = []string{"VmDasBeingResetEvent"}
		return len(call(w, c, methods.QueryEvents, types.QueryEvents{This: *c.ServiceContent.EventManager, Filter: filter}).Returnval)
	}
	vm := w.vm(c, "kunde-a/web-01").Reference()
	datacenter := types.EventFilterSpecByEntity{Recursion: types.EventFilterSpecRecursionOptionAll}
	dc, err := find.NewFinder(c.Client).Datacenter(ctx, "/Berlin")
	w.must(err)
	datacenter.Entity = dc.Reference()
	for _, step := range []struct {
		name   string
		filter types.EventFilterSpec
		want   int
	}{
		{"one VM", types.EventFilterSpec{Entity: &types.EventFilterSpecByEntity{Entity: vm, Recursion: "self"}}, 1},
		{"the datacenter", types.EventFilterSpec{Entity: &datacenter}, 2},
		{"since half past", types.EventFilterSpec{Time: &types.EventFilterSpecByTime{BeginTime: pointer(noon.Add(30 * time.Minute))}}, 1},
		{"until half past", types.EventFilterSpec{Time: &types.EventFilterSpecByTime{EndTime: pointer(noon.Add(30 * time.Minute))}}, 1},
	} {
		if got := count(step.filter); got != step.want {
			t.Errorf("%s: %d events, want %d", step.name, got, step.want)
		}
	}
}
