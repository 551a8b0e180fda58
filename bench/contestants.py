"""Who is measured: each is started, killed and stopped in the same way, and says how many VMs it has evaluated."""

from __future__ import annotations

import os
import re
import sys
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bench.world import PEERS
from lab import kube, operator, processes
from lab.errors import LabError
from lab.install import NAMESPACE
from lab.kubeconfig import current_cluster, with_token
from lab.pki import write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.facts import Lab

DRIFT_SECONDS = 60
"""How often each VM is looked at although nothing seems to have changed: the same for all."""

_SCRAPE_SECONDS = 30
_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_RESUMED = re.compile(rb"\[([^\]\s]+/[^\]\s]+)\] Handler 'reconcile' succeeded")


class Contestant(Protocol):
    """One operator in one lab."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def user(self) -> str:
        """Who it is in the audit log."""

    @property
    def pid(self) -> int:
        """Its process; LabError when it does not live."""

    def start(self) -> None:
        """Start its process; it need not be ready when this returns."""

    def kill(self) -> None:
        """SIGKILL."""

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""

    def evaluated(self) -> int:
        """Return how many VMs this process has evaluated, each counted once."""


@dataclass(frozen=True, slots=True)
class Ours:
    """The operator of this project, one replica, under its shipped ServiceAccount."""

    replica: operator.Operator
    name: str = "managedvm"
    user: str = operator.USER

    @property
    def pid(self) -> int:
        """Its process."""
        return _alive(self.replica.pid, self.name)

    def start(self) -> None:
        """Start its process."""
        argv = (sys.executable, "-m", "managedvm", "run")
        pid_file = self.replica.lab.pid_file(self.replica.name)
        processes.start(argv, env=self.replica.environment(), log=self.replica.log, pid_file=pid_file)

    def kill(self) -> None:
        """SIGKILL."""
        self.replica.kill()

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        self.replica.stop()

    def evaluated(self) -> int:
        """Return for how many VMs the latest pass has said whether the VM was found."""
        wanted = {'kind="ManagedVM"', 'aspect="VMFound"'}
        return int(self.metric("managedvm_findings", lambda labels: wanted <= labels))

    def metric(self, name: str, matches: Callable[[set[str]], bool] = lambda _: True) -> float:
        """Return the sum of a metric over the label sets that match; 0 while it does not answer."""
        url = f"http://127.0.0.1:{self.replica.health_port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=_SCRAPE_SECONDS) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        return sum(
            float(sample["value"])
            for sample in _SAMPLE.finditer(text)
            if sample["name"] == name and matches(set((sample["labels"] or "").split(",")))
        )

    def is_ready(self) -> bool:
        """Say whether it knows the world; a standby does too."""
        url = f"http://127.0.0.1:{self.replica.health_port}/readyz"
        try:
            with urllib.request.urlopen(url, timeout=_SCRAPE_SECONDS) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
        except OSError:
            return False

    def is_active(self) -> bool:
        """Say whether it holds the Lease."""
        return self.metric("managedvm_active") > 0


@dataclass(slots=True)
class Peer:
    """A kopf operator of `bench/peers`, run as kopf's documentation says, under an account of its own."""

    world: Lab
    kubeconfig: Path
    name: str = "idiomatic kopf"
    user: str = f"system:serviceaccount:{NAMESPACE}:idiomatic-peer"
    _read_to: int = 0
    _resumed: set[bytes] = field(default_factory=set)

    @property
    def pid(self) -> int:
        """Its process."""
        process = self.world.process("peer")
        return _alive(process.pid if process else None, self.name)

    @property
    def log(self) -> Path:
        """The log of all its processes."""
        return self.world.directory / "peer.log"

    def start(self) -> None:
        """Start its process."""
        self._read_to, self._resumed = (self.log.stat().st_size if self.log.exists() else 0), set()
        argv = [sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces"]
        argv.append(str(PEERS / "idiomatic.py"))
        pid_file = self.world.pid_file("peer")
        processes.start(argv, env=self._environment(), log=self.log, pid_file=pid_file)

    def kill(self) -> None:
        """SIGKILL."""
        processes.kill(self.world.pid_file("peer"))

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        processes.stop(self.world.pid_file("peer"), grace=30)

    def evaluated(self) -> int:
        """Return for how many VMs its handler has succeeded, as its log says: kopf writes a line for each."""
        with self.log.open("rb") as log:
            log.seek(self._read_to)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read_to += len(line)
                if found := _RESUMED.search(line):
                    self._resumed.add(found[1])
        return len(self._resumed)

    def _environment(self) -> dict[str, str]:
        world = self.world
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(world.directory),
            "KUBECONFIG": str(self.kubeconfig),
            "BENCH_DRIFT_SECONDS": str(DRIFT_SECONDS),
            "BENCH_VCENTER_HOST": "127.0.0.1",
            "BENCH_VCENTER_PORT": str(world.ports["vcenter"]),
            "BENCH_VCENTER_USERNAME": world.vcenter_username,
            "BENCH_VCENTER_PASSWORD": world.vcenter_password,
            "BENCH_VCENTER_CA": str(world.vcenter_ca),
        }


def ours(world: Lab) -> Ours:
    """Return our operator in a lab, not started."""
    return replica(world, 1)


def replica(world: Lab, number: int) -> Ours:
    """Return the replica of a number of our operator, not started."""
    settings = {"MANAGEDVM_RESYNC_SECONDS": str(DRIFT_SECONDS)}
    return Ours(operator.replica(world, number, settings))


def idiomatic(world: Lab) -> Peer:
    """Return the idiomatic peer in a lab, not started."""
    admin = kube.admin(world)
    admin.apply(PEERS / "account.yaml")
    path = world.directory / "peer.kubeconfig"
    token = admin.token("idiomatic-peer", namespace=NAMESPACE)
    write_private(path, with_token(current_cluster(world.kubeconfig), token, user="idiomatic-peer").encode())
    return Peer(world, path)


CONTESTANTS: dict[str, Callable[[Lab], Contestant]] = {"managedvm": ours, "idiomatic": idiomatic}


def _alive(pid: int | None, name: str) -> int:
    if pid is None:
        raise LabError(f"{name} does not run")
    return pid
