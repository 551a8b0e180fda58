"""What passes the fault proxy, told from its bytes: which requests change something, and whom they are about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

KUBERNETES, VSPHERE = "kubernetes", "vsphere"

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Whether a replica lives, and what it tells people, is no part of what it does.
_APART = frozenset({"leases", "events"})
_ORDERS_WITHOUT_TASK = frozenset({"ShutdownGuest", "RebootGuest", "StandbyGuest", "StartProgramInGuest"})

_METHOD = re.compile(rb"<(?:[\w-]+:)?Body>\s*<(?:[\w-]+:)?(\w+)")
_TARGET = re.compile(rb"<(?:[\w-]+:)?_this[^>]*>([^<]+)<")
_OVERRIDDEN = re.compile(rb"<(?:[\w-]+:)?key [^>]*VirtualMachine[^>]*>([^<]+)<")


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came in at a door of the proxy.

    `number` counts the requests that change something, over all doors and from 1; it is 0 for all others. `what` is
    "POST changerequests", "PATCH managedvms/status", "ReconfigVM_Task". `about` is the ManagedVM that it is for,
    "namespace/name", as far as the proxy can know; else the object that it names. `session` is what the caller is
    known by: the cookie at a vCenter, nothing at an API server, where each replica has a door of its own.
    """

    number: int
    at: float
    """Seconds of the monotonic clock."""
    door: str
    what: str
    about: str
    session: str = ""
    is_watch: bool = False

    @property
    def changes(self) -> bool:
        """Whether it is meant to change something."""
        return self.number > 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What a request is, before it has a number."""

    what: str
    about: str
    changes: bool
    is_watch: bool = False


class Reader:
    """Tells what requests are. It remembers which record and which VM belong to which ManagedVM."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def know(self, thing: str, owner: str) -> None:
        """Learn that a managed object or a cluster-wide name belongs to a ManagedVM ("namespace/name")."""
        self._owners[thing] = owner

    def read(self, protocol: str, method: str, path: str, body: bytes) -> Kind:
        """Return what a request is; `path` may have a query."""
        if protocol == VSPHERE:
            return self._soap(body)
        return self._rest(method, path, body)

    def _soap(self, body: bytes) -> Kind:
        found, target = _METHOD.search(body), _TARGET.search(body)
        if found is None:
            return Kind("", "", changes=False)
        what = found.group(1).decode()
        changes = what.endswith("_Task") or what in _ORDERS_WITHOUT_TASK
        # An override is set at the cluster, and its key says for which VM.
        target = (_OVERRIDDEN.search(body) if what == "ReconfigureComputeResource_Task" else None) or target
        about = target.group(1).decode() if target else ""
        return Kind(what, self._owners.get(about, about), changes=changes)

    def _rest(self, method: str, path: str, body: bytes) -> Kind:
        split = urlsplit(path)
        namespace, plural, name, subresource = _place(split.path)
        what = f"{method} {plural}{f'/{subresource}' if subresource else ''}"
        is_watch = method == "GET" and parse_qs(split.query).get("watch", [""])[0] in ("1", "true")
        changes = method in _CHANGING and plural not in _APART
        key = f"{namespace}/{name}" if namespace else name
        if changes and method == "POST":
            content = orjson.loads(body)
            made, owner = content["metadata"]["name"], self._owner(namespace, content)
            self.know(f"{namespace}/{made}" if namespace else made, owner)
            return Kind(what, owner, changes=True)
        owner = key if plural == "managedvms" else self._owners.get(key, key)
        return Kind(what, owner, changes=changes, is_watch=is_watch)

    def _owner(self, namespace: str, content: dict[str, Any]) -> str:
        """Return the ManagedVM that a new record or claim is for; its own name where it is for none."""
        match content.get("spec"):
            case {"managedVMRef": {"name": vm}}:
                return f"{namespace}/{vm}"
            case {"changeRequestRef": {"name": request}}:
                return self._owners.get(f"{namespace}/{request}", f"{namespace}/{request}")
            case {"owner": {"namespace": home, "name": vm}}:
                return f"{home}/{vm}"
            case _:
                return f"{namespace}/{content['metadata']['name']}"


def _place(path: str) -> tuple[str, str, str, str]:
    """Return namespace, plural, name and subresource of a path of the API server; empty where it has none."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:  # noqa: PLR2004 - a Namespace itself has no more than its name
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "", "")[:3]
    return namespace, plural, name, subresource
