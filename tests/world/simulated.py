"""A vCenter of one test module alone: it may be silenced, restarted and filled without disturbing anybody."""

import asyncio
import contextlib
import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from lab import pki, provision
from lab.install import NAMESPACE
from lab.kube import Kube
from lab.polling import wait_until
from lab.vcenter_admin import VCenterAdmin
from managedvm.clock import utc_now
from managedvm.engine.budget import Budget
from managedvm.world.vsphere.connection import Server
from managedvm.world.vsphere.health import Healthy
from managedvm.world.vsphere.port import PyVmomiVSphere, Timing
from managedvm.world.vsphere.stream import StreamTiming

OPERATOR, READER, ADMINISTRATOR = (
    "operator@vsphere.local",
    "reader@vsphere.local",
    "administrator@vsphere.local",
)
PASSWORDS = {name: f"canary-{name.partition('@')[0]}-9f3c" for name in (OPERATOR, READER, ADMINISTRATOR)}

SMALL = {
    "datacenter": "Berlin",
    "clusters": [{"name": "cluster-1", "hosts": 2}, {"name": "cluster-2", "hosts": 1}],
    "vms": [
        {
            "path": "kunde-a/web-01",
            "cluster": "cluster-1",
            "cpus": 2,
            "memoryMiB": 4096,
            "disks": [{"sizeGiB": 40}, {"sizeGiB": 100}],
            "cpuHotAdd": True,
            "memoryHotAdd": True,
            "memoryHotAddIncrementMiB": 1024,
            "memoryHotAddLimitMiB": 65536,
            "extraConfig": {"managedvm.change.memory": "op-1", "guestinfo.other": "x"},
        },
        {
            "path": "kunde-a/db-01",
            "cluster": "cluster-1",
            "cpus": 4,
            "memoryMiB": 8192,
            "disks": [{"sizeGiB": 40}],
        },
        {
            "path": "kunde-b/app-01",
            "cluster": "cluster-2",
            "cpus": 1,
            "memoryMiB": 2048,
            "disks": [{"sizeGiB": 20}],
        },
    ],
}


@dataclass(slots=True)
class Simulator:
    """A vCenter simulator: its address, its certificate authority, and the hand behind it."""

    directory: Path
    ca: str
    port: int = 0
    admin_port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def admin(self) -> VCenterAdmin:
        return VCenterAdmin(f"http://127.0.0.1:{self.admin_port}")

    def start(self) -> None:
        ready = self.directory / "ready.json"
        ready.unlink(missing_ok=True)
        with (self.directory / "simulator.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own simulator
                [
                    provision.vcenter(),
                    f"--listen=127.0.0.1:{self.port}",
                    f"--admin=127.0.0.1:{self.admin_port}",
                    f"--tls-cert={self.directory / 'server.crt'}",
                    f"--tls-key={self.directory / 'server.key'}",
                    f"--users={self.directory / 'users.json'}",
                    f"--inventory={self.directory / 'inventory.json'}",
                    f"--ready-file={ready}",
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(ready.exists, "the simulator to serve", seconds=300)
        facts = json.loads(ready.read_bytes())
        self.port = int(facts["url"].rpartition(":")[2].partition("/")[0])
        self.admin_port = int(facts["admin"].rpartition(":")[2])

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None


@contextlib.contextmanager
def simulator(directory: Path, inventory: dict[str, object], roles: dict[str, list[str]]):
    """Start a simulator with the role given for the operator; it ends with the block."""
    authority = pki.new_authority(directory, "test-vcenter")
    authority.server("server", hosts=("127.0.0.1",))
    users = [
        {"name": OPERATOR, "password": PASSWORDS[OPERATOR], "role": next(iter(roles))},
        {"name": READER, "password": PASSWORDS[READER], "role": "ReadOnly"},
        {"name": ADMINISTRATOR, "password": PASSWORDS[ADMINISTRATOR], "role": "Administrator"},
    ]
    (directory / "users.json").write_text(json.dumps({"roles": roles, "users": users}))
    (directory / "inventory.json").write_text(json.dumps(inventory))
    made = Simulator(directory, ca=authority.bundle.read_text())
    made.start()
    try:
        yield made
    finally:
        made.stop()


WEB, DB, APP = "kunde-a/web-01", "kunde-a/db-01", "kunde-b/app-01"

HASTY = Timing(
    request_seconds=2.0,
    slot_seconds=0.5,
    stream=StreamTiming(
        wait_seconds=1,
        grace_seconds=1.0,
        first_retry_seconds=0.05,
        longest_retry_seconds=0.2,
        stalled_retry_seconds=0.2,
    ),
)


def path_of(vm: str) -> str:
    """The inventory path of a VM, whose name for the simulator begins below the datacenter's VM folder."""
    return f"/Berlin/vm/{vm}"


async def eventually(check, what, *, seconds=15.0):
    """Return the first answer of `check` that is true; the loop runs meanwhile."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (answer := check()):
        assert loop.time() < deadline, f"waited {seconds} s in vain for {what}"
        await asyncio.sleep(0.005)
    return answer


@dataclass(slots=True)
class Follower:
    """The operator's side of a test: the port, and everything that it told."""

    vsphere: PyVmomiVSphere
    told: list[tuple[set[str], set[str], object]] = field(default_factory=list)

    @property
    def inventory(self):
        return self.vsphere.inventory

    def vm(self, path):
        """The VM as the inventory holds it now, None while it holds none."""
        return self.inventory.vm_by_path(path_of(path))

    def cluster(self, name):
        return next(cluster for cluster in self.inventory.clusters() if cluster.name == name)

    @property
    def is_healthy(self):
        return isinstance(self.inventory.health, Healthy)

    async def until(self, check, what):
        return await eventually(lambda: check(self), what)


@contextlib.asynccontextmanager
async def following(
    sim, user=OPERATOR, *, password=None, ca=None, may_act=lambda: True, limit=8, healthy=True
):
    """Follow a simulator as one of its users until the block ends."""
    secret = SecretStr(password or PASSWORDS[user])
    told = []
    vsphere = PyVmomiVSphere(
        "berlin",
        Server("127.0.0.1", user, secret, sim.port, ca or sim.ca),
        may_act=may_act,
        on_change=lambda vms, clusters, health: told.append((vms, clusters, health)),
        now=utc_now,
        budget=Budget(limit),
        timing=HASTY,
    )
    follower = Follower(vsphere, told)
    vsphere.start()
    try:
        if healthy:
            await follower.until(lambda f: f.is_healthy, "a healthy inventory")
        yield follower
    finally:
        await vsphere.close()


def keep_credentials(kube: Kube, name: str, simulator: Simulator, **values: str) -> None:
    """Write the Secret that a VCenter names: the operator's at this simulator, with `values` in place of its own."""
    data = {"username": OPERATOR, "password": PASSWORDS[OPERATOR], "ca.crt": simulator.ca, **values}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
    kube.apply({**secret, "stringData": {"server": f"127.0.0.1:{simulator.port}", **data}})
