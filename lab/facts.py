"""What there is to know about one lab: fixed when it is made, kept in `lab.json`, read by everybody."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.pki import write_private
from lab.processes import running as process_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.processes import Identity

OPERATOR_USER = "operator@vsphere.local"
READONLY_USER = "readonly@vsphere.local"
ADMINISTRATOR_USER = "administrator@vsphere.local"
VCENTER_USERS = (ADMINISTRATOR_USER, OPERATOR_USER, READONLY_USER)
GUEST_USER = "root"
VCENTER = "vcenter"
CONTROL_PLANE = ("etcd", "apiserver", "controller-manager")


@dataclass(frozen=True, slots=True)
class Lab:
    """One world: where it lies, where it listens, and the passwords that were made for it."""

    directory: Path
    binaries: Path
    """The directory with the control plane's programs."""
    context: str
    """The kubeconfig's context."""
    daemons: tuple[str, ...]
    """The processes this lab consists of; the control plane is not among them when the cluster is the user's."""
    ports: Mapping[str, int]
    passwords: Mapping[str, str] = field(repr=False)
    """The vCenter's users and their passwords, and that of `GUEST_USER` in every guest."""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def kubectl(self) -> Path:
        """The kubectl of the control plane's version."""
        return self.binaries / "kubectl"

    @property
    def env_file(self) -> Path:
        """The file of export lines for a shell."""
        return self.directory / "env"

    @property
    def logs(self) -> Path:
        """The directory with one log per daemon."""
        return self.directory / "logs"

    @property
    def own_control_plane(self) -> bool:
        """Whether the API server is the lab's own, and not a cluster the user named."""
        return "apiserver" in self.daemons

    @property
    def audit_log(self) -> Path:
        """The API server's audit log; only the lab's own control plane writes it."""
        return self.logs / "audit.log"

    @property
    def api_url(self) -> str:
        """The lab's own API server."""
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    @property
    def vcenter_url(self) -> str:
        """The vCenter's SOAP endpoint."""
        return f"https://127.0.0.1:{self.ports['vcenter']}/sdk"

    @property
    def vcenter_admin(self) -> str:
        """The simulator's admin endpoint, which no real vCenter has."""
        return f"http://127.0.0.1:{self.ports['vcenter-admin']}"

    @property
    def vcenter_ca(self) -> Path:
        """The authority that signed the vCenter's certificate."""
        return self.certificates("vcenter") / "ca.crt"

    @property
    def vcenter_username(self) -> str:
        """The vCenter user that the operator is."""
        return OPERATOR_USER

    @property
    def vcenter_password(self) -> str:
        """The password of `vcenter_username`."""
        return self.passwords[OPERATOR_USER]

    @property
    def guest_password(self) -> str:
        """The password of `GUEST_USER` in every guest whose inventory entry names none."""
        return self.passwords[GUEST_USER]

    def certificates(self, purpose: str) -> Path:
        """Return the directory of one authority: "kubernetes", "etcd" or "vcenter"."""
        return self.directory / "certificates" / purpose

    def log(self, daemon: str) -> Path:
        """Return the log of a daemon."""
        return self.logs / f"{daemon}.log"

    def pid_file(self, daemon: str) -> Path:
        """Return the pid file of a daemon."""
        return self.directory / "pids" / f"{daemon}.pid"

    def process(self, daemon: str) -> Identity | None:
        """Return a daemon's process while it lives."""
        return process_of(self.pid_file(daemon))

    def environment(self) -> dict[str, str]:
        """Return the variables by which a program finds this lab."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECTL": str(self.kubectl),
            "VCENTER_URL": self.vcenter_url,
            "VCENTER_USERNAME": self.vcenter_username,
            "VCENTER_PASSWORD": self.vcenter_password,
            "VCENTER_CA": str(self.vcenter_ca),
            "VCENTER_ADMIN": self.vcenter_admin,
        }

    def env_lines(self) -> str:
        """Return the export lines of `env_file`; the lab's kubectl comes first on PATH."""
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment().items()]
        return "\n".join([*lines, f'export PATH={shlex.quote(str(self.binaries))}:"$PATH"', ""])


def save(lab: Lab) -> None:
    """Write what `load` reads, readable by its owner alone."""
    facts = {
        "binaries": str(lab.binaries),
        "context": lab.context,
        "daemons": lab.daemons,
        "ports": dict(lab.ports),
        "passwords": dict(lab.passwords),
    }
    write_private(_file(lab.directory), json.dumps(facts, indent=1).encode())


def load(directory: Path) -> Lab | None:
    """Return the lab that was made in `directory`, None when there is none; whether it runs is not asked."""
    try:
        facts = json.loads(_file(directory).read_bytes())
    except FileNotFoundError:
        return None
    return Lab(
        directory=directory,
        binaries=Path(facts["binaries"]),
        context=facts["context"],
        daemons=tuple(facts["daemons"]),
        ports=facts["ports"],
        passwords=facts["passwords"],
    )


def _file(directory: Path) -> Path:
    return directory / "lab.json"
