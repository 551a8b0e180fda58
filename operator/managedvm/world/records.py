"""Records that people write beside a request, and where they are protected, read from what is held in memory."""

from collections.abc import Mapping

from managedvm.api.base import LEDGER_LABEL
from managedvm.api.changerequest import FINAL_STATES, ChangeRequest
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.workentry import WorkEntry
from managedvm.engine.objects import Object
from managedvm.engine.store import Store
from managedvm.planning.reaction import Worked


def work_on(store: Store, request: ChangeRequest) -> tuple[Worked, ...]:
    """Return the work that was recorded on a request; what was taken back by a counter-entry is none."""
    where = (request.metadata.namespace, request.metadata.name)
    found = [WorkEntry.of(body) for body in store.by_index("WorkEntry", "request", where)]
    taken_back = {entry.spec.reverses.name for entry in found if entry.spec.reverses is not None}
    return tuple(
        Worked(entry.spec.begin, entry.metadata.creation_timestamp or entry.spec.begin)
        for entry in found
        if entry.spec.reverses is None and entry.metadata.name not in taken_back
    )


def decisions_about(store: Store, request: ChangeRequest) -> tuple[RequestDecision, ...]:
    """Return the decisions about a request."""
    where = (request.metadata.namespace, request.metadata.name)
    return tuple(RequestDecision.of(body) for body in store.by_index("RequestDecision", "request", where))


def decisions_about_open(
    store: Store, requests: Mapping[str, ChangeRequest]
) -> dict[str, tuple[RequestDecision, ...]]:
    """Return the decisions about those requests that are open, by the name of the request."""
    is_open = ((name, r) for name, r in requests.items() if r.status.state not in FINAL_STATES)
    found = ((name, decisions_about(store, request)) for name, request in is_open)
    return {name: decisions for name, decisions in found if decisions}


def declared_vm(store: Store, namespace: str, name: str) -> Object | None:
    """Return a ManagedVM, None where it is gone or about to go: a finalizer of somebody's prolongs no contract."""
    body = store.get("ManagedVM", namespace, name)
    return body if body is not None and not body["metadata"].get("deletionTimestamp") else None


def is_ledger(store: Store, namespace: str) -> bool:
    """Return whether a Namespace is protected as one that holds records."""
    body = store.get("Namespace", "", namespace)
    return body is not None and LEDGER_LABEL in (body["metadata"].get("labels") or {})
