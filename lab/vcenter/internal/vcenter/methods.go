package vcenter

import (
	"reflect"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/wire"
)

// register lists every method that is served, with the lock that it needs.
func (v *VCenter) register() {
	handle(v, "RetrieveServiceContent", unlocked, v.serviceContent)
	handle(v, "CurrentTime", unlocked, v.currentTime)
	handle(v, "QueryOptions", unlocked, v.queryOptions)

	handle(v, "Login", unlocked, v.login)
	handle(v, "Logout", unlocked, v.logout)
	handle(v, "TerminateSession", unlocked, v.terminateSession)
	handle(v, "SessionIsActive", unlocked, v.sessionIsActive)
	handle(v, "HasPrivilegeOnEntities", unlocked, v.hasPrivileges)
	handle(v, "HasPrivilegeOnEntity", unlocked, v.hasPrivilege)
	handle(v, "HasUserPrivilegeOnEntities", unlocked, v.hasUserPrivileges)
	handle(v, "FetchUserPrivilegeOnEntities", unlocked, v.userPrivileges)

	handle(v, "Fetch", reading, v.fetch)
	handle(v, "RetrieveProperties", reading, v.retrieveOld)
	handle(v, "RetrievePropertiesEx", reading, v.retrieveEx)
	handle(v, "ContinueRetrievePropertiesEx", unlocked, v.continueRetrieve)
	handle(v, "CancelRetrievePropertiesEx", unlocked, v.cancelRetrieve)
	handle(v, "CreatePropertyCollector", unlocked, v.createPropertyCollector)
	handle(v, "DestroyPropertyCollector", unlocked, v.destroyCollector)
	handle(v, "CreateFilter", unlocked, v.createFilter)
	handle(v, "DestroyPropertyFilter", unlocked, v.destroyFilter)
	handle(v, "WaitForUpdatesEx", unlocked, v.waitForUpdatesEx)
	handle(v, "WaitForUpdates", unlocked, v.waitForUpdates)
	handle(v, "CheckForUpdates", unlocked, v.checkForUpdates)
	handle(v, "CancelWaitForUpdates", unlocked, v.cancelWait)

	handle(v, "CreateContainerView", reading, v.createContainerView)
	handle(v, "CreateListView", reading, v.createListView)
	handle(v, "ModifyListView", writing, v.modifyListView)
	handle(v, "ResetListView", writing, v.resetListView)
	handle(v, "DestroyView", unlocked, v.destroyView)

	handle(v, "FindByUuid", reading, v.findByUUID)
	handle(v, "FindAllByUuid", reading, v.findAllByUUID)
	handle(v, "FindByInventoryPath", reading, v.findByInventoryPath)
	handle(v, "FindChild", reading, v.findChild)
	handle(v, "FindByDnsName", reading, v.findByDNSName)

	v.registerEvents()
	v.registerTasks()
}

func (v *VCenter) registerEvents() {
	handle(v, "QueryEvents", reading, v.queryEvents)
	handle(v, "CreateCollectorForEvents", writing, v.createEventCollector)
	handle(v, "ReadNextEvents", writing, v.readNextEvents)
	handle(v, "ReadPreviousEvents", writing, v.readPreviousEvents)
	handle(v, "ResetCollector", writing, v.resetCollector)
	handle(v, "RewindCollector", writing, v.rewindCollector)
	handle(v, "SetCollectorPageSize", writing, v.setCollectorPageSize)
	handle(v, "DestroyCollector", writing, v.destroyEventCollector)
}

func (v *VCenter) registerTasks() {
	handleTask(v, "PowerOnVM_Task", v.powerOn)
	handleTask(v, "PowerOffVM_Task", v.powerOff)
	handleTask(v, "SuspendVM_Task", v.suspend)
	handleTask(v, "ResetVM_Task", v.reset)
	handle(v, "ShutdownGuest", writing, v.shutdownGuest)
	handle(v, "RebootGuest", writing, v.rebootGuest)
	handle(v, "StandbyGuest", writing, v.standbyGuest)

	handleTask(v, "ReconfigVM_Task", v.reconfigure)
	handleTask(v, "Rename_Task", v.renameTask)
	handleTask(v, "Destroy_Task", v.destroy)
	handleTask(v, "MigrateVM_Task", v.migrate)
	handleTask(v, "RelocateVM_Task", v.relocate)
	handle(v, "UnregisterVM", writing, v.unregister)

	handleTask(v, "CreateSnapshot_Task", v.createSnapshot)
	handleTask(v, "RemoveSnapshot_Task", v.removeSnapshot)
	handleTask(v, "RemoveAllSnapshots_Task", v.removeAllSnapshots)
	handleTask(v, "RevertToSnapshot_Task", v.revertToSnapshot)
	handleTask(v, "RevertToCurrentSnapshot_Task", v.revertToCurrent)
	handle(v, "RenameSnapshot", writing, v.renameSnapshot)

	handle(v, "CreateFolder", writing, v.createFolder)
	handleTask(v, "MoveIntoFolder_Task", v.moveIntoFolder)
	handleTask(v, "ReconfigureComputeResource_Task", v.reconfigureCluster)
}

func (v *VCenter) serviceContent(_ *Call, _ *types.RetrieveServiceContent) (any, Fault) {
	return v.content, nil
}

func (v *VCenter) currentTime(_ *Call, _ *types.CurrentTime) (any, Fault) {
	return v.now(), nil
}

// now is the time as this server believes it to be.
func (v *VCenter) now() time.Time { return time.Now().Add(v.Plan.skew()).UTC() }

// Guest is what a guest operation runs against.
type Guest struct {
	Path    string
	Name    string
	Running bool // powered on
	Tools   bool // VMware Tools answer
	Backing Backing
}

// HandleGuest serves a guest operation. Its row in privileges.json must say "guest": the VM is
// then found, counted and checked before the function is called, which may block.
func HandleGuest[R any](v *VCenter, method string, serve func(Guest, *R) (any, Fault)) {
	handle(v, method, unlocked, func(c *Call, req *R) (any, Fault) {
		target := c.guestTarget()
		var vm *VM
		var guest Guest
		v.locked(reading, func() {
			if target == nil {
				return
			}
			if vm = v.vms[*target]; vm != nil {
				guest = Guest{v.pathOf(vm.Self), vm.Name, vm.on(), vm.toolsRunning(), vm.backing}
			}
		})
		switch {
		case target == nil:
			return nil, invalidArgument("vm")
		case vm == nil:
			return nil, &types.ManagedObjectNotFound{Obj: *target}
		}
		return serve(guest, req)
	})
}

// guestTarget is the VM in the "vm" argument of a guest operation, nil for other calls.
func (c *Call) guestTarget() *ref {
	if c.This.Type == "VirtualMachine" || c.Body == nil {
		return nil
	}
	body := reflect.ValueOf(c.Body).Elem()
	if body.Kind() != reflect.Struct {
		return nil
	}
	if field := body.FieldByName("Vm"); field.IsValid() {
		if target, ok := field.Interface().(ref); ok {
			return &target
		}
	}
	return nil
}

// targetsOf are the objects that a property read names directly.
func targetsOf(c *Call) []ref {
	var specs []types.PropertyFilterSpec
	switch req := c.Body.(type) {
	case *wire.Fetch:
		return []ref{req.This}
	case *types.RetrieveProperties:
		specs = req.SpecSet
	case *types.RetrievePropertiesEx:
		specs = req.SpecSet
	}
	var targets []ref
	for _, spec := range specs {
		for _, object := range spec.ObjectSet {
			targets = append(targets, object.Obj)
		}
	}
	return targets
}
