"""Actions as the vSphere API wants to hear them. Only what an action names is in a spec; all else stays as it is."""

from typing import Any

from pyVmomi import vim

from managedvm.errors import RefusedError, StaleError
from managedvm.planning.actions import (
    ConfigureClusterHighAvailability,
    OverrideHighAvailability,
    Reconfigure,
)
from managedvm.world.vsphere.soap import Stub

_KIB = 1024


def override_spec(actions: tuple[OverrideHighAvailability, ...], stub: Stub) -> Any:
    """Return the spec of a cluster that adds or edits the overrides of some of its VMs."""
    return vim.cluster.ConfigSpecEx(dasVmConfigSpec=[_override(action, stub) for action in actions])


def _override(action: OverrideHighAvailability, stub: Stub) -> Any:
    wanted = action.settings
    settings = vim.cluster.DasVmSettings(
        restartPriority=wanted.restart_priority,
        vmToolsMonitoringSettings=vim.cluster.VmToolsMonitoringSettings(
            vmMonitoring=wanted.vm_monitoring,
            clusterSettings=wanted.cluster_settings,
            failureInterval=wanted.failure_interval,
            minUpTime=wanted.min_up_time,
            maxFailures=wanted.max_failures,
            maxFailureWindow=wanted.max_failure_window,
        ),
    )
    info = vim.cluster.DasVmConfigInfo(key=vim.VirtualMachine(action.vm, stub), dasSettings=settings)
    operation = "edit" if action.exists else "add"
    return vim.cluster.DasVmConfigSpec(operation=operation, info=info)


def cluster_spec(action: ConfigureClusterHighAvailability) -> Any:
    """Return the cluster's spec of its HA options."""
    return vim.cluster.ConfigSpecEx(
        dasConfig=vim.cluster.DasConfigInfo(
            enabled=True if action.enable else None,
            hostMonitoring=action.host_monitoring,
            vmMonitoring=action.vm_monitoring,
            option=[vim.option.OptionValue(key=key, value=value) for key, value in action.options.items()],
        )
    )


def reconfigure_spec(action: Reconfigure, devices: list[Any]) -> Any:
    """Return the VM's spec; `devices` are its devices as the server has them, needed where a disk grows.

    Raises:
        RefusedError: a disk would shrink.
        StaleError: there is no disk of that key any more.
    """
    return vim.vm.ConfigSpec(
        changeVersion=action.change_version,
        numCPUs=action.cpus,
        memoryMB=action.memory_mib,
        extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in action.notes.items()],
        deviceChange=[_grown(key, capacity, devices) for key, capacity in action.disks.items()],
    )


def _grown(key: int, capacity: int, devices: list[Any]) -> Any:
    """Return the change of one disk. vCenter wants to see the whole disk again, with its backing."""
    disk: Any = next((d for d in devices if d.key == key and isinstance(d, vim.vm.device.VirtualDisk)), None)
    if disk is None:
        raise StaleError(f"the VM has no disk of key {key} any more")
    if disk.capacityInKB * _KIB > capacity:
        raise RefusedError(f"disk {key} has {disk.capacityInKB * _KIB} bytes and would shrink to {capacity}")
    disk.capacityInBytes, disk.capacityInKB = capacity, capacity // _KIB
    return vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
