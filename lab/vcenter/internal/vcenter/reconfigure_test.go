package vcenter_test

import (
	"testing"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

type configSpec = types.VirtualMachineConfigSpec

func TestAStaleChangeVersionIsRefused(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	version := w.facts("kunde-a/web-01").ChangeVersion
	w.expect("with the current version", w.reconfigure(c, "kunde-a/web-01", configSpec{ChangeVersion: version, NumCPUs: 3}), "")
	if w.facts("kunde-a/web-01").ChangeVersion == version {
		t.Error("the version did not move")
	}
	w.expect("with the old version", w.reconfigure(c, "kunde-a/web-01", configSpec{ChangeVersion: version, NumCPUs: 4}), "ConcurrentAccess")
	if n := w.facts("kunde-a/web-01").CPUs; n != 3 {
		t.Errorf("a refused call changed the CPUs to %d", n)
	}
}

func TestHotAddIsAskedOfTheVM(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	for _, step := range []struct {
		name, path string
		spec       configSpec
		want       string
	}{
		{"more CPUs with hot-add", "kunde-a/web-01", configSpec{NumCPUs: 4}, ""},
		{"fewer CPUs while it runs", "kunde-a/web-01", configSpec{NumCPUs: 1}, "CpuHotPlugNotSupported"},
		{"more CPUs without hot-add", "kunde-b/db-01", configSpec{NumCPUs: 8}, "CpuHotPlugNotSupported"},
		{"CPUs of a VM that is off", "kunde-b/off-01", configSpec{NumCPUs: 1}, ""},
		{"a negative number of CPUs", "kunde-b/off-01", configSpec{NumCPUs: -1}, "InvalidArgument"},
		{"a step of memory", "kunde-a/web-01", configSpec{MemoryMB: 6144}, ""},
		{"less than a step", "kunde-a/web-01", configSpec{MemoryMB: 6144 + 512}, "InvalidArgument"},
		{"beyond the limit", "kunde-a/web-01", configSpec{MemoryMB: 32768}, "MemorySizeNotSupported"},
		{"less memory while it runs", "kunde-a/web-01", configSpec{MemoryMB: 4096}, "MemoryHotPlugNotSupported"},
		{"more memory without hot-add", "kunde-b/db-01", configSpec{MemoryMB: 8192}, "MemoryHotPlugNotSupported"},
		{"memory that is no multiple of 4", "kunde-b/off-01", configSpec{MemoryMB: 4097}, "InvalidArgument"},
		{"switching hot-add on while it runs", "kunde-b/db-01", configSpec{CpuHotAddEnabled: pointer(true)}, "InvalidPowerState"},
		{"a name that is taken", "kunde-b/off-01", configSpec{Name: "db-01"}, "DuplicateName"},
	} {
		w.expect(step.name, w.reconfigure(c, step.path, step.spec), step.want)
	}
	facts := w.facts("kunde-a/web-01")
	if facts.CPUs != 4 || facts.MemoryMiB != 6144 {
		t.Errorf("the VM has %d CPUs and %d MiB, want 4 and 6144", facts.CPUs, facts.MemoryMiB)
	}
}

func diskChange(key int32, gib int64) configSpec {
	disk := &types.VirtualDisk{CapacityInKB: gib << 20}
	disk.Key = key
	change := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: disk}
	return configSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{change}}
}

func TestADiskGrowsWhileTheVMRunsAndNeverShrinks(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	key := w.facts("kunde-a/web-01").Disks[1].Key
	w.expect("grow", w.reconfigure(c, "kunde-a/web-01", diskChange(key, 20)), "")
	w.expect("shrink", w.reconfigure(c, "kunde-a/web-01", diskChange(key, 15)), "InvalidDeviceOperation")
	w.expect("no such disk", w.reconfigure(c, "kunde-a/web-01", diskChange(9999, 15)), "InvalidDeviceOperation")
	disks := w.facts("kunde-a/web-01").Disks
	if disks[0].SizeGiB != 40 || disks[1].SizeGiB != 20 || disks[1].Unit != 1 {
		t.Errorf("the disks are %+v", disks)
	}
}

func TestOneBadDeviceLeavesAllAsTheyWere(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	disks := w.facts("kunde-a/web-01").Disks
	spec := diskChange(disks[0].Key, 80)
	spec.NumCPUs = 4
	spec.DeviceChange = append(spec.DeviceChange, diskChange(disks[1].Key, 1).DeviceChange...)
	w.expect("two disks, one shrinking", w.reconfigure(c, "kunde-a/web-01", spec), "InvalidDeviceOperation")
	facts := w.facts("kunde-a/web-01")
	if facts.Disks[0].SizeGiB != 40 || facts.CPUs != 2 {
		t.Errorf("a refused call left %d GiB and %d CPUs", facts.Disks[0].SizeGiB, facts.CPUs)
	}
}

func TestAnEmptyExtraConfigValueRemovesTheKey(t *testing.T) {
	w := start(t)
	c := w.client(admin)
	options := func(pairs ...string) configSpec {
		var spec configSpec
		for i := 0; i < len(pairs); i += 2 {
			spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: pairs[i], Value: pairs[i+1]})
		}
		return spec
	}
	w.expect("merge", w.reconfigure(c, "kunde-a/web-01", options("color", "", "size", "big", "never", "")), "")
	got := w.facts("kunde-a/web-01").ExtraConfig
	if len(got) != 2 || got["shape"] != "round" || got["size"] != "big" {
		t.Errorf("extraConfig is %v", got)
	}
}

func TestAVMKeepsItsIdentityOverARestart(t *testing.T) {
	first, second := start(t), start(t)
	a, b := first.facts("kunde-a/web-01"), second.facts("kunde-a/web-01")
	if a.InstanceUUID != b.InstanceUUID || a.MoID != b.MoID || a.InstanceUUID == "" {
		t.Errorf("first %s %s, then %s %s", a.InstanceUUID, a.MoID, b.InstanceUUID, b.MoID)
	}
	if x, y := first.client(reader).ServiceContent.About.InstanceUuid, second.client(reader).ServiceContent.About.InstanceUuid; x != y {
		t.Errorf("the vCenter was %s and is %s", x, y)
	}
}

func TestAMissingClusterIsNamed(t *testing.T) {
	w := start(t)
	_, err := w.Create(vcenter.VMSpec{Path: "kunde-a/new", Cluster: "cluster-9"})
	w.expect("creating it", err.Error(), `kunde-a/new: there is no cluster "cluster-9"`)
}
