"""What the store says about Kubernetes objects: names, versions and what a change touched. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Object = dict[str, Any]
"""A Kubernetes object as parsed JSON; nobody has validated it yet."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class MalformedObjectError(ValueError):
    """The API server never sends such an object: no kind, name, UID or a resourceVersion that is no number."""


class ObjectKey(NamedTuple):
    """How people name an object; the namespace of a cluster-wide object is the empty string."""

    kind: str
    namespace: str
    name: str


class Listed(NamedTuple):
    """One line of a metadata-only list."""

    uid: str
    namespace: str
    name: str
    resource_version: str


class What(StrEnum):
    """The weightiest part that a change touched, so that the wiring can choose a lane."""

    CREATED = "Created"
    """Not held before, or re-created under its old name with a new UID."""
    SPEC = "Spec"
    """The wish changed: a new generation, a deletion asked for, or data of a kind without a spec."""
    METADATA = "Metadata"
    """Only labels, annotations, finalizers or owners changed."""
    STATUS = "Status"
    """Only the status changed."""
    GONE = "Gone"
    """Deleted; nothing of it is held any more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object changed in a way that somebody may have to look at."""

    key: ObjectKey
    uid: str
    what: What


@dataclass(frozen=True, slots=True)
class Diff:
    """What a complete list says that the watch did not: `gone` is dropped already, the rest must be fetched."""

    gone: tuple[Change, ...]
    missing_or_stale: tuple[Listed, ...]


def version_number(resource_version: object) -> int:
    """Return the resourceVersion as a number.

    Kubernetes promises since 1.35 that the versions of one resource compare as decimal numbers of any
    length. Everything here that orders events stands on that promise.

    Raises:
        MalformedObjectError: it is no decimal number.
    """
    if isinstance(resource_version, str) and resource_version.isascii() and resource_version.isdigit():
        return int(resource_version)
    raise MalformedObjectError(f"a resourceVersion must be a decimal number, got {resource_version!r}")


def trimmed(obj: Mapping[str, Any]) -> Object:
    """Return a copy without what only other tools read: managedFields and kubectl's last-applied annotation.

    These two often weigh more than the object itself. The given object is left as it is.
    """
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    annotations = metadata.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        metadata["annotations"] = {
            name: value for name, value in annotations.items() if name != _LAST_APPLIED
        }
    return {**obj, "metadata": metadata}


def difference(old: Object, new: Object) -> What | None:
    """Return the weightiest part in which two trimmed versions of one object differ, or None if in none."""
    old_metadata, new_metadata = old["metadata"], new["metadata"]
    for name in ("generation", "deletionTimestamp"):
        if old_metadata.get(name) != new_metadata.get(name):
            return What.SPEC
    if _without(old, "metadata", "status") != _without(new, "metadata", "status"):
        return What.SPEC  # kinds such as Secret and Namespace count no generations
    if _without(old_metadata, "resourceVersion") != _without(new_metadata, "resourceVersion"):
        return What.METADATA
    return What.STATUS if old.get("status") != new.get("status") else None


def _without(mapping: Object, *names: str) -> Object:
    return {name: value for name, value in mapping.items() if name not in names}
