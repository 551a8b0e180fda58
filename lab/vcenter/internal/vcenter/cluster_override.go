package vcenter

import (
	"slices"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// changeOverride applies one entry of dasVmConfigSpec: adding what is there, and editing or
// removing what is not there, are all wrong arguments.
func (v *VCenter) changeOverride(
	cluster *mo.ClusterComputeResource, config *types.ClusterConfigInfoEx, spec *types.ClusterDasVmConfigSpec,
) Fault {
	key, ok := overrideKey(spec)
	if !ok {
		return invalidArgument("spec.dasVmConfigSpec")
	}
	at := slices.IndexFunc(config.DasVmConfig, func(c types.ClusterDasVmConfigInfo) bool { return c.Key == key })
	switch spec.Operation {
	case types.ArrayUpdateOperationAdd:
		vm := v.vms[key]
		if at >= 0 || vm == nil || v.clusterOf(vm) != cluster {
			return invalidArgument("spec.dasVmConfigSpec")
		}
		fresh := types.ClusterDasVmConfigInfo{Key: key}
		if fault := mergeOverride(&fresh, spec.Info); fault != nil {
			return fault
		}
		config.DasVmConfig = append(config.DasVmConfig, fresh)
	case types.ArrayUpdateOperationEdit:
		if at < 0 {
			return invalidArgument("spec.dasVmConfigSpec")
		}
		return mergeOverride(&config.DasVmConfig[at], spec.Info)
	case types.ArrayUpdateOperationRemove:
		if at < 0 {
			return invalidArgument("spec.dasVmConfigSpec")
		}
		config.DasVmConfig = slices.Delete(config.DasVmConfig, at, at+1)
	default:
		return invalidArgument("spec.dasVmConfigSpec.operation")
	}
	return nil
}

func overrideKey(spec *types.ClusterDasVmConfigSpec) (ref, bool) {
	if spec.Operation == types.ArrayUpdateOperationRemove {
		switch key := spec.RemoveKey.(type) {
		case ref:
			return asVM(key), true
		case *ref:
			return asVM(*key), true
		default:
			return ref{}, false
		}
	}
	if spec.Info == nil {
		return ref{}, false
	}
	return spec.Info.Key, true
}

// asVM: a reference that came as "ManagedObject" may have lost its type on the way.
func asVM(key ref) ref {
	if key.Type == "" || key.Type == "ManagedObject" {
		key.Type = "VirtualMachine"
	}
	return key
}

func mergeOverride(have *types.ClusterDasVmConfigInfo, wanted *types.ClusterDasVmConfigInfo) Fault {
	if wanted.RestartPriority != "" {
		have.RestartPriority = wanted.RestartPriority
	}
	setIf(&have.PowerOffOnIsolation, wanted.PowerOffOnIsolation)
	if wanted.DasSettings == nil {
		return nil
	}
	merged, fault := mergedVMSettings(have.DasSettings, wanted.DasSettings)
	if fault != nil {
		return fault
	}
	have.DasSettings = merged
	return nil
}

// mergedVMSettings is a new value: the old one may be on its way to a client.
func mergedVMSettings(have, wanted *types.ClusterDasVmSettings) (*types.ClusterDasVmSettings, Fault) {
	merged := types.ClusterDasVmSettings{}
	if have != nil {
		merged = *have
	}
	if !knownOrEmpty(wanted.RestartPriority,
		"disabled", "lowest", "low", "medium", "high", "highest", "clusterRestartPriority") {
		return nil, invalidArgument("dasSettings.restartPriority")
	}
	setText(&merged.RestartPriority, wanted.RestartPriority)
	setText(&merged.IsolationResponse, wanted.IsolationResponse)
	if wanted.RestartPriorityTimeout != 0 {
		merged.RestartPriorityTimeout = wanted.RestartPriorityTimeout
	}
	setIf(&merged.VmComponentProtectionSettings, wanted.VmComponentProtectionSettings)
	if wanted.VmToolsMonitoringSettings != nil {
		monitoring, fault := mergedMonitoring(merged.VmToolsMonitoringSettings, wanted.VmToolsMonitoringSettings)
		if fault != nil {
			return nil, fault
		}
		merged.VmToolsMonitoringSettings = monitoring
	}
	return &merged, nil
}

func mergedMonitoring(have, wanted *types.ClusterVmToolsMonitoringSettings) (*types.ClusterVmToolsMonitoringSettings, Fault) {
	if wanted.FailureInterval < 0 || wanted.MinUpTime < 0 || wanted.MaxFailures < 0 || wanted.MaxFailureWindow < -1 {
		return nil, invalidArgument("vmToolsMonitoringSettings")
	}
	merged := types.ClusterVmToolsMonitoringSettings{}
	if have != nil {
		merged = *have
	}
	setIf(&merged.Enabled, wanted.Enabled)
	setIf(&merged.ClusterSettings, wanted.ClusterSettings)
	setText(&merged.VmMonitoring, wanted.VmMonitoring)
	setNumber(&merged.FailureInterval, wanted.FailureInterval)
	setNumber(&merged.MinUpTime, wanted.MinUpTime)
	setNumber(&merged.MaxFailures, wanted.MaxFailures)
	setNumber(&merged.MaxFailureWindow, wanted.MaxFailureWindow)
	return &merged, nil
}

func setNumber(target *int32, wanted int32) {
	if wanted != 0 {
		*target = wanted
	}
}

func (v *VCenter) dropOverride(cluster *mo.ClusterComputeResource, vm ref) {
	config := *clusterConfig(cluster)
	kept := slices.DeleteFunc(append([]types.ClusterDasVmConfigInfo{}, config.DasVmConfig...),
		func(c types.ClusterDasVmConfigInfo) bool { return c.Key == vm })
	if len(kept) == len(config.DasVmConfig) {
		return
	}
	config.DasVmConfig = kept
	cluster.ConfigurationEx = &config
	v.touch(cluster.Self)
}
