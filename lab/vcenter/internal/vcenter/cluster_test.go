package vcenter_test

import (
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

func (w *world) cluster(c *govmomi.Client, name string) *object.ClusterComputeResource {
	w.Helper()
	cluster, err := find.NewFinder(c.Client).ClusterComputeResource(ctx, "/Berlin/host/"+name)
	w.must(err)
	return cluster
}

func (w *world) clusterFacts(name string) vcenter.ClusterFacts {
	w.Helper()
	facts, err := w.ChangeCluster(name, vcenter.ClusterChange{})
	w.must(err)
	return facts
}

func (w *world) setCluster(c *govmomi.Client, spec types.ClusterConfigSpecEx) string {
	w.Helper()
	task, err := w.cluster(c, "cluster-1").Reconfigure(ctx, &spec, true)
	return outcome(task, err)
}

func override(op types.ArrayUpdateOperation, vm types.ManagedObjectReference, interval int32) types.ClusterConfigSpecEx {
	spec := types.ClusterDasVmConfigSpec{Info: &types.ClusterDasVmConfigInfo{Key: vm, DasSettings: &types.ClusterDasVmSettings{
		RestartPriority: "high",
		VmToolsMonitoringSettings: &types.ClusterVmToolsMonitoringSettings{
			Enabled: pointer(true), VmMonitoring: "vmMonitoringOnly", ClusterSettings: pointer(false),
			FailureInterval: interval, MinUpTime: 120, MaxFailures: 3, MaxFailureWindow: -1,
		},
	}}}
	spec.Operation = op
	return types.ClusterConfigSpecEx{DasVmConfigSpec: []types.ClusterDasVmConfigSpec{spec}}
}

func removal(key types.AnyType) types.ClusterConfigSpecEx {
	spec := types.ClusterDasVmConfigSpec{}
	spec.Operation, spec.RemoveKey = types.ArrayUpdateOperationRemove, key
	return types.ClusterConfigSpecEx{DasVmConfigSpec: []types.ClusterDasVmConfigSpec{spec}}
}

func TestHAOptionsMergeAndAnEmptyValueRemovesOne(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	option := func(key, value string) []types.BaseOptionValue {
		return []types.BaseOptionValue{&types.OptionValue{Key: key, Value: value}}
	}
	das := func(config types.ClusterDasConfigInfo) string {
		return w.setCluster(c, types.ClusterConfigSpecEx{DasConfig: &config})
	}
	w.expect("an option", das(types.ClusterDasConfigInfo{Option: option("das.iostatsInterval", "120")}), "")
	w.expect("another", das(types.ClusterDasConfigInfo{Option: option("das.other", "1"), VmMonitoring: "vmMonitoringOnly"}), "")
	w.expect("none", das(types.ClusterDasConfigInfo{Option: option("das.other", "")}), "")
	w.expect("a wrong value", das(types.ClusterDasConfigInfo{VmMonitoring: "sometimes"}), "InvalidArgument")
	facts := w.clusterFacts("cluster-1")
	if facts.VMMonitoring != "vmMonitoringOnly" || !facts.Enabled || facts.HostMonitoring != "enabled" ||
		len(facts.Options) != 1 || facts.Options["das.iostatsInterval"] != "120" {
		t.Errorf("the cluster has %+v", facts)
	}
}

func TestAnOverrideIsAddedEditedAndRemoved(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	vm := w.vm(c, "kunde-a/web-01").Reference()
	elsewhere := w.vm(c, "kunde-b/off-01").Reference()
	for _, step := range []struct {
		name string
		spec types.ClusterConfigSpecEx
		want string
	}{
		{"editing what is not there", override(types.ArrayUpdateOperationEdit, vm, 30), "InvalidArgument"},
		{"removing what is not there", removal(vm), "InvalidArgument"},
		{"adding", override(types.ArrayUpdateOperationAdd, vm, 30), ""},
		{"adding again", override(types.ArrayUpdateOperationAdd, vm, 30), "InvalidArgument"},
		{"a VM of another cluster", override(types.ArrayUpdateOperationAdd, elsewhere, 30), "InvalidArgument"},
		{"a negative interval", override(types.ArrayUpdateOperationEdit, vm, -5), "InvalidArgument"},
		{"editing", override(types.ArrayUpdateOperationEdit, vm, 60), ""},
	} {
		w.expect(step.name, w.setCluster(c, step.spec), step.want)
	}
	facts := w.facts("kunde-a/web-01").HAOverride
	if facts == nil || facts.FailureInterval != 60 || facts.RestartPriority != "high" || facts.MaxFailureWindow != -1 {
		t.Errorf("the override is %+v", facts)
	}
	w.expect("removing", w.setCluster(c, removal(vm)), "")
	if w.facts("kunde-a/web-01").HAOverride != nil {
		t.Error("the override is still there")
	}
}

func TestOneWrongOverrideLeavesTheClusterAsItWas(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	spec := override(types.ArrayUpdateOperationAdd, w.vm(c, "kunde-a/web-01").Reference(), 30)
	spec.DasConfig = &types.ClusterDasConfigInfo{Enabled: pointer(false)}
	spec.DasVmConfigSpec = append(spec.DasVmConfigSpec, removal(w.vm(c, "kunde-b/db-01").Reference()).DasVmConfigSpec...)
	w.expect("reconfigure", w.setCluster(c, spec), "InvalidArgument")
	if facts := w.clusterFacts("cluster-1"); !facts.Enabled || len(facts.Overrides) != 0 {
		t.Errorf("a refused call left %+v", facts)
	}
}

func TestAWrongRemoveKeyIsAnErrorAndNotTheEnd(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	w.expect("a text", w.setCluster(c, removal("vm-103")), "InvalidArgument")
	w.expect("nothing", w.setCluster(c, removal(nil)), "InvalidArgument")
	w.expect("a wrong type of spec", func() string {
		task, err := w.cluster(c, "cluster-1").Reconfigure(ctx, &types.ComputeResourceConfigSpec{}, true)
		return outcome(task, err)
	}(), "InvalidArgument")
}

func TestTheOverrideGoesWithItsVM(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	w.expect("add", w.setCluster(c, override(types.ArrayUpdateOperationAdd, w.vm(c, "kunde-a/web-01").Reference(), 30)), "")
	w.must(w.Delete("kunde-a/web-01"))
	if facts := w.clusterFacts("cluster-1"); len(facts.Overrides) != 0 {
		t.Errorf("left over: %v", facts.Overrides)
	}
}

func TestTheClusterIsStreamedAndItsVMsKnowTheirProtection(t *testing.T) {
	w := start(t)
	s := w.stream(w.client(reader), vmSet(),
		types.PropertySpec{Type: "ClusterComputeResource", PathSet: []string{"name", "host", "configurationEx"}})
	s.fill()
	_, err := w.ChangeCluster("cluster-1", vcenter.ClusterChange{Enabled: pointer(false), Options: map[string]string{"das.x": "1"}})
	w.must(err)
	cluster, protection := false, false
	s.until("the cluster and the VM", func(update types.ObjectUpdate) bool {
		cluster = cluster || changes("configurationEx", nil)(update)
		protection = protection || changes("runtime.dasVmProtection", nil)(update)
		return cluster && protection
	})
}
