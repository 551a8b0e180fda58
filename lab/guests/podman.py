"""The container engine under the lab's own configuration: nothing of the user's podman is read, written or shared."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.guests import host

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "managedvm.dev/lab"
NETWORK = "managedvm-lab"
_MOST_FILES = 1_048_576
_MOST_PROCESSES = 32_768  # podman bounds itself so, and a guest cannot have more than podman


@dataclass(frozen=True, slots=True)
class Podman:
    """The container engine of one lab. Its files lie below `directory`, its sockets and locks below `run`."""

    directory: Path
    run: Path
    """Short, because a Unix socket's path is bounded, and emptied by a reboot, which podman relies on."""
    key: str
    """Tells this lab from others on the machine: at least 8 hexadecimal digits."""
    driver: str = "vfs"
    """How images are stored: copies serve guests everywhere; "overlay" shares what images built in steps have alike."""

    @property
    def subnet(self) -> str:
        """The guests' addresses. By itself podman would give two labs the same, and the same bridge."""
        return f"10.{128 + int(self.key[:2], 16) % 64}.{int(self.key[2:4], 16)}.0/24"

    def environment(self) -> dict[str, str]:
        """Return the variables that point podman here."""
        return {
            "CONTAINERS_CONF": str(self.directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.directory / "storage.conf"),
        }

    def configure(self) -> None:
        """Write the configuration that `environment` names."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "containers.conf").write_text(self.containers_conf(ulimits()))
        storage = {
            "driver": self.driver,
            "graphroot": self.directory / "storage",
            "runroot": self.run / "root",
        }
        lines = [f"{name} = {json.dumps(str(value))}" for name, value in storage.items()]
        (self.directory / "storage.conf").write_text("\n".join(["[storage]", *lines, ""]))
        networks = self.directory / "networks"
        networks.mkdir(exist_ok=True)
        (networks / f"{NETWORK}.json").write_text(json.dumps(self.network(), indent=1))

    def containers_conf(self, limits: dict[str, int]) -> str:
        """Return containers.conf. Each setting that is not a path avoids a failure that was seen."""
        given = json.dumps([f"{name}={value}:{value}" for name, value in limits.items()])
        return "\n".join(
            [
                "[containers]",
                "# podman's own defaults are above what a container's root without CAP_SYS_RESOURCE may set",
                f"default_ulimits = {given}",
                "[engine]",
                "# crun refuses machines that have both cgroup versions",
                'runtime = "runc"',
                "# there need not be a systemd on this machine",
                'cgroup_manager = "cgroupfs"',
                'events_logger = "none"',
                "# podman's default is one lock table in memory for every podman of the machine",
                'lock_type = "file"',
                f"tmp_dir = {json.dumps(str(self.run / 'tmp'))}",
                "[network]",
                'network_backend = "netavark"',
                f"network_config_dir = {json.dumps(str(self.directory / 'networks'))}",
                "",
            ]
        )

    def network(self) -> dict[str, object]:
        """Return the network in netavark's own words: podman's command cannot name the bridge."""
        gateway = self.subnet.replace(".0/24", ".1")
        return {
            "name": NETWORK,
            "id": hashlib.sha256(self.key.encode()).hexdigest(),
            "driver": "bridge",
            "network_interface": f"mvm{self.key[:8]}",
            "subnets": [{"subnet": self.subnet, "gateway": gateway}],
            "ipv6_enabled": False,
            "internal": False,
            "dns_enabled": False,
            "ipam_options": {"driver": "host-local"},
        }

    def __call__(self, *arguments: str) -> str:
        """Run podman and return its output.

        Raises:
            LabError: it failed; what it said is in the message.
        """
        path = host.program("podman")
        if path is None:
            raise LabError("podman is not installed")
        done = subprocess.run(
            [str(path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                **self.environment(),
            },
        )
        if done.returncode != 0:
            raise LabError(f"podman {arguments[0]}: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()


def ulimits() -> dict[str, int]:
    """Return the limits for a guest's processes: this process's own, as far as a guest can use them."""

    def hard(which: int, most: int) -> int:
        limit = resource.getrlimit(which)[1]
        return most if limit == resource.RLIM_INFINITY else min(limit, most)

    return {
        "nofile": hard(resource.RLIMIT_NOFILE, _MOST_FILES),
        "nproc": hard(resource.RLIMIT_NPROC, _MOST_PROCESSES),
    }
