package vcenter

import (
	"slices"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func defaultClusterConfig(ha bool) *types.ClusterConfigInfoEx {
	config := &types.ClusterConfigInfoEx{
		SystemVMsConfig: nil,
		DrsConfig: types.ClusterDrsConfigInfo{
			Enabled: types.NewBool(true), DefaultVmBehavior: types.DrsBehaviorFullyAutomated,
		},
	}
	config.DasConfig = defaultDas(ha)
	return config
}

// defaultDas is a cluster whose HA restarts VMs of a failed host and does not look into guests.
func defaultDas(enabled bool) types.ClusterDasConfigInfo {
	return types.ClusterDasConfigInfo{
		Enabled: &enabled, AdmissionControlEnabled: types.NewBool(true), FailoverLevel: 1,
		HostMonitoring: string(types.ClusterDasConfigInfoServiceStateEnabled),
		VmMonitoring:   string(types.ClusterDasConfigInfoVmMonitoringStateVmMonitoringDisabled),
		DefaultVmSettings: &types.ClusterDasVmSettings{
			RestartPriority:   string(types.ClusterDasVmSettingsRestartPriorityMedium),
			IsolationResponse: string(types.ClusterDasVmSettingsIsolationResponseNone),
			VmToolsMonitoringSettings: &types.ClusterVmToolsMonitoringSettings{
				Enabled: types.NewBool(false), ClusterSettings: types.NewBool(false),
				VmMonitoring:    string(types.ClusterDasConfigInfoVmMonitoringStateVmMonitoringDisabled),
				FailureInterval: 30, MinUpTime: 120, MaxFailures: 3, MaxFailureWindow: 3600,
			},
		},
	}
}

func clusterConfig(cluster *mo.ClusterComputeResource) *types.ClusterConfigInfoEx {
	config, _ := cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
	return config
}

// reconfigureCluster works on a copy and swaps it in when everything was accepted.
func (v *VCenter) reconfigureCluster(c *Call, req *types.ReconfigureComputeResource_Task) (job, Fault) {
	spec, ok := req.Spec.(*types.ClusterConfigSpecEx)
	if !ok {
		return job{}, invalidArgument("spec")
	}
	user := c.User()
	return job{entity: c.This, apply: func() (any, Fault) {
		cluster := lookup[mo.ClusterComputeResource](v, c.This)
		if cluster == nil {
			return nil, &types.ManagedObjectNotFound{Obj: c.This}
		}
		config := *clusterConfig(cluster)
		config.DasVmConfig = append([]types.ClusterDasVmConfigInfo{}, config.DasVmConfig...)
		if !req.Modify {
			fresh := defaultClusterConfig(false)
			config.DasConfig, config.DasVmConfig = fresh.DasConfig, nil
		}
		if spec.DasConfig != nil {
			if fault := mergeDas(&config.DasConfig, spec.DasConfig); fault != nil {
				return nil, fault
			}
		}
		if spec.DrsConfig != nil {
			setIf(&config.DrsConfig.Enabled, spec.DrsConfig.Enabled)
		}
		for i := range spec.DasVmConfigSpec {
			if fault := v.changeOverride(cluster, &config, &spec.DasVmConfigSpec[i]); fault != nil {
				return nil, fault
			}
		}
		v.setClusterConfig(cluster, &config)
		event := &types.ClusterReconfiguredEvent{}
		event.ComputeResource = &types.ComputeResourceEventArgument{ComputeResource: cluster.Self}
		event.ComputeResource.Name = cluster.Name
		v.post(user, "Reconfigured cluster "+cluster.Name, event)
		return nil, nil
	}}, nil
}

// setClusterConfig announces the new configuration, and to every VM whether HA protects it now.
func (v *VCenter) setClusterConfig(cluster *mo.ClusterComputeResource, config *types.ClusterConfigInfoEx) {
	before := clusterConfig(cluster).DasConfig.Enabled
	cluster.ConfigurationEx = config
	cluster.Configuration = types.ClusterConfigInfo{DasConfig: config.DasConfig, DrsConfig: config.DrsConfig}
	v.touch(cluster.Self)
	if before != nil && config.DasConfig.Enabled != nil && *before == *config.DasConfig.Enabled {
		return
	}
	if pool := lookup[mo.ResourcePool](v, *cluster.ResourcePool); pool != nil {
		for _, r := range pool.Vm {
			v.protect(v.vms[r])
			v.touch(r)
		}
	}
}

func mergeDas(have *types.ClusterDasConfigInfo, wanted *types.ClusterDasConfigInfo) Fault {
	if !knownOrEmpty(wanted.VmMonitoring, "vmMonitoringDisabled", "vmMonitoringOnly", "vmAndAppMonitoring") {
		return invalidArgument("spec.dasConfig.vmMonitoring")
	}
	if !knownOrEmpty(wanted.HostMonitoring, "enabled", "disabled") {
		return invalidArgument("spec.dasConfig.hostMonitoring")
	}
	if wanted.FailoverLevel < 0 {
		return invalidArgument("spec.dasConfig.failoverLevel")
	}
	setIf(&have.Enabled, wanted.Enabled)
	setIf(&have.AdmissionControlEnabled, wanted.AdmissionControlEnabled)
	setText(&have.VmMonitoring, wanted.VmMonitoring)
	setText(&have.HostMonitoring, wanted.HostMonitoring)
	setText(&have.VmComponentProtecting, wanted.VmComponentProtecting)
	setText(&have.HBDatastoreCandidatePolicy, wanted.HBDatastoreCandidatePolicy)
	if wanted.FailoverLevel > 0 {
		have.FailoverLevel = wanted.FailoverLevel
	}
	if wanted.AdmissionControlPolicy != nil {
		have.AdmissionControlPolicy = wanted.AdmissionControlPolicy
	}
	if len(wanted.HeartbeatDatastore) > 0 {
		have.HeartbeatDatastore = wanted.HeartbeatDatastore
	}
	if wanted.DefaultVmSettings != nil {
		merged, fault := mergedVMSettings(have.DefaultVmSettings, wanted.DefaultVmSettings)
		if fault != nil {
			return fault
		}
		have.DefaultVmSettings = merged
	}
	have.Option = mergeOptions(have.Option, wanted.Option)
	return nil
}

func knownOrEmpty(value string, known ...string) bool {
	return value == "" || slices.Contains(known, value)
}

func setText(target *string, wanted string) {
	if wanted != "" {
		*target = wanted
	}
}
