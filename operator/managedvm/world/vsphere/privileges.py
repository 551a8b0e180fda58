"""The least vCenter role: each SOAP method that this package calls, with the privileges that vSphere asks for it.

`python -m managedvm.world.vsphere.privileges` prints the role; manifests/vcenter/operator-role.json is its output.
"""

import json
import sys
from collections.abc import Mapping

ROLE = "ManagedVMOperator"

_ANONYMOUS, _VIEW, _READ = "System.Anonymous", "System.View", "System.Read"

METHODS: Mapping[str, tuple[str, ...]] = {
    "RetrieveServiceContent": (_ANONYMOUS,),
    "Login": (_ANONYMOUS,),
    "Logout": (_VIEW,),
    "CurrentTime": (_VIEW,),
    "CreatePropertyCollector": (_VIEW,),
    "CreateContainerView": (_VIEW,),
    "CreateListView": (_VIEW,),
    "ModifyListView": (_VIEW,),
    "CreateFilter": (_VIEW,),
    "WaitForUpdatesEx": (_VIEW,),
    "CreateCollectorForEvents": (_VIEW,),
    "SetCollectorPageSize": (_VIEW,),
    "RetrievePropertiesEx": (_READ,),
    "ContinueRetrievePropertiesEx": (_VIEW,),
    "ReconfigureComputeResource_Task": ("Host.Inventory.EditCluster",),
    # What a reconfiguration needs depends on what it changes; these are all that `specs` ever changes.
    "ReconfigVM_Task": (
        "VirtualMachine.Config.CPUCount",
        "VirtualMachine.Config.Memory",
        "VirtualMachine.Config.DiskExtend",
        "VirtualMachine.Config.AdvancedConfig",
    ),
    "ShutdownGuest": ("VirtualMachine.Interact.PowerOff",),
    "PowerOnVM_Task": ("VirtualMachine.Interact.PowerOn",),
}
"""What is asked of vCenter, and what each needs. Reads come first, and changes what `port` orders."""

SNAPSHOTS: Mapping[str, tuple[str, ...]] = {
    "CreateSnapshot_Task": ("VirtualMachine.State.CreateSnapshot",),
    "RevertToSnapshot_Task": ("VirtualMachine.State.RevertToSnapshot",),
    "RemoveSnapshot_Task": ("VirtualMachine.State.RemoveSnapshot",),
}
"""What a way back by snapshot needs besides. No promise of this version takes one, so the role does not have it."""


def privileges() -> list[str]:
    """Return the ids of all privileges that the operator needs, sorted."""
    return sorted({privilege for needed in METHODS.values() for privilege in needed})


def role() -> str:
    """Return the role as JSON text: its name, and the ids of its privileges."""
    return json.dumps({"name": ROLE, "privileges": privileges()}, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(role())
