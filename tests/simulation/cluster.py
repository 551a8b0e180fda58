"""The API server of the simulation: records are created once, statuses only advance, and a stale write is a conflict."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from managedvm.api.changerequest import FINAL_STATES, ChangeRequest
from managedvm.api.customer import CustomerSpec
from managedvm.api.customercontacts import Requester
from managedvm.api.managedvm import ManagedVM, ManagedVMStatus
from managedvm.api.outage import Outage
from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.api.vcenter import VCenterSpec
from managedvm.api.vmclaim import VMClaim
from managedvm.api.workentry import WorkEntry
from managedvm.planning.actions import AdvanceRequest, ConfirmUnchanged, EndOutage
from managedvm.planning.money import PriceBook
from tests import laws


class StaleError(Exception):
    """What was decided on has changed meanwhile; nothing was written."""


@dataclass(frozen=True)
class Snapshot:
    """Everything that the API server holds, at one instant: what a replica sees, perhaps late."""

    vm: ManagedVM
    claims: dict[str, VMClaim]
    requests: dict[str, ChangeRequest]
    customer: CustomerSpec | None
    requesters: tuple[Requester, ...]
    prices: PriceBook | None
    levels: dict[str, ServiceLevelSpec]
    vcenter: VCenterSpec
    outages: dict[str, Outage] = field(default_factory=dict)


class Cluster:
    """Holds the present `state`, the WorkEntries, and counts versions."""

    def __init__(self, state: Snapshot) -> None:
        self.state = state
        self.work: dict[str, WorkEntry] = {}
        self._version = 10

    def edit(self, **changes: Any) -> None:
        """Change objects that people own."""
        self.state = replace(self.state, **changes)

    def create(self, body: dict[str, Any], now: datetime) -> None:
        """Create an object; the same one already there is success while it is open, anything else is stale."""
        name = body["metadata"]["name"]
        stamped = {
            **body,
            "metadata": {**body["metadata"], "resourceVersion": self._next(), "creationTimestamp": now},
        }
        match body["kind"]:
            case "VMClaim":
                self._claim(VMClaim.of(stamped))
            case "ChangeRequest":
                self._request(ChangeRequest.of(stamped))
            case "Outage":
                outages = self.state.outages
                self.edit(outages={**outages, name: outages.get(name) or Outage.of(stamped)})
            case "WorkEntry":
                entry = self.work.setdefault(name, WorkEntry.of(stamped))
                assert entry.spec.change_request_ref.name == body["spec"]["changeRequestRef"]["name"]

    def _claim(self, claim: VMClaim) -> None:
        there = self.state.claims.get(claim.metadata.name)
        if there is None:
            self.edit(claims={**self.state.claims, claim.metadata.name: claim})
        elif there.spec.owner != claim.spec.owner:
            raise StaleError("somebody else holds the claim")

    def _request(self, request: ChangeRequest) -> None:
        there = self.state.requests.get(request.metadata.name)
        if there is None:
            self._put(request)
            return
        same = ("id", "aspect", "after")
        assert there.spec.change is not None
        assert request.spec.change is not None
        if any(getattr(there.spec.change, name) != getattr(request.spec.change, name) for name in same):
            raise StaleError("the name is taken by another request")
        if there.status.state in FINAL_STATES:
            raise StaleError("the request is closed already: our view is old")

    def advance(self, action: AdvanceRequest) -> None:
        """Write the status of a request as the admission policy lets it."""
        found = self.state.requests[action.name]
        is_ours = not action.resource_version and found.status == action.before
        if not is_ours and found.metadata.resource_version != action.resource_version:
            raise StaleError("the request has moved on")
        refusal = laws.refusal_of(found.status, action.after)
        assert refusal is None, f"the API server refuses the status of {action.name}: {refusal}"
        meta = found.metadata.model_copy(update={"resource_version": self._next()})
        self._put(found.model_copy(update={"status": action.after, "metadata": meta}))

    def end(self, action: EndOutage) -> None:
        """Write how an outage ended, once, as the admission policy lets it."""
        found = self.state.outages[action.name]
        if action.resource_version and found.metadata.resource_version != action.resource_version:
            raise StaleError("the outage has ended already")
        if found.status.end is None:
            meta = found.metadata.model_copy(update={"resource_version": self._next()})
            ended = found.model_copy(update={"status": action.after, "metadata": meta})
            self.edit(outages={**self.state.outages, action.name: ended})

    def confirm(self, action: ConfirmUnchanged) -> None:
        """Read the ManagedVM and its claim as they are now."""
        meta, claim = self.state.vm.metadata, self.state.claims.get(action.claim)
        if (meta.uid, meta.generation) != (action.uid, action.generation):
            raise StaleError("the ManagedVM has changed")
        if claim is None or claim.spec.owner.name != action.name:
            raise StaleError("the claim is gone")

    def write_status(self, status: ManagedVMStatus, seen: ManagedVM) -> bool:
        """Write the ManagedVM's status if it was seen as it is; returns whether anything was written."""
        vm = self.state.vm
        if vm.metadata.resource_version != seen.metadata.resource_version or vm.status == status:
            return False
        meta = vm.metadata.model_copy(update={"resource_version": self._next()})
        self.edit(vm=vm.model_copy(update={"status": status, "metadata": meta}))
        return True

    def edit_spec(self, **fields: Any) -> None:
        """Change fields of the ManagedVM's spec, as `kubectl apply` does: a new generation."""
        vm = self.state.vm
        spec = type(vm.spec).model_validate({**vm.spec.to_json(), **fields})
        meta = vm.metadata.model_copy(
            update={"generation": vm.metadata.generation + 1, "resource_version": self._next()}
        )
        self.edit(vm=vm.model_copy(update={"spec": spec, "metadata": meta}))

    def _put(self, request: ChangeRequest) -> None:
        self.edit(requests={**self.state.requests, request.metadata.name: request})

    def _next(self) -> str:
        self._version += 1
        return str(self._version)
