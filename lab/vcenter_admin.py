"""The hand behind the vCenter: what happens to VMs and clusters there that no client asked for, and every fault."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.facts import Lab

_SECONDS = 60


class VCenterAdminError(LabError):
    """The simulator refused a wish; the message is its own."""


@dataclass(frozen=True, slots=True)
class VCenterAdmin:
    """The admin endpoint of a simulator; the names of `changes` are those of lab/vcenter/README.md."""

    url: str

    def vm(self, path: str, **changes: Any) -> Any:
        """Change a VM behind everybody's back, or look at it when nothing is to change; return its facts."""
        if changes:
            return self._call("POST", "/vm", {"path": path}, changes)
        return self._call("GET", "/vms", {"path": path})

    def vms(self) -> list[str]:
        """Return the paths of all VMs, like "kunde-a/web-01"."""
        return list(self._call("GET", "/vms")["paths"])

    def create_vm(self, **entry: Any) -> Any:
        """Create a VM from an entry as the inventory has them."""
        return self._call("POST", "/vm/create", None, entry)

    def delete_vm(self, path: str) -> None:
        """Destroy a VM."""
        self._call("DELETE", "/vm", {"path": path})

    def ha_restart(self, path: str, kind: str = "reset", **how: Any) -> Any:
        """Let vSphere HA restart a VM, with the events it would write."""
        return self._call("POST", "/vm/ha-restart", {"path": path}, {"kind": kind, **how})

    def ha_override(self, path: str, **settings: Any) -> Any:
        """Set a VM's own HA settings, or drop them by `remove=True`."""
        return self._call("POST", "/vm/ha-override", {"path": path}, settings)

    def cluster(self, name: str, **changes: Any) -> Any:
        """Change a cluster's HA settings."""
        return self._call("POST", "/cluster", {"name": name}, changes)

    def host(self, name: str, connection: str) -> None:
        """Let a host respond to vCenter or not: `connected`, `disconnected`, `notResponding`."""
        self._call("POST", "/host", {"name": name}, {"connection": connection})

    def fault(self, kind: str, **how: Any) -> Any:
        """Let calls fail from now on, as `kind` says."""
        return self._call("POST", "/fault", None, {"kind": kind, **how})

    def faults(self) -> Any:
        """Return the faults in force and how often each will still strike."""
        return self._call("GET", "/fault")

    def clear_faults(self) -> None:
        """End every fault."""
        self._call("DELETE", "/fault")

    def calls(self) -> Any:
        """Return the calls since the last reset: by method, by user, and every mutation."""
        return self._call("GET", "/calls")

    def reset_calls(self) -> None:
        """Count calls from zero again."""
        self._call("POST", "/calls/reset")

    def _call(self, method: str, path: str, query: dict[str, str] | None = None, body: Any = None) -> Any:
        url = self.url + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=content, method=method)  # noqa: S310 - our own daemon
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310 - as above
                answer = response.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                said = refusal.read().decode(errors="replace").strip()
            raise VCenterAdminError(f"{method} {path}: {refusal.code} {said}") from refusal
        return json.loads(answer) if answer.strip() else None


def of(lab: Lab) -> VCenterAdmin:
    """Return the admin endpoint of a lab's vCenter."""
    return VCenterAdmin(lab.vcenter_admin)
