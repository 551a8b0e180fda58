"""What the cluster says, held compactly: a UID never goes back in time and never comes back from the dead."""

from __future__ import annotations

import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from managedvm.engine.objects import (
    Change,
    Diff,
    Listed,
    MalformedObjectError,
    Object,
    ObjectKey,
    What,
    difference,
    trimmed,
    version_number,
)

_COMPRESSION = 3
"""Of zlib's levels the quickest for objects of a few kB."""

Index = Callable[[Object], Iterable[Hashable]]
"""Returns the values under which an object is found; it must not raise on an object its CRD admits."""


class StaleListError(Exception):
    """A list is older than what was known before it was asked for; nothing may be concluded from it.

    An API server that lags behind answers so once. A cluster restored from a backup does so for ever: then
    what is held is from a future that no longer exists, and only a restart with an empty store helps.
    """


@dataclass(frozen=True, slots=True)
class _Held:
    key: ObjectKey
    uid: str
    version: int
    body: bytes
    indexed: tuple[tuple[str, Hashable], ...]


class Store:
    """The newest known version of every watched object, by kind and UID.

    Kinds are told apart by their name alone, so two API groups must not share one here. A kind must be
    watched without a label selector: with one, a DELETED event may only mean that a label went away. The
    store belongs to the event loop: no method awaits, and none may be called from another thread. What it
    returns is parsed afresh, so that nobody can change what is held.
    """

    def __init__(self, indexes: Mapping[str, Mapping[str, Index]] | None = None) -> None:
        """Take the index functions by kind and index name: `{"ChangeRequest": {"vm": vm_of_request}}`."""
        self._indexes = {kind: dict(named) for kind, named in (indexes or {}).items()}
        self._held: dict[str, dict[str, _Held]] = defaultdict(dict)
        self._uids: dict[ObjectKey, str] = {}
        self._namespaces: dict[tuple[str, str], dict[str, None]] = {}
        self._values: dict[tuple[str, str, Hashable], dict[str, None]] = {}
        self._newest: dict[str, int] = defaultdict(int)
        self._editions: dict[str, Counter[str]] = defaultdict(Counter)
        self._buried: dict[str, set[str]] = defaultdict(set)
        self._buried_long_ago: dict[str, set[str]] = defaultdict(set)

    def put(self, obj: Mapping[str, Any]) -> Change | None:
        """Hold this object and return what changed, or None when it says nothing new.

        Nothing new are: a version that is not newer than the one held, a UID that was deleted, a late event
        of an earlier object of the same name, and a version in which only bookkeeping differs (which is held
        all the same). A new UID under a known name replaces the old object and is `What.CREATED`.

        Raises:
            MalformedObjectError: it has no kind, name, UID or usable resourceVersion; nothing is held.
        """
        key, uid, version = _identity(obj)
        if self._is_buried(key.kind, uid):
            return None
        held = self._by_key(key)
        if held and version <= held.version:
            return None
        body = trimmed(obj)
        fresh = _Held(key, uid, version, _packed(body), self._index_entries(key.kind, body))
        what: What | None = What.CREATED
        if held:
            if held.uid == uid:
                what = difference(_unpacked(held.body), body)
            else:
                self._buried[key.kind].add(held.uid)
            self._forget(held)
        self._remember(fresh)
        return Change(fresh.key, uid, what) if what else None

    def drop(self, kind: str, uid: str) -> Change | None:
        """Forget a deleted object; returns its `What.GONE`, or None if it was not held.

        The UID stays buried over the next two lists of its kind, because an answer that was on its way
        when the object died would otherwise bring it back.
        """
        held = self._held[kind].get(uid)
        self._buried[kind].add(uid)
        if held is None:
            return None
        self._forget(held)
        return Change(held.key, uid, What.GONE)

    def replace(
        self, kind: str, listed: Iterable[Listed], resource_version: str, not_before: int = 0
    ) -> Diff:
        """Compare with a complete list of the kind, drop what is gone and say what must be fetched.

        `resource_version` is the list's own: the list shows the cluster exactly as it was then. So an object
        that is held but not listed is gone if its version is not newer than the list, and was created or
        changed after the list if it is. That comparison is the whole guard; no time of grace is guessed.
        `not_before` is what `newest` returned before the list was asked for.

        Raises:
            StaleListError: the list is older than `not_before`; nothing was changed.
            MalformedObjectError: a resourceVersion is no number; nothing was changed.
        """
        as_of = version_number(resource_version)
        if as_of < not_before:
            raise StaleListError(
                f"{kind}: the list is of version {as_of}, version {not_before} was known before"
            )
        lines = list(listed)
        missing_or_stale = self.lacking(kind, lines)
        alive = {line.uid for line in lines}
        held = self._held[kind].items()
        gone = [uid for uid, each in held if uid not in alive and each.version <= as_of]
        self._buried_long_ago[kind] = self._buried.pop(kind, set())
        changes = [self.drop(kind, uid) for uid in gone]
        return Diff(tuple(change for change in changes if change), missing_or_stale)

    def lacking(self, kind: str, listed: Iterable[Listed]) -> tuple[Listed, ...]:
        """Return the listed objects that are held in an older version or not at all, and were not deleted since.

        Raises:
            MalformedObjectError: a resourceVersion is no number.
        """
        held = self._held[kind]
        return tuple(
            line
            for line in listed
            if (line.uid not in held or held[line.uid].version < version_number(line.resource_version))
            and not self._is_buried(kind, line.uid)
        )

    def newest(self, kind: str) -> int:
        """Return the highest resourceVersion ever held of this kind, 0 before the first."""
        return self._newest[kind]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the object of this name, or None if none is known."""
        held = self._by_key(ObjectKey(kind, namespace, name))
        return _unpacked(held.body) if held else None

    def version(self, kind: str, namespace: str, name: str) -> int | None:
        """Return the resourceVersion of the object of this name without parsing it, or None if none is known."""
        held = self._by_key(ObjectKey(kind, namespace, name))
        return held.version if held else None

    def get_by_uid(self, kind: str, uid: str) -> Object | None:
        """Return the object of this UID, or None if none is known."""
        held = self._held[kind].get(uid)
        return _unpacked(held.body) if held else None

    def edition(self, namespace: str, *, but: Collection[str] = ()) -> int:
        """Return a number that grows with each version taken in and each object dropped there; "" is for cluster kinds.

        Kinds in `but` do not count.
        """
        return sum(count for kind, count in self._editions[namespace].items() if kind not in but)

    def versions(self, kind: str, index: str, value: Hashable) -> tuple[int, ...]:
        """Return the resourceVersions of the objects that the index function put under this value, without parsing one.

        Raises:
            KeyError: no such index was registered.
        """
        return tuple(self._held[kind][uid].version for uid in self._under(kind, index, value))

    def count(self, kind: str) -> int:
        """Return how many objects of this kind are held."""
        return len(self._held[kind])

    def keys(self, kind: str) -> list[ObjectKey]:
        """Return the names of all objects of this kind, sorted, without parsing one."""
        return sorted(held.key for held in self._held[kind].values())

    def all(self, kind: str) -> Iterator[Object]:
        """Yield all objects of this kind as they are when the iteration starts."""
        return self._parsed(kind, self._held[kind])

    def in_namespace(self, kind: str, namespace: str) -> Iterator[Object]:
        """Yield all objects of this kind in the namespace as they are when the iteration starts."""
        return self._parsed(kind, self._namespaces.get((kind, namespace), {}))

    def by_index(self, kind: str, index: str, value: Hashable) -> Iterator[Object]:
        """Yield the objects that the index function put under this value.

        Raises:
            KeyError: no such index was registered.
        """
        return self._parsed(kind, self._under(kind, index, value))

    def _under(self, kind: str, index: str, value: Hashable) -> Iterable[str]:
        """Return the UIDs of the objects under a value of an index."""
        if index not in self._indexes.get(kind, {}):
            raise KeyError(f"no index {index!r} is registered for {kind}")
        return self._values.get((kind, index, value), {})

    def _parsed(self, kind: str, uids: Iterable[str]) -> Iterator[Object]:
        bodies = [self._held[kind][uid].body for uid in uids]
        return (_unpacked(body) for body in bodies)

    def _by_key(self, key: ObjectKey) -> _Held | None:
        uid = self._uids.get(key)
        return None if uid is None else self._held[key.kind][uid]

    def _is_buried(self, kind: str, uid: str) -> bool:
        return uid in self._buried[kind] or uid in self._buried_long_ago[kind]

    def _index_entries(self, kind: str, body: Object) -> tuple[tuple[str, Hashable], ...]:
        named = self._indexes.get(kind, {})
        return tuple((name, value) for name, index in named.items() for value in dict.fromkeys(index(body)))

    def _remember(self, held: _Held) -> None:
        kind, namespace, _ = held.key
        self._held[kind][held.uid] = held
        self._uids[held.key] = held.uid
        self._namespaces.setdefault((kind, namespace), {})[held.uid] = None
        for name, value in held.indexed:
            self._values.setdefault((kind, name, value), {})[held.uid] = None
        self._newest[kind] = max(self._newest[kind], held.version)
        self._editions[namespace][kind] += 1

    def _forget(self, held: _Held) -> None:
        kind, namespace, _ = held.key
        del self._held[kind][held.uid]
        del self._uids[held.key]
        self._editions[namespace][kind] += 1
        _discard(self._namespaces, (kind, namespace), held.uid)
        for name, value in held.indexed:
            _discard(self._values, (kind, name, value), held.uid)


def _packed(body: Object) -> bytes:
    """Return the object as compressed JSON: a third of its size, for a third more time than reading it takes anyway."""
    return zlib.compress(orjson.dumps(body), _COMPRESSION)


def _unpacked(body: bytes) -> Object:
    unpacked: Object = orjson.loads(zlib.decompress(body))
    return unpacked


def _identity(obj: Mapping[str, Any]) -> tuple[ObjectKey, str, int]:
    try:
        metadata = obj["metadata"]
        kind, name, uid = obj["kind"], metadata["name"], metadata["uid"]
        version = version_number(metadata["resourceVersion"])
    except (KeyError, TypeError) as error:
        raise MalformedObjectError(f"not a Kubernetes object: {error!r} is missing") from error
    return ObjectKey(sys.intern(kind), sys.intern(metadata.get("namespace") or ""), name), uid, version


def _discard(groups: dict[Any, dict[str, None]], group: Hashable, uid: str) -> None:
    """Take one UID out of its group, and an empty group out of the table: groups come and go with tenants."""
    members = groups[group]
    del members[uid]
    if not members:
        del groups[group]
