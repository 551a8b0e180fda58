"""The records of a change: what is written before the act (ChangeRequest) and after it (WorkEntry)."""

from datetime import datetime
from typing import Any

from managedvm.api.base import API_VERSION, APPLIED_BY, LocalReference
from managedvm.api.changerequest import (
    Assessment,
    ChangeRequest,
    ChangeRequestSpec,
    ChangeRequestStatus,
    Channel,
    RecordOrigin,
    RequestedChange,
    RequestedVM,
    RequestKind,
    RequestState,
)
from managedvm.api.managedvm import Change, ManagedVM
from managedvm.api.requestdecision import RequestDecisionSpec
from managedvm.api.workentry import Charge, Evidence, WorkEntry, WorkEntrySpec
from managedvm.planning import assessment
from managedvm.planning.names import decision_name, persons_work_name, reversal_name, work_entry_name
from managedvm.planning.observed import TaskFacts

OPERATOR = "operator"
"""`performedBy` of automated work."""


def change_request(
    name: str, vm: ManagedVM, slip: Change, *, of: RequestedVM, change: RequestedChange
) -> dict[str, Any]:
    """Return the ChangeRequest that documents one aspect of an order slip; the same for every replica."""
    spec = ChangeRequestSpec(
        kind=RequestKind.CONFIGURATION_CHANGE,
        managed_vm_ref=LocalReference(name=vm.metadata.name),
        vm=of,
        requested_by=slip.requested_by,
        channel=Channel.GIT,
        origin=RecordOrigin.OPERATOR,
        applied_by=vm.metadata.annotations.get(APPLIED_BY),
        ticket=slip.ticket,
        change=change,
    )
    return request_body(vm.metadata.namespace, name, spec)


def request_body(namespace: str, name: str, spec: ChangeRequestSpec) -> dict[str, Any]:
    """Return a ChangeRequest as it is created."""
    return _object("ChangeRequest", namespace, name, spec.to_json())


def work_entry(
    request: ChangeRequest,
    activity: str,
    *,
    begin: datetime,
    end: datetime,
    task: TaskFacts | None,
    charge: Charge,
) -> dict[str, Any]:
    """Return the WorkEntry of the operator's own work on a request."""
    spec = WorkEntrySpec(
        change_request_ref=LocalReference(name=request.metadata.name),
        performed_by=OPERATOR,
        begin=begin,
        end=end,
        activity=activity,
        evidence=Evidence(task=task.moref) if task else None,
        charge=charge,
        ticket=request.spec.ticket,
    )
    return _object(
        "WorkEntry", request.metadata.namespace, work_entry_name(request.metadata.name), spec.to_json()
    )


def persons_work(namespace: str, spec: WorkEntrySpec, version: int = 1) -> dict[str, Any]:
    """Return the WorkEntry of a person's work; a later version stands in for one that was taken back."""
    name = persons_work_name(spec.change_request_ref.name, spec.performed_by, spec.begin, version)
    return _object("WorkEntry", namespace, name, spec.to_json())


def counter_entry(entry: WorkEntry, by: str, now: datetime, why: str, version: int = 1) -> dict[str, Any]:
    """Return the counter-entry that takes a WorkEntry back; a later version is for where an earlier one is a wrong one."""
    spec = WorkEntrySpec(
        change_request_ref=entry.spec.change_request_ref,
        performed_by=by,
        begin=now,
        activity=why,
        reverses=LocalReference(name=entry.metadata.name),
    )
    name = reversal_name(entry.metadata.name, version)
    return _object("WorkEntry", entry.metadata.namespace, name, spec.to_json())


def request_decision(namespace: str, spec: RequestDecisionSpec) -> dict[str, Any]:
    """Return the record of what somebody decides about a request."""
    return _object("RequestDecision", namespace, decision_name(spec), spec.to_json())


def assess(kind: RequestKind, now: datetime) -> Assessment:
    """Return clause and billing of a request as its status shows them."""
    verdict = assessment.assess(kind)
    return Assessment(
        clause=verdict.clause.number, billing=verdict.billing, reason=verdict.reason, assessed_at=now
    )


def advanced(request: ChangeRequestStatus, state: RequestState, **changes: Any) -> ChangeRequestStatus:
    """Return the status of a request after it has moved on to `state`."""
    return request.model_copy(update={"state": state, **changes})


def later(first: RequestState, second: RequestState) -> RequestState:
    """Return the later of two states: a request only advances."""
    order = list(RequestState)
    return max(first, second, key=order.index)


def _object(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }
