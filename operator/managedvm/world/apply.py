"""Carrying a plan out: each action is one call of a port, in order. No decisions.

A group of actions stops at the first that fails, and the other groups go on: a refusal of one promise holds up no other.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

from managedvm.api.changerequest import RecordOrigin
from managedvm.errors import ConflictError, ManagedVMError, NotActiveError, StaleError
from managedvm.planning.actions import (
    Action,
    AdvanceRequest,
    ClaimVM,
    ConfigureClusterHighAvailability,
    ConfirmUnchanged,
    EndOutage,
    OverrideHighAvailability,
    PowerOn,
    Reconfigure,
    RecordOutage,
    RecordRequest,
    RecordWork,
    ReleaseClaim,
    RemoveSnapshot,
    ReserveSlot,
    RevertToSnapshot,
    ShutDownGuest,
    TakeSnapshot,
)
from managedvm.planning.plan import Group
from managedvm.planning.records import OPERATOR
from managedvm.world.kube import AlreadyExistsError, Kube, NotFoundError, Object

logger = logging.getLogger(__name__)


class VSphere(Protocol):
    """What actions ask of a vCenter; see `world.vsphere`."""

    async def override_high_availability(self, action: OverrideHighAvailability) -> None:
        """Send the HA override of one VM."""

    async def configure_cluster(self, action: ConfigureClusterHighAvailability) -> None:
        """Send cluster-wide HA options."""

    async def reconfigure(self, action: Reconfigure) -> None:
        """Start the reconfiguration of a VM."""

    async def reserve(self, vm: str) -> None:
        """Keep a slot for the VM that is about to be shut down."""

    async def shut_down_guest(self, vm: str) -> None:
        """Ask the guest to shut down."""

    async def power_on(self, vm: str) -> None:
        """Start powering a VM on."""

    async def take_snapshot(self, action: TakeSnapshot) -> None:
        """Start taking a snapshot."""

    async def revert_to_snapshot(self, action: RevertToSnapshot) -> None:
        """Start going back to a snapshot."""

    async def remove_snapshot(self, action: RemoveSnapshot) -> None:
        """Start removing a snapshot."""


@dataclass(frozen=True, slots=True)
class Hands:
    """The ports that a plan needs. `render` is the pen's: it makes the patch of a record's status."""

    kube: Kube
    vsphere: VSphere | None
    render: Callable[[AdvanceRequest | EndOutage], dict[str, Any] | None]
    put: Callable[[Object], object]
    """Told of each object as the API server answered it, so that our own writes are seen at once."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The action that a group has stopped at, and why."""

    action: Action
    error: ManagedVMError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done of a plan: `calls` counts what was really asked of somebody."""

    done: tuple[Action, ...]
    calls: int
    failures: tuple[Failure, ...]

    def raise_for(self, *kinds: type[ManagedVMError]) -> None:
        """Raise the first failure of one of these kinds."""
        for failure in self.failures:
            if isinstance(failure.error, kinds):
                raise failure.error


async def apply(groups: tuple[Group, ...], hands: Hands) -> Outcome:
    """Carry groups out, each to its end or its first failure.

    A replica that may act no more stops at once, and so does a bug: both are raised.
    """
    done: list[Action] = []
    failures: list[Failure] = []
    calls = 0
    for group in groups:
        created: dict[str, str] = {}
        for action in group:
            try:
                calls += await _apply(action, hands, created)
            except NotActiveError:
                raise
            except ManagedVMError as error:
                failures.append(Failure(action, error))
                break
            done.append(action)
            logger.info("%s done (%s)", type(action).__name__, action.clause, extra={"action": repr(action)})
    return Outcome(tuple(done), calls, tuple(failures))


async def _apply(action: Action, hands: Hands, created: dict[str, str]) -> int:  # noqa: C901, PLR0912 - one case per action
    match action:
        case ClaimVM():
            await _claim(action, hands)
        case ReleaseClaim():
            await hands.kube.delete("VMClaim", action.name, action.uid)
        case ConfirmUnchanged():
            await _confirm(action, hands.kube)
        case RecordRequest() | RecordWork() | RecordOutage():
            stored = await create_once(hands.kube, dict(action.body))
            created[stored["metadata"]["name"]] = stored["metadata"]["resourceVersion"]
            hands.put(stored)
        case AdvanceRequest():
            return await _advance(action, "ChangeRequest", hands, created)
        case EndOutage():
            return await _advance(action, "Outage", hands, created)
        case OverrideHighAvailability():
            await _vsphere(hands).override_high_availability(action)
        case ConfigureClusterHighAvailability():
            await _vsphere(hands).configure_cluster(action)
        case Reconfigure():
            await _vsphere(hands).reconfigure(action)
        case ReserveSlot():
            await _vsphere(hands).reserve(action.vm)
        case ShutDownGuest():
            await _vsphere(hands).shut_down_guest(action.vm)
        case PowerOn():
            await _vsphere(hands).power_on(action.vm)
        case TakeSnapshot():
            await _vsphere(hands).take_snapshot(action)
        case RevertToSnapshot():
            await _vsphere(hands).revert_to_snapshot(action)
        case RemoveSnapshot():
            await _vsphere(hands).remove_snapshot(action)
        case _:
            assert_never(action)
    return 1


async def _claim(action: ClaimVM, hands: Hands) -> None:
    body = dict(action.body)
    try:
        hands.put(await create_once(hands.kube, body))
    except ConflictError as error:
        # Two were after the same VM at once. Whose it is, the next pass sees and says.
        hands.put(await _stored(hands.kube, body))
        raise StaleError("another ManagedVM has claimed the VM meanwhile") from error


async def create_once(kube: Kube, body: Object) -> Object:
    """Create an object that may be there already from an earlier try; the same is success, another a conflict."""
    try:
        return await kube.create(body)
    except AlreadyExistsError:
        found = await _stored(kube, body)
    if _essence(found) != _essence(body):
        raise ConflictError(
            f"{body['kind']} {body['metadata']['name']} is there already and says something else"
        )
    return found


async def _stored(kube: Kube, body: Object) -> Object:
    """Return what is there under the name of a body that could not be created for it."""
    meta = body["metadata"]
    try:
        return await kube.get(body["kind"], meta.get("namespace", ""), meta["name"])
    except NotFoundError as error:
        raise StaleError(f"{body['kind']} {meta['name']} was there and is gone again") from error


def _essence(body: Object) -> Object:
    """Return what makes two bodies the same fact.

    The times of the operator's work and what follows from them are left out: after a crash they may be read again
    differently, and the first record stands.
    """
    spec = {key: value for key, value in body["spec"].items() if value is not None}
    if body["kind"] == "VMClaim":
        # Which object of that name has made the claim is information.
        return {**spec, "owner": {key: spec["owner"][key] for key in ("namespace", "name")}}
    if body["kind"] == "Outage":
        # Which ManagedVM and order it was seen under may differ by the time of a second try.
        return {key: spec[key] for key in ("cause", "begin", "vCenterUUID")}
    if body["kind"] == "WorkEntry" and spec["performedBy"] == OPERATOR:
        return {key: spec[key] for key in ("changeRequestRef", "performedBy")}
    if body["kind"] == "ChangeRequest" and spec.get("origin") == RecordOrigin.HELPDESK:
        # A ticket is edited while it is worked on; the record says what it said at first.
        return {key: spec[key] for key in ("origin", "ticket")}
    if body["kind"] == "ChangeRequest":
        # Who applied the YAML, and what was found before, may differ by the time of a second try.
        spec = {key: value for key, value in spec.items() if key not in ("appliedBy", "ticket")}
        spec["change"] = {key: value for key, value in spec.get("change", {}).items() if key != "before"}
    return spec


async def _confirm(action: ConfirmUnchanged, kube: Kube) -> None:
    try:
        vm = await kube.get("ManagedVM", action.namespace, action.name)
        claim = await kube.get("VMClaim", "", action.claim)
    except NotFoundError as error:
        raise StaleError(
            f"ManagedVM {action.namespace}/{action.name} or its claim is gone: {error}"
        ) from error
    meta, owner = vm["metadata"], claim["spec"]["owner"]
    if (meta["uid"], meta["generation"], meta.get("deletionTimestamp")) != (
        action.uid,
        action.generation,
        None,
    ):
        raise StaleError(f"ManagedVM {action.namespace}/{action.name} has changed since it was decided on")
    if (owner["namespace"], owner["name"]) != (action.namespace, action.name):
        raise StaleError(
            f"claim {action.claim} is no longer held by ManagedVM {action.namespace}/{action.name}"
        )


async def _advance(
    action: AdvanceRequest | EndOutage, kind: str, hands: Hands, created: dict[str, str]
) -> int:
    patch = hands.render(action)
    if patch is None:
        return 0
    version = action.resource_version or created[action.name]
    hands.put(await hands.kube.patch_status(kind, action.namespace, action.name, patch, version))
    return 1


def _vsphere(hands: Hands) -> VSphere:
    if hands.vsphere is None:
        raise StaleError("the vCenter was removed meanwhile")
    return hands.vsphere
