"""Our operator as a child of the lab: under its shipped ServiceAccount, never as an administrator.

There is no kubelet here that would give it that account; were it started as admin, its RBAC would never be tried.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab import kube, processes
from lab.daemons import answers
from lab.errors import LabError
from lab.install import NAMESPACE
from lab.kubeconfig import current_cluster, with_token
from lab.lifecycle import free_ports
from lab.paths import ROOT
from lab.pki import write_private
from lab.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from lab.facts import Lab

ACCOUNT = "managedvm-operator"
_A_CENTURY = 100 * 366 * 24 * 3600
"""How far from the API server's clock one may be that lives on another day, in seconds."""

USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
# What a program needs of this machine to run at all; nothing else of the caller's shell reaches the operator.
_INHERITED = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Operator:
    """One replica: a place to run at, which a process may be killed at and started at again."""

    lab: Lab
    name: str
    kubeconfig: Path
    health_port: int
    webhook_port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    """More variables of its environment."""
    begin: datetime | None = None
    """When its clock begins, for one that lives on another day; its processes all begin then."""

    @property
    def log(self) -> Path:
        """The log of all its processes so far."""
        return self.lab.directory / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The pid of its process while it lives."""
        process = self.lab.process(self.name)
        return process.pid if process else None

    @property
    def alive(self) -> bool:
        """Whether its process lives."""
        return self.pid is not None

    def healthy(self) -> bool:
        """Say whether its health endpoint answers."""
        return answers(f"http://127.0.0.1:{self.health_port}/healthz")

    def start(self, *, seconds: float = 60) -> None:
        """Start its process and return when its health endpoint answers; an operator that lives is left alone.

        Raises:
            LabError: it ended, or is not healthy in time; the end of its log is in the message.
        """
        if not self.alive:
            elsewhen = ("lab.elsewhen", self.begin.isoformat()) if self.begin else ("managedvm",)
            argv = (sys.executable, "-m", *elsewhen, "run")
            processes.start(argv, env=self.environment(), log=self.log, pid_file=self.lab.pid_file(self.name))

        def healthy_or_died() -> bool:
            if not self.alive:
                raise LabError(f"{self.name} ended:\n{processes.tail(self.log)}")
            return self.healthy()

        wait_until(healthy_or_died, f"{self.name} to be healthy, see {self.log}", seconds=seconds)

    def stop(self, *, grace: float = 30) -> bool:
        """End its process by SIGTERM, as a kubelet does; return whether it lived."""
        return processes.stop(self.lab.pid_file(self.name), grace=grace)

    def kill(self) -> bool:
        """End its process by SIGKILL, as a power cut does; return whether it lived."""
        return processes.kill(self.lab.pid_file(self.name))

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def freeze(self) -> bool:
        """Halt its process (SIGSTOP), as a paused machine does; return whether it lived."""
        return processes.send(self.lab.pid_file(self.name), signal.SIGSTOP)

    def thaw(self) -> bool:
        """Let a halted process go on; return whether it lived."""
        return processes.send(self.lab.pid_file(self.name), signal.SIGCONT)

    def environment(self) -> dict[str, str]:
        """Return the whole environment of its process."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = {
            "HOME": str(self.lab.directory),
            "KUBECONFIG": str(self.kubeconfig),
            "MANAGEDVM_HEALTH_PORT": str(self.health_port),
            "MANAGEDVM_WEBHOOK_PORT": str(self.webhook_port),
            "MANAGEDVM_NAMESPACE": NAMESPACE,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), *([str(ROOT)] if self.begin else [])]),
            "POD_NAME": self.name,
        }
        return {**inherited, **own, **self.settings}


def replica(
    lab: Lab,
    number: int = 1,
    settings: Mapping[str, str] | None = None,
    *,
    through: str | None = None,
    begin: datetime | None = None,
) -> Operator:
    """Return the operator's replica `number`, not started, with a token of its own for a day.

    `through` is the URL at which it finds the API server, for one that stands behind a proxy; `begin` is the instant
    at which its clock begins, for one that lives on another day.

    Raises:
        KubectlError: the product is not installed: there is no such service account.
    """
    name = f"operator-{number}"
    token = kube.admin(lab).token(ACCOUNT, namespace=NAMESPACE)
    path = lab.directory / f"{name}.kubeconfig"
    cluster = current_cluster(lab.kubeconfig) | ({"server": through} if through else {})
    write_private(path, with_token(cluster, token, user=ACCOUNT).encode())
    another_day = {"MANAGEDVM_CLOCK_TOLERANCE_SECONDS": str(_A_CENTURY)} if begin else {}
    return Operator(lab, name, path, *_ports(lab, name), {**another_day, **(settings or {})}, begin)


def _ports(lab: Lab, name: str) -> tuple[int, int]:
    """Return the ports a replica has for as long as its lab lives: whoever asks again asks the same process."""
    remembered = lab.directory / f"{name}.ports"
    if not remembered.exists():
        remembered.write_text(" ".join(map(str, free_ports(2))))
    health, webhook = map(int, remembered.read_text().split())
    return health, webhook
