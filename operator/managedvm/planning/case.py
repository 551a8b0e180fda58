"""All that decides about the size of one VM, and one piece of work on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from managedvm.api.changerequest import (
    FINAL_STATES,
    ChangeRequest,
    ChangeRequestStatus,
    RequestedVM,
    RequestKind,
    RequestState,
)
from managedvm.api.customer import Requests
from managedvm.api.customercontacts import Requester
from managedvm.api.managedvm import ManagedVM
from managedvm.api.requestdecision import RequestDecision
from managedvm.planning.actions import Action, AdvanceRequest, RecordRequest
from managedvm.planning.calendar import Calendar
from managedvm.planning.clauses import Clause
from managedvm.planning.entitlement import Entitlement
from managedvm.planning.findings import Finding
from managedvm.planning.money import Prices
from managedvm.planning.observed import TaskFacts, TaskState, Unknown, VirtualMachine
from managedvm.planning.standing import Asked, Standing, asked_of, standing
from managedvm.planning.targets import Target

STREAM_LAG = timedelta(seconds=10)
"""How long after a task was seen to have ended its effect is in the inventory at the latest."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that decides about the size of one VM. `requests` are the operator's own for this very VM, by name.

    `task` is the latest reconfiguration that vCenter knows of, also one that an earlier process of ours started, or one
    whose start was never answered; Unknown where that could not be read.
    `may_record` holds in Observe mode and while suspended too: what has taken effect is recorded.
    `settled` is the id of the order slip that has nothing left to order. `decisions` are those about open requests,
    by the name of the request. Since `elsewhere_since` the customer lists somebody for another of its namespaces.
    """

    vm: ManagedVM
    facts: VirtualMachine
    vcenter_uuid: str
    claim: str
    entitlement: Entitlement
    windows: Calendar | None
    requests: dict[str, ChangeRequest]
    requesters: tuple[Requester, ...]
    policy: Requests
    prices: Prices
    task: TaskFacts | Unknown | None
    may_act: bool
    now: datetime
    may_record: bool = True
    settled: str | None = None
    decisions: Mapping[str, tuple[RequestDecision, ...]] = field(default_factory=dict)
    elsewhere_since: datetime | None = None

    @property
    def identity(self) -> RequestedVM:
        """The VM by identity, as records name it."""
        return RequestedVM(v_center_uuid=self.vcenter_uuid, instance_uuid=self.facts.instance_uuid)

    @property
    def open_requests(self) -> tuple[ChangeRequest, ...]:
        """The requests that have not come to their end, in the order of their names."""
        return tuple(r for _, r in sorted(self.requests.items()) if r.status.state not in FINAL_STATES)

    def open_request(self, target: Target) -> ChangeRequest | None:
        """Return the request for this aspect that has not come to its end."""
        return next((r for r in self.open_requests if aspect_of(r) == target.aspect), None)

    @property
    def running(self) -> TaskFacts | None:
        """A task of ours, or a reconfiguration, that vCenter is still working on."""
        tasks = (self.facts.task, self.task)
        return next((t for t in tasks if isinstance(t, TaskFacts) and t.is_running), None)

    @property
    def seen_by(self) -> datetime | None:
        """Until when the effect of a reconfiguration may still be missing in the stream, None where nothing is.

        The stream shows our own tasks and their effects together; a task of an earlier process is read from the server,
        and may be over there before the stream shows what it did.
        """
        task = self.task
        if not isinstance(task, TaskFacts) or task.state is not TaskState.SUCCESS:
            return None
        is_own = self.facts.task is not None and self.facts.task.moref == task.moref
        seen = task.seen_at + STREAM_LAG
        return None if is_own or seen <= self.now else seen


@dataclass(frozen=True, slots=True)
class Job:
    """A change that is ordered, allowed and priced. `record` is its ChangeRequest where that is still to be created."""

    target: Target
    name: str
    request: ChangeRequest | None
    record: RecordRequest | None = None

    @property
    def status(self) -> ChangeRequestStatus:
        """The status of the request, as at birth where it is still to be created."""
        return self.request.status if self.request else ChangeRequestStatus()


def asked(case: Case, job: Job) -> Asked:
    """Return what of a job's request decides who may order it, also where the request is still to be recorded."""
    if job.request is not None:
        return asked_of(job.request, case.now)
    slip = case.vm.spec.change
    by = slip.requested_by if slip is not None else ""
    key = f"{case.vm.metadata.namespace}/{job.name}"
    return Asked(key, RequestKind.CONFIGURATION_CHANGE, by, case.now, case.now)


def standing_of(case: Case, job: Job) -> Standing:
    """Return what is decided once about the request of a job, and then stands."""
    return standing(
        asked(case, job),
        job.status,
        requesters=case.requesters,
        policy=case.policy,
        decisions=case.decisions.get(job.name, ()),
        now=case.now,
        elsewhere_since=case.elsewhere_since,
    )


def standing_of_request(case: Case, request: ChangeRequest) -> Standing:
    """Return the same of a request that is on record."""
    return standing(
        asked_of(request, case.now),
        request.status,
        requesters=case.requesters,
        policy=case.policy,
        decisions=case.decisions.get(request.metadata.name, ()),
        now=case.now,
        elsewhere_since=case.elsewhere_since,
    )


def aspect_of(request: ChangeRequest) -> str | None:
    """Return the aspect that a request is for, or None for one without a change of size."""
    return request.spec.change.aspect if request.spec.change else None


def was_asked(status: ChangeRequestStatus) -> bool:
    """Return whether the guest was asked to shut down in the slot that the status of a request names."""
    if status.state is not RequestState.IN_WORK or status.slot is None or status.started_at is None:
        return False
    return status.slot.begin <= status.started_at


def recorded(job: Job) -> tuple[Action, ...]:
    """Return the creation of the job's record, where it is still to be created."""
    return (job.record,) if job.record else ()


def moved_on(
    request: ChangeRequest, after: ChangeRequestStatus, outcome: Finding, clause: Clause
) -> AdvanceRequest:
    """Return the action that moves a request on; `outcome` is what its condition Succeeded will say."""
    return AdvanceRequest(
        namespace=request.metadata.namespace,
        name=request.metadata.name,
        resource_version=request.metadata.resource_version,
        before=request.status,
        after=after,
        finding=outcome,
        clause=clause,
    )


def advance(
    case: Case, job: Job, after: ChangeRequestStatus, outcome: Finding, clause: Clause
) -> AdvanceRequest:
    """Return the action that moves the request of a job on, also one that the same plan creates."""
    if job.request is not None:
        return moved_on(job.request, after, outcome, clause)
    return AdvanceRequest(
        namespace=case.vm.metadata.namespace,
        name=job.name,
        resource_version="",
        before=job.status,
        after=after,
        finding=outcome,
        clause=clause,
    )
