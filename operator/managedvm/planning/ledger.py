"""What a record says, in one canonical form, and its digest: the same in every process, version and order of fields.

Only what never changes once a month is closed has a part in it, and of that all that decides about a bill. Times are UTC, fields
at their default are left out (so a new field with a default changes no digest), and nothing depends on how a library prints a
value.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from managedvm.api.base import APPLIED_BY, Resource
from managedvm.api.statement import SealedRecord, Statement
from managedvm.planning.wallclock import as_utc

WRITTEN_ONCE: Mapping[str, tuple[str, ...]] = {
    "ChangeRequest": ("assessment", "authority", "release"),
    "WorkEntry": ("charge",),
    "Outage": ("end", "excluded", "ranOn"),
}
"""The fields of a status that are written once and belong to what the record says.

A request is covered only when they are final: one that is held is not, until it is released or ends.
"""

FINAL_CONDITIONS: Mapping[str, str] = {"WorkEntry": "Accepted"}
"""The condition that is final when a record is covered, and belongs to what it says."""


class RecordKey(NamedTuple):
    """Which record; sorts by kind, namespace and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def key_of(record: Resource | SealedRecord) -> RecordKey:
    """Return which record this is, or is sealed here."""
    if isinstance(record, SealedRecord):
        return RecordKey(record.kind, record.namespace, record.name)
    return RecordKey(record.KIND.kind, record.metadata.namespace, record.metadata.name)


def digest(record: Resource) -> str:
    """Return the SHA-256 of what a record says, as 64 hexadecimal digits."""
    return _sha256(_content(record))


def sealed(record: Resource) -> SealedRecord:
    """Return how a statement names a record that it covers."""
    kind, namespace, name = key_of(record)
    return SealedRecord(kind=kind, namespace=namespace, name=name, digest=digest(record))


def hash_of(page: Statement) -> str:
    """Return the hash that a page of a statement must carry: of all that it says but the hash itself."""
    content = _content(page)
    content["spec"].pop("hash", None)
    # The API server writes down who closed and when, and then the hash is made already.
    for later in ("appliedBy", "createdAt"):
        content.pop(later, None)
    return _sha256(content)


def canonical(value: Any) -> str:
    """Return a value as JSON with sorted keys and no spaces; raises TypeError for what has no exact form."""
    return json.dumps(_exact(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _content(record: Resource) -> dict[str, Any]:
    said = record.model_dump(by_alias=True, exclude_defaults=True)
    status = said.get("status", {})
    content = {**key_of(record)._asdict(), "spec": said["spec"]}
    once = {name: status[name] for name in WRITTEN_ONCE.get(record.KIND.kind, ()) if name in status}
    verdict = FINAL_CONDITIONS.get(record.KIND.kind)
    told = [condition for condition in status.get("conditions", ()) if condition["type"] == verdict]
    if told:
        once["conditions"] = [
            {name: value for name, value in one.items() if name != "observedGeneration"} for one in told
        ]
    if once:
        content["status"] = once
    if record.metadata.creation_timestamp is not None:
        content["createdAt"] = record.metadata.creation_timestamp
    if APPLIED_BY in record.metadata.annotations:
        content["appliedBy"] = record.metadata.annotations[APPLIED_BY]
    return content


def _exact(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _exact(item) for key, item in value.items()}
        case list() | tuple():
            return [_exact(item) for item in value]
        case datetime():
            return as_utc(value).isoformat().replace("+00:00", "Z")
        case bool() | int() | str():
            return value
        case _:
            raise TypeError(f"{value!r} has no exact form")


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(content).encode()).hexdigest()
