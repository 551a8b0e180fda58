package vcenter

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Inventory is the inventory file.
type Inventory struct {
	Datacenter string        `json:"datacenter"`
	Clusters   []ClusterSpec `json:"clusters"`
	VMs        []VMSpec      `json:"vms"`
	Fleet      FleetSpec     `json:"fleet"`
}

// ClusterSpec is one cluster; HA is on unless haEnabled says otherwise.
type ClusterSpec struct {
	Name      string `json:"name"`
	Hosts     int    `json:"hosts"`
	HAEnabled *bool  `json:"haEnabled"`
}

// VMSpec is one VM; path is relative to the datacenter's VM folder.
type VMSpec struct {
	Path                     string            `json:"path"`
	Cluster                  string            `json:"cluster"`
	CPUs                     int32             `json:"cpus"`
	MemoryMiB                int32             `json:"memoryMiB"`
	Disks                    []DiskSpec        `json:"disks"`
	CPUHotAdd                bool              `json:"cpuHotAdd"`
	MemoryHotAdd             bool              `json:"memoryHotAdd"`
	MemoryHotAddIncrementMiB int64             `json:"memoryHotAddIncrementMiB"`
	MemoryHotAddLimitMiB     int64             `json:"memoryHotAddLimitMiB"`
	PoweredOn                *bool             `json:"poweredOn"`
	ExtraConfig              map[string]string `json:"extraConfig"`
	Guest                    json.RawMessage   `json:"guest"`
}

// DiskSpec is one disk.
type DiskSpec struct {
	SizeGiB int64 `json:"sizeGiB"`
}

// FleetSpec asks for many equal VMs below fleet/00, fleet/01, ...
type FleetSpec struct {
	Count   int `json:"count"`
	Folders int `json:"folders"`
}

func (v *VCenter) build(inventory Inventory) error {
	if inventory.Datacenter == "" || len(inventory.Clusters) == 0 {
		return errors.New("inventory: a datacenter and at least one cluster are needed")
	}
	if err := v.buildDatacenter(inventory.Datacenter); err != nil {
		return err
	}
	for _, cluster := range inventory.Clusters {
		if err := v.buildCluster(cluster); err != nil {
			return err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, spec := range inventory.VMs {
		if _, err := v.addVM(spec); err != nil {
			return fmt.Errorf("inventory: %w", err)
		}
	}
	return v.buildFleet(inventory)
}

func (v *VCenter) buildDatacenter(name string) error {
	root, ok := v.reg.Get(v.content.RootFolder).(*simulator.Folder)
	if !ok {
		return errors.New("the simulator has no root folder")
	}
	made := root.CreateDatacenter(v.sim, &types.CreateDatacenter{This: root.Self, Name: name})
	body, ok := made.(*methods.CreateDatacenterBody)
	if !ok || body.Res == nil {
		return fmt.Errorf("datacenter %s: %w", name, soap.WrapSoapFault(made.Fault()))
	}
	v.dc = body.Res.Returnval
	dc := lookup[mo.Datacenter](v, v.dc)
	v.vmFolder, v.network = dc.VmFolder, dc.Network[0]
	store := &mo.Datastore{}
	store.Self = v.newRef("Datastore", "datastore")
	store.Name = "datastore-1"
	store.ManagedEntity.Name = store.Name
	store.Parent = &dc.DatastoreFolder
	store.Summary = types.DatastoreSummary{
		Datastore: &store.Self, Name: store.Name, Url: "ds:///vmfs/volumes/lab/", Type: "VMFS",
		Capacity: 1 << 50, FreeSpace: 1 << 49, Accessible: true,
	}
	store.Info = &types.VmfsDatastoreInfo{DatastoreInfo: types.DatastoreInfo{Name: store.Name, Url: store.Summary.Url}}
	v.reg.Put(store)
	v.store = store.Self
	dc.Datastore = append(dc.Datastore, store.Self)
	folder := lookup[mo.Folder](v, dc.DatastoreFolder)
	folder.ChildEntity = append(folder.ChildEntity, store.Self)
	return nil
}

func (v *VCenter) buildCluster(spec ClusterSpec) error {
	if spec.Name == "" || spec.Hosts < 1 {
		return fmt.Errorf("inventory: cluster %q needs a name and at least one host", spec.Name)
	}
	dc := lookup[mo.Datacenter](v, v.dc)
	folder, ok := v.reg.Get(dc.HostFolder).(*simulator.Folder)
	if !ok {
		return errors.New("the simulator has no host folder")
	}
	cluster, fault := simulator.CreateClusterComputeResource(v.sim, folder, spec.Name, types.ClusterConfigSpecEx{})
	if fault != nil {
		return fmt.Errorf("cluster %s: %s", spec.Name, message(fault))
	}
	enabled := spec.HAEnabled == nil || *spec.HAEnabled
	cluster.ConfigurationEx = defaultClusterConfig(enabled)
	for i := range spec.Hosts {
		name := fmt.Sprintf("esx-%s-%d", spec.Name, i+1)
		request := &types.AddHost_Task{Spec: types.HostConnectSpec{HostName: name}, AsConnected: true}
		body, ok := cluster.AddHostTask(v.sim, request).(*methods.AddHost_TaskBody)
		if !ok || body.Res == nil {
			return fmt.Errorf("host %s could not be added", name)
		}
		added, ok := v.reg.Get(body.Res.Returnval).(*simulator.Task)
		if !ok {
			return fmt.Errorf("host %s could not be added", name)
		}
		added.Wait()
		if added.Info.Error != nil {
			return fmt.Errorf("host %s: %s", name, added.Info.Error.LocalizedMessage)
		}
		v.reg.Remove(v.sim, added.Self)
	}
	manager := lookup[mo.TaskManager](v, *v.content.TaskManager)
	manager.RecentTask, cluster.RecentTask = nil, nil
	return nil
}

func (v *VCenter) buildFleet(inventory Inventory) error {
	folders := max(1, inventory.Fleet.Folders)
	on := true
	for i := range inventory.Fleet.Count {
		_, err := v.addVM(VMSpec{
			Path:    fmt.Sprintf("fleet/%02d/vm-%05d", i%folders, i+1),
			Cluster: inventory.Clusters[i%len(inventory.Clusters)].Name,
			CPUs:    2, MemoryMiB: 4096, Disks: []DiskSpec{{SizeGiB: 40}},
			CPUHotAdd: true, MemoryHotAdd: true, PoweredOn: &on,
		})
		if err != nil {
			return fmt.Errorf("fleet: %w", err)
		}
	}
	return nil
}

// folderFor finds or makes the folders of a path like "kunde-a/web-01" and returns the last one.
func (v *VCenter) folderFor(vmPath string) (*mo.Folder, string, error) {
	dir, name := path.Split(strings.Trim(vmPath, "/"))
	if name == "" {
		return nil, "", fmt.Errorf("the path %q names no VM", vmPath)
	}
	at := v.vmFolder
	for _, part := range strings.FieldsFunc(dir, func(r rune) bool { return r == '/' }) {
		next, found := v.child(at, part)
		if !found {
			next = v.addFolder(lookup[mo.Folder](v, at), part).Self
		}
		at = next
	}
	folder := lookup[mo.Folder](v, at)
	if folder == nil {
		return nil, "", fmt.Errorf("the path %q leads through something that is no folder", vmPath)
	}
	return folder, name, nil
}

func (v *VCenter) addFolder(parent *mo.Folder, name string) *mo.Folder {
	folder := &mo.Folder{ChildType: parent.ChildType}
	folder.Self = v.newRef("Folder", "group-v")
	folder.Name = name
	v.reg.Put(folder)
	v.adopt(parent, &folder.ManagedEntity)
	return folder
}
