package property

import (
	"reflect"
	"testing"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

type wrapped struct {
	mo.VirtualMachine
	extra int
}

func machine() *wrapped {
	vm := &wrapped{extra: 1}
	vm.Name = "web-01"
	vm.Config = &types.VirtualMachineConfigInfo{ExtraConfig: []types.BaseOptionValue{
		&types.OptionValue{Key: "color", Value: "blue"},
	}}
	vm.Config.Hardware.NumCPU = 2
	return vm
}

func TestAPathIsValidAsTheAPISpellsIt(t *testing.T) {
	kind := reflect.TypeFor[mo.VirtualMachine]()
	for path, want := range map[string]bool{
		"name": true, "config": true, "config.hardware.numCPU": true, "config.hardware.device": true,
		"guestHeartbeatStatus": true, `config.extraConfig["color"]`: true, "recentTask": true,
		"config.hardware.numCpus": false, "self": false, "": false, "managedEntity": false, "config..hardware": false,
		"name.length": false, `name["x"]`: false,
	} {
		if got := Valid(kind, path); got != want {
			t.Errorf("%q: valid is %v", path, got)
		}
	}
	if !Valid(reflect.TypeFor[mo.ClusterComputeResource](), "configurationEx.dasConfig") {
		t.Error("what lies behind an interface is not accepted")
	}
}

func TestAValueIsReadThroughPointersAndKeys(t *testing.T) {
	object, ok := Managed(machine())
	if !ok || object.Type() != reflect.TypeFor[mo.VirtualMachine]() {
		t.Fatalf("found %v", object)
	}
	for path, want := range map[string]any{
		"name": "web-01", "config.hardware.numCPU": int32(2), `config.extraConfig["color"].value`: "blue",
	} {
		got, ok := Value(object, path)
		for ok && got.Kind() == reflect.Interface {
			got = got.Elem()
		}
		if !ok || got.Interface() != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

func TestUnsetIsNotAValue(t *testing.T) {
	object, _ := Managed(machine())
	for _, path := range []string{
		"snapshot", "config.annotation", "config.hotPlugMemoryLimit", "guest.disk", `config.extraConfig["size"]`, "runtime.host",
	} {
		if got, ok := Value(object, path); ok {
			t.Errorf("%q: %v", path, got)
		}
	}
	if _, ok := Value(object, "recentTask"); !ok {
		t.Error("an entity's own empty array is missing")
	}
}

func TestATypeIsWhatItInheritsFrom(t *testing.T) {
	kind := reflect.TypeFor[mo.ClusterComputeResource]()
	for name, want := range map[string]bool{"ClusterComputeResource": true, "ComputeResource": true, "ManagedEntity": true, "Folder": false} {
		if got := Is(kind, name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
