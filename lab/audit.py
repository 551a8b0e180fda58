"""What was asked of the API server, by whom, with what answer: read from the audit log, one entry per request."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from lab.errors import LabError
from lab.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.facts import Lab
    from lab.kube import Kube

MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One request and its answer."""

    verb: str
    group: str
    resource: str
    """Empty for what is no resource, such as /version."""
    subresource: str
    namespace: str
    name: str
    code: int
    user: str
    """Who it counts for: the impersonated user where there is one."""
    real_user: str
    agent: str
    at: datetime
    """When it was received."""

    @property
    def mutating(self) -> bool:
        """Whether it was meant to change something; a refused one counts too."""
        return self.verb in MUTATING

    @property
    def refused(self) -> bool:
        """Whether RBAC or a policy refused it."""
        return self.code in (401, 403, 422)


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log of one API server; it only grows, so a mark is an offset into it."""

    log: Path

    def mark(self) -> int:
        """Return the present end of the log, for `entries` to begin at later."""
        return self.log.stat().st_size if self.log.exists() else 0

    def entries(
        self, since: int = 0, *, user: str | None = None, resource: str | None = None
    ) -> Iterator[Entry]:
        """Yield the requests that ended after the mark `since`; a watch counts once, when it begins.

        Args:
            since: A mark; 0 is the beginning.
            user: Only what counts for this user, like "system:serviceaccount:managedvm-system:managedvm-operator".
            resource: Only this plural, like "managedvms".
        """
        with self.log.open("rb") as lines:
            lines.seek(since)
            for line in lines:
                if not line.endswith(b"\n"):
                    return  # the server is writing this one right now
                entry = parse(line)
                if entry is None or user not in (None, entry.user) or resource not in (None, entry.resource):
                    continue
                yield entry

    def settle(self, kube: Kube, *, seconds: float = 10) -> None:
        """Return when the log has caught up with every request answered before this call.

        The server writes an entry just after its answer: without this a reader may come a moment too early.

        Raises:
            DeadlineError: the log does not move.
        """
        mark = self.mark()
        name = f"audit-{uuid.uuid4()}"
        kube.run("get", "--raw", f"/api/v1/namespaces/default/configmaps/{name}", check=False)
        wait_until(
            lambda: any(entry.name == name for entry in self.entries(mark)), "the audit log", seconds=seconds
        )


def of(lab: Lab) -> Audit:
    """Return the audit log of a lab.

    Raises:
        LabError: the cluster is the user's own, whose audit log is not ours to read.
    """
    if not lab.own_control_plane:
        raise LabError("only the lab's own control plane has an audit log here")
    return Audit(lab.audit_log)


def parse(line: bytes) -> Entry | None:
    """Return the entry of one line; None for a line that tells of a request a second time.

    A watch is told when it begins (ResponseStarted) and when it ends; its end is left out, for it may not have come.
    """
    event: dict[str, Any] = orjson.loads(line)
    if (event["stage"] == "ResponseStarted") != (event["verb"] == "watch"):
        return None
    asked = event.get("objectRef", {})
    real_user = event["user"].get("username", "")
    return Entry(
        verb=event["verb"],
        group=asked.get("apiGroup", ""),
        resource=asked.get("resource", ""),
        subresource=asked.get("subresource", ""),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        user=event.get("impersonatedUser", {}).get("username", real_user),
        real_user=real_user,
        agent=event.get("userAgent", ""),
        at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
    )
