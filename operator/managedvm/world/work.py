"""What decides about a WorkEntry, read from what is held in memory: its request, its counter-entry, the person's other work."""

from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from typing import Any

from managedvm.api.changerequest import ChangeRequest
from managedvm.api.customercontacts import Requester
from managedvm.api.workentry import WorkEntry
from managedvm.engine.store import Store
from managedvm.planning.decisions import Decisions, counted
from managedvm.planning.money import PriceBook
from managedvm.planning.names import reversal_names
from managedvm.planning.records import OPERATOR
from managedvm.planning.work import ObservedWork, days_of, is_taken_back
from managedvm.world.records import decisions_about

UNSETTLED = "unsettled"
"""Under this the index of states holds what is still to be accepted."""


def person_days(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return under what an entry of a person is found that may touch the same time: the person, and each day of it."""
    spec = body["spec"]
    if spec["performedBy"] == OPERATOR or "reverses" in spec:
        return ()
    begin = datetime.fromisoformat(spec["begin"])
    until = datetime.fromisoformat(spec["end"]) if "end" in spec else begin
    return days_of(spec["performedBy"], begin, until + timedelta(minutes=spec.get("minutes", 0)))


def is_settled(body: dict[str, Any]) -> bool:
    """Return whether an entry is accepted and priced, so that nothing about it is decided any more."""
    return "charge" in body["spec"] or "charge" in (body.get("status") or {})


def state(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return under what the entries are found that are still to be accepted; the others are too many to be asked for."""
    return () if is_settled(body) else (UNSETTLED,)


def request_of(store: Store, entry: WorkEntry) -> ChangeRequest | None:
    """Return the request that was worked on, None if it is not there."""
    body = store.get("ChangeRequest", entry.metadata.namespace, entry.spec.change_request_ref.name)
    return ChangeRequest.of(body) if body else None


def observed_work(
    store: Store,
    entry: WorkEntry,
    request: ChangeRequest | None,
    requesters: tuple[Requester, ...],
    prices: PriceBook | None,
    *,
    missing_policies: tuple[str, ...],
    awaits_ticket: bool,
) -> ObservedWork:
    """Return all that decides about one entry; `requesters` are those who count in its namespace."""
    namespace, reverses = entry.metadata.namespace, entry.spec.reverses
    original = _entry(store, namespace, reverses.name) if reverses else None
    return ObservedWork(
        request=request,
        prices=prices,
        decisions=_decided(store, request, requesters) if request is not None else Decisions(),
        others=_others(store, entry) if reverses is None else (),
        reversal=_reversal(store, entry if original is None else original),
        original=original,
        missing_policies=missing_policies,
        awaits_ticket=awaits_ticket,
    )


def rivals(store: Store, body: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield the entries that a change of this one may decide anew: of the same person and days, and its counterpart."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    reverses = body["spec"].get("reverses")
    named = reverses["name"] if reverses else name
    counters = (store.get("WorkEntry", namespace, counter) for counter in reversal_names(named))
    yield from (counter for counter in counters if counter is not None)
    other = store.get("WorkEntry", namespace, named) if reverses else None
    if other is not None:
        yield other
    for key in person_days(other if other is not None else body):
        yield from store.by_index("WorkEntry", "person", key)


def _others(store: Store, entry: WorkEntry) -> tuple[WorkEntry, ...]:
    """Return the person's other entries of those days that were not taken back."""
    found: dict[tuple[str, str], WorkEntry] = {}
    for key in days_of(entry.spec.performed_by, entry.spec.begin, entry.spec.until):
        for body in store.by_index("WorkEntry", "person", key):
            other = WorkEntry.of(body)
            found[other.metadata.namespace, other.metadata.name] = other
    found.pop((entry.metadata.namespace, entry.metadata.name), None)
    return tuple(other for other in found.values() if not is_taken_back(other, _reversal(store, other)))


def _decided(store: Store, request: ChangeRequest, requesters: tuple[Requester, ...]) -> Decisions:
    spec, recorded_at = request.spec, request.metadata.creation_timestamp
    said = decisions_about(store, request)
    return counted(said, spec.kind, spec.requested_by, requesters, recorded_at=recorded_at)


def _reversal(store: Store, entry: WorkEntry) -> WorkEntry | None:
    """Return the counter-entry that takes an entry back: the first that names its request, if all before it are there."""
    for name in reversal_names(entry.metadata.name):
        counter = _entry(store, entry.metadata.namespace, name)
        if counter is None or is_taken_back(entry, counter):
            return counter
    return None


def _entry(store: Store, namespace: str, name: str) -> WorkEntry | None:
    body = store.get("WorkEntry", namespace, name)
    return WorkEntry.of(body) if body else None
