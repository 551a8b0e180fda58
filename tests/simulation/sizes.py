"""The sizes that people order in the simulation, and what they are called."""

from typing import Any

SIZES: dict[str, tuple[Any, ...]] = {
    "cpus": (2, 4, 8),
    "memory": ("4Gi", "6Gi", "8Gi"),
    "disk": (30, 40, 50, 60),
}
ASPECTS = {"cpus": "CPUs", "memory": "Memory", "disk": "Disk/system"}


def resources(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return sizes as `spec.resources` of the YAML; what is not named is not agreed."""
    size = wanted.get("disk")
    disks = [{"name": "system", "deviceNode": "SCSI(0:0)", "size": f"{size}Gi"}] if size is not None else []
    return {key: wanted[key] for key in ("cpus", "memory") if wanted.get(key) is not None} | {"disks": disks}
