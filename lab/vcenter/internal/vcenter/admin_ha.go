package vcenter

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// HARestart is what vSphere HA shall do to a VM. At lets a test tell a story that took hours.
type HARestart struct {
	Kind  string     `json:"kind"`
	Count int        `json:"count"`
	At    *time.Time `json:"at"`
}

// Restart lets HA act. Errors name what is wrong with the request.
func (v *VCenter) Restart(path string, restart HARestart) ([]int32, error) {
	known := []string{"reset", "screenshot", "alternateHost", "failed", "maxReached"}
	if restart.Kind == "" {
		restart.Kind = "reset"
	}
	if !slices.Contains(known, restart.Kind) {
		return nil, fmt.Errorf("kind is %q, known are %v", restart.Kind, known)
	}
	if restart.Count < 0 {
		return nil, errors.New("count cannot be negative")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	vm := v.vmAt(path)
	if vm == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoVM, path)
	}
	var keys []int32
	for range max(1, restart.Count) {
		keys = append(keys, v.restartOnce(vm, restart))
	}
	return keys, nil
}

// restartOnce posts the event that vCenter posts and lets the guest boot: it comes back with Tools
// running and a green heartbeat, unless HA gave up on it.
func (v *VCenter) restartOnce(vm *VM, restart HARestart) int32 {
	reason := "VMware Tools heartbeat failure"
	at := v.vmEvent(vm)
	if restart.At != nil {
		at.CreatedTime = restart.At.UTC()
	}
	boots := true
	var event types.BaseEvent
	var text string
	switch restart.Kind {
	case "reset":
		event = &types.VmDasBeingResetEvent{VmEvent: at, Reason: reason}
		text = fmt.Sprintf("%s was reset by vSphere HA. Reason: %s", vm.Name, reason)
	case "screenshot":
		screenshot := &types.VmDasBeingResetWithScreenshotEvent{ScreenshotFilePath: "[datastore-1] screenshot.png"}
		screenshot.VmEvent, screenshot.Reason = at, reason
		event = screenshot
		text = fmt.Sprintf("%s was reset by vSphere HA. Reason: %s. A screenshot is saved", vm.Name, reason)
	case "alternateHost":
		alternate := &types.VmRestartedOnAlternateHostEvent{SourceHost: *v.hostArgument(*vm.Runtime.Host)}
		target, cluster := v.otherHost(vm)
		v.place(vm, target, cluster)
		at.Host = v.hostArgument(target)
		alternate.VmEvent = at
		event = alternate
		text = fmt.Sprintf("%s was restarted on %s since %s failed", vm.Name, at.Host.Name, alternate.SourceHost.Name)
	case "failed":
		event, boots = &types.VmDasResetFailedEvent{VmEvent: at}, false
		text = "vSphere HA cannot reset " + vm.Name
	default:
		event, boots = &types.VmMaxRestartCountReached{VmEvent: at}, false
		text = "vSphere HA stopped trying to restart " + vm.Name + " because the maximum was reached"
	}
	if boots {
		v.setPower(vm, types.VirtualMachinePowerStatePoweredOn)
		v.drive(vm, Backing.Reset)
	}
	v.post("", text, event)
	return event.GetEvent().Key
}

// OverrideFacts are a VM's own HA settings in its cluster.
type OverrideFacts struct {
	Remove           bool   `json:"remove,omitempty"`
	RestartPriority  string `json:"restartPriority,omitempty"`
	VMMonitoring     string `json:"vmMonitoring,omitempty"`
	Enabled          *bool  `json:"enabled,omitempty"`
	ClusterSettings  *bool  `json:"clusterSettings,omitempty"`
	FailureInterval  int32  `json:"failureInterval,omitempty"`
	MinUpTime        int32  `json:"minUpTime,omitempty"`
	MaxFailures      int32  `json:"maxFailures,omitempty"`
	MaxFailureWindow int32  `json:"maxFailureWindow,omitempty"`
}

func overrideFacts(config *types.ClusterConfigInfoEx, vm ref) *OverrideFacts {
	for _, one := range config.DasVmConfig {
		if one.Key != vm {
			continue
		}
		facts := &OverrideFacts{RestartPriority: string(one.RestartPriority)}
		if one.DasSettings == nil {
			return facts
		}
		setText(&facts.RestartPriority, one.DasSettings.RestartPriority)
		if m := one.DasSettings.VmToolsMonitoringSettings; m != nil {
			facts.VMMonitoring, facts.Enabled, facts.ClusterSettings = m.VmMonitoring, m.Enabled, m.ClusterSettings
			facts.FailureInterval, facts.MinUpTime = m.FailureInterval, m.MinUpTime
			facts.MaxFailures, facts.MaxFailureWindow = m.MaxFailures, m.MaxFailureWindow
		}
		return facts
	}
	return nil
}

// Override changes or removes a VM's own HA settings.
func (v *VCenter) Override(path string, wanted OverrideFacts) (VMFacts, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	vm := v.vmAt(path)
	if vm == nil {
		return VMFacts{}, fmt.Errorf("%w: %s", ErrNoVM, path)
	}
	cluster := v.clusterOf(vm)
	if wanted.Remove {
		v.dropOverride(cluster, vm.Self)
		return v.facts(vm), nil
	}
	spec := &types.ClusterDasVmConfigSpec{Info: &types.ClusterDasVmConfigInfo{Key: vm.Self}}
	spec.Operation = types.ArrayUpdateOperationAdd
	config := *clusterConfig(cluster)
	config.DasVmConfig = slices.Clone(config.DasVmConfig)
	if overrideFacts(&config, vm.Self) != nil {
		spec.Operation = types.ArrayUpdateOperationEdit
	}
	spec.Info.DasSettings = &types.ClusterDasVmSettings{
		RestartPriority: wanted.RestartPriority,
		VmToolsMonitoringSettings: &types.ClusterVmToolsMonitoringSettings{
			Enabled: wanted.Enabled, ClusterSettings: wanted.ClusterSettings, VmMonitoring: wanted.VMMonitoring,
			FailureInterval: wanted.FailureInterval, MinUpTime: wanted.MinUpTime,
			MaxFailures: wanted.MaxFailures, MaxFailureWindow: wanted.MaxFailureWindow,
		},
	}
	if fault := v.changeOverride(cluster, &config, spec); fault != nil {
		return VMFacts{}, errors.New(message(fault))
	}
	v.setClusterConfig(cluster, &config)
	return v.facts(vm), nil
}

// ClusterChange is what a test changes about a cluster behind everybody's back.
type ClusterChange struct {
	Enabled        *bool             `json:"enabled"`
	HostMonitoring *string           `json:"hostMonitoring"`
	VMMonitoring   *string           `json:"vmMonitoring"`
	Options        map[string]string `json:"options"`
	ClearOverrides bool              `json:"clearOverrides"`
}

// ClusterFacts describe a cluster to tests.
type ClusterFacts struct {
	Name           string                    `json:"name"`
	MoID           string                    `json:"moid"`
	Hosts          []string                  `json:"hosts"`
	Enabled        bool                      `json:"enabled"`
	HostMonitoring string                    `json:"hostMonitoring"`
	VMMonitoring   string                    `json:"vmMonitoring"`
	Options        map[string]string         `json:"options"`
	Overrides      map[string]*OverrideFacts `json:"overrides"` // by VM path
}

// ChangeCluster applies a change, an empty one just reads. Errors name what is wrong.
func (v *VCenter) ChangeCluster(name string, change ClusterChange) (ClusterFacts, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	cluster := v.cluster(name)
	if cluster == nil {
		return ClusterFacts{}, fmt.Errorf("%w: %s", ErrNoCluster, name)
	}
	config := *clusterConfig(cluster)
	wanted := &types.ClusterDasConfigInfo{Enabled: change.Enabled}
	if change.HostMonitoring != nil {
		wanted.HostMonitoring = *change.HostMonitoring
	}
	if change.VMMonitoring != nil {
		wanted.VmMonitoring = *change.VMMonitoring
	}
	for _, key := range sortedKeys(change.Options) {
		wanted.Option = append(wanted.Option, &types.OptionValue{Key: key, Value: change.Options[key]})
	}
	if fault := mergeDas(&config.DasConfig, wanted); fault != nil {
		return ClusterFacts{}, errors.New(message(fault))
	}
	if change.ClearOverrides {
		config.DasVmConfig = nil
	}
	v.setClusterConfig(cluster, &config)
	return v.clusterFacts(cluster), nil
}

func (v *VCenter) clusterFacts(cluster *mo.ClusterComputeResource) ClusterFacts {
	config := clusterConfig(cluster)
	das := &config.DasConfig
	facts := ClusterFacts{
		Name: cluster.Name, MoID: cluster.Self.Value, Enabled: *das.Enabled,
		HostMonitoring: das.HostMonitoring, VMMonitoring: das.VmMonitoring,
		Options: map[string]string{}, Overrides: map[string]*OverrideFacts{},
	}
	for _, host := range cluster.Host {
		facts.Hosts = append(facts.Hosts, v.name(host))
	}
	for _, option := range das.Option {
		facts.Options[option.GetOptionValue().Key] = fmt.Sprint(option.GetOptionValue().Value)
	}
	for _, one := range config.DasVmConfig {
		facts.Overrides[v.pathOf(one.Key)] = overrideFacts(config, one.Key)
	}
	return facts
}
