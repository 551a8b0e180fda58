"""All that decides about one ChangeRequest outside of its ManagedVM's pass."""

from dataclasses import dataclass
from datetime import datetime

from managedvm.api.changerequest import RequestedVM
from managedvm.api.customer import Requests
from managedvm.api.customercontacts import Requester
from managedvm.api.requestdecision import RequestDecision
from managedvm.planning.calendar import Calendar
from managedvm.planning.entitlement import Entitlement
from managedvm.planning.money import NO_PRICES, Prices
from managedvm.planning.observed import TaskFacts, Unknown, VirtualMachine
from managedvm.planning.reaction import Worked


@dataclass(frozen=True, slots=True)
class ObservedRequest:
    """All that was read for one request.

    `identity` is the VM that its ManagedVM holds the claim to, `entitlement` what that ManagedVM's orders gave when
    the request was made; both are None when there is no such ManagedVM. `has_taken_effect` tells that the VM carries
    the mark of this request, whatever became of its ManagedVM; Unknown while nobody can see that, or it may still come.
    `exists` tells whether there is a ManagedVM that is not being deleted. `prices`, `task` and `carrier`, whose record
    has the time of the task, are read only where there is work to bill without one; `orphan` is the VM of a request that
    no ManagedVM decides about any more, unless another one has claimed it. `windows` are the maintenance windows of its VM.
    While `missing_policies` are not in force nobody can tell in whose name a record was really written. Since
    `elsewhere_since` the customer lists somebody for another of its namespaces.
    """

    exists: bool
    identity: RequestedVM | None
    entitlement: Entitlement | None
    requesters: tuple[Requester, ...]
    policy: Requests
    has_taken_effect: bool | Unknown
    prices: Prices = NO_PRICES
    task: TaskFacts | Unknown | None = None
    carrier: str | None = None
    orphan: VirtualMachine | None = None
    work: tuple[Worked, ...] = ()
    decisions: tuple[RequestDecision, ...] = ()
    windows: Calendar | None = None
    missing_policies: tuple[str, ...] = ()
    elsewhere_since: datetime | None = None
