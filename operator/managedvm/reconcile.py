"""READ THIS FIRST. One pass for each kind that acts: observe -> plan -> apply -> report.

Nothing waits here: what was started is seen again when it has changed. A pass that did something says nothing yet: the
pass that its effect brings about does, unless the effect takes longer than `SETTLE`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from managedvm.api.base import Status
from managedvm.api.changerequest import FINAL_STATES, ChangeRequest
from managedvm.api.managedvm import ManagedVM
from managedvm.api.outage import Outage
from managedvm.api.vcenter import VCenter
from managedvm.api.vmclaim import VMClaim
from managedvm.api.workentry import WorkEntry
from managedvm.engine.objects import ObjectKey
from managedvm.engine.passes import Verdict
from managedvm.engine.store import Store
from managedvm.errors import (
    ManagedVMError,
    NotActiveError,
    StalledError,
    WaitingError,
)
from managedvm.planning import claims, managedvm, orphans, outages, requests, vcenter, work
from managedvm.planning.actions import (
    EFFECTS,
    RECORDS,
    REMEMBERED,
    REPAIRS,
    Action,
)
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, shortened, some
from managedvm.planning.observed import ClusterFacts, Unknown
from managedvm.planning.plan import Group, earliest, flat
from managedvm.planning.reasons import Reason
from managedvm.planning.wallclock import shown
from managedvm.report import (
    advanced_status,
    judged_status,
    not_repaired,
    notices,
    refused,
    repairs,
    reported,
    status_patch,
)
from managedvm.telling import Teller
from managedvm.world.apply import Failure, Hands, VSphere, apply
from managedvm.world.kube import Kube
from managedvm.world.managed import Place
from managedvm.world.observe import Observer
from managedvm.world.outages import is_measured
from managedvm.world.unchanged import Unchanged
from managedvm.world.work import is_settled

SETTLE = timedelta(seconds=3)
"""How long an effect may take to be seen before its cause is reported and, where it is still missing, repeated."""

WAITING_IS_TOLD_AFTER = timedelta(minutes=1)
"""How long the passes of an object may fail by what time mends before a person is told."""

LOOK_AGAIN = timedelta(seconds=15)
"""When a request is looked at again of which nobody can tell whether it has taken effect."""

VM, VCENTER, REQUEST, CLAIM, WORK, OUTAGE = (
    kind.KIND.kind for kind in (ManagedVM, VCenter, ChangeRequest, VMClaim, WorkEntry, Outage)
)
ACTING = (VCENTER, VM, REQUEST, CLAIM, WORK, OUTAGE)
"""The kinds that have passes; after a takeover in this order: VCenters are few, and all VMs are seen through them."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a pass has sent, or was refused, and when the effect of that must have been seen."""

    effects: tuple[Action, ...]
    refused: tuple[Action, ...]
    until: datetime


class Reconciler:
    """Passes by kind.

    `clock` is read once per pass; `changed` is told of each object that we have written, `wanted` of a pass that
    another one asks for.
    """

    def __init__(  # noqa: PLR0917 - the world has so many parts
        self,
        store: Store,
        observer: Observer,
        unchanged: Unchanged,
        kube: Kube,
        vsphere_of: Callable[[str], VSphere | None],
        teller: Teller,
        clock: Callable[[], datetime],
        changed: Callable[[dict[str, Any]], object],
        wanted: Callable[[ObjectKey], object],
    ) -> None:
        self._store = store
        self._observer = observer
        self._unchanged = unchanged
        self._kube = kube
        self._vsphere_of = vsphere_of
        self._teller = teller
        self._clock = clock
        self._changed = changed
        self._wanted = wanted
        self._sent: dict[ObjectKey, _Sent] = {}
        self._acting: set[ObjectKey] = set()
        self._waiting: dict[ObjectKey, datetime] = {}
        self._passes: dict[str, Callable[[dict[str, Any], datetime], Awaitable[Verdict]]] = {
            VM: self._managed_vm,
            VCENTER: self._vcenter,
            REQUEST: self._request,
            CLAIM: self._claim,
            WORK: self._work,
            OUTAGE: self._outage,
        }
        self._judging: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def reconcile(self, key: ObjectKey) -> Verdict:
        """Bring one object one step nearer to what was agreed."""
        # Whole seconds: what is written must read the same when it is read back.
        now = self._clock().replace(microsecond=0)
        if self._unchanged.holds(key, now):
            return Verdict(next_check=self._unchanged.until(key))
        body = self._store.get(*key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._sent.pop(key, None)
            self._waiting.pop(key, None)
            self._teller.found(key, ())
            self._note_place(key, None)
            if body is not None:
                await self._tell_ending(body, now)
            return Verdict()
        try:
            verdict = await self._passes[key.kind](body, now)
        except StalledError:
            raise
        except WaitingError as error:
            await self._tell_waiting(body, error, now)
            raise
        except Exception as bug:
            await self._tell_bug(body, bug, now)
            raise
        self._waiting.pop(key, None)
        return verdict

    async def _managed_vm(self, body: dict[str, Any], now: datetime) -> Verdict:
        try:
            vm = ManagedVM.of(body)
        except ValidationError as error:
            return await self._invalid(body, error, now)
        key, name = _key(body), vm.spec.vm.v_center_ref.name
        # Taken before looking: a hand that belongs to another connection than what was seen refuses to act.
        vsphere = self._vsphere_of(name)
        sighted = self._unchanged.sighted(key, vm)
        observed = await self._observer.managed_vm(vm)
        plan = managedvm.plan(vm, observed, now)
        if not isinstance(observed.sight, Unknown):
            self._note_place(key, _place(name, plan, observed.cluster))
        pending, failed = await self._do(key, plan.groups, vsphere, now)
        if pending and not failed:
            await self._teller.tell(body, repairs(vm.status, plan.findings))
        else:
            findings = _told(plan.findings, failed)
            status = reported(plan.status, vm.status.conditions, findings, vm.metadata.generation, now)
            self._teller.found(key, findings)
            if status == vm.status and not plan.actions and not observed.has_open_requests:
                self._unchanged.note(key, sighted, plan.next_check)
            await self._write(body, vm.status, status)
        return Verdict(next_check=earliest((plan.next_check, pending)))

    def _note_place(self, key: ObjectKey, place: Place | None) -> None:
        """Ask for a pass of each VCenter that now has another cluster, or another level in one, to keep."""
        for vcenter_name in self._observer.managed.note(key, place):
            self._wanted(ObjectKey(VCENTER, "", vcenter_name))

    async def _vcenter(self, body: dict[str, Any], now: datetime) -> Verdict:
        own, key = VCenter.of(body), _key(body)
        vsphere = self._vsphere_of(key.name)
        plan = vcenter.plan(own, self._observer.vcenter(key.name), now)
        pending, failed = await self._do(key, plan.groups, vsphere, now)
        if plan.has_caught_up:
            self._observer.watch.note(key.name)
        if pending and not failed:
            await self._teller.tell(body, repairs(own.status, plan.findings))
        else:
            findings = _told(plan.findings, failed)
            status = reported(plan.status, own.status.conditions, findings, own.metadata.generation, now)
            self._teller.found(key, findings)
            await self._write(body, own.status, status)
        return Verdict(next_check=earliest((plan.next_check, pending)))

    async def _request(self, body: dict[str, Any], now: datetime) -> Verdict:
        request = ChangeRequest.of(body)
        if request.status.state in FINAL_STATES:
            # Of these there are ever more; only what was missed is still counted.
            self._teller.found(_key(body), requests.findings(request.status, None))
            return Verdict()
        if ObjectKey(VM, request.metadata.namespace, request.spec.managed_vm_ref.name) in self._acting:
            return Verdict(next_check=now + SETTLE)  # what is being sent for it is not to be seen yet
        observed = await self._observer.request(request, now)
        started = orphans.start_orphan(request, observed, now)
        if started is not None:
            vsphere = self._vsphere_of(self._observer.vcenter_of(request) or "")
            outcome = await apply(started.groups, self._hands(vsphere, now))
            outcome.raise_for(WaitingError)  # what is refused is seen from the VM by the next pass
            self._teller.found(_key(body), started.findings)
            return Verdict(next_check=started.next_check or now + SETTLE)
        action = requests.plan(request, observed, now)
        actions = (action,) if action is not None else orphans.bill_orphan(request, observed, now)
        await self._write_down(actions, now)
        status = action.after if action is not None else request.status
        self._teller.found(_key(body), requests.findings(status, action.finding if action else None))
        waits = None if observed.exists else requests.may_come_until(request, now)
        is_unclear = isinstance(observed.has_taken_effect, Unknown) or orphans.may_go_down(request, observed)
        unseen = now + LOOK_AGAIN if is_unclear else None
        return Verdict(next_check=earliest((waits, unseen, requests.next_check(status, now))))

    async def _claim(self, body: dict[str, Any], now: datetime) -> Verdict:
        claim = VMClaim.of(body)
        action = claims.plan(claim, owner_exists=self._observer.claim_owner_exists(claim))
        if action is not None:
            await self._write_down((action,), now)
        return Verdict()

    async def _work(self, body: dict[str, Any], now: datetime) -> Verdict:
        key = _key(body)
        if is_settled(body):
            self._teller.found(key, ())
            return Verdict()
        entry = WorkEntry.of(body)
        # One entry of a person after the other: two that claim the same time must not both be accepted.
        async with self._judging[entry.spec.performed_by.casefold()]:
            judged = work.judge(entry, self._observer.work(entry), now)
            self._teller.found(key, (judged.finding,) if judged.finding and judged.charge is None else ())
            await self._write(body, entry.status, judged_status(entry.status, judged, now))
        return Verdict(next_check=judged.next_check)

    async def _outage(self, body: dict[str, Any], now: datetime) -> Verdict:
        outage = Outage.of(body)
        action = outages.abandoned(outage, is_measured=is_measured(self._store, outage), now=now)
        if action is not None:
            await self._write_down((action,), now)
        return Verdict()

    async def _do(
        self, key: ObjectKey, groups: tuple[Group, ...], vsphere: VSphere | None, now: datetime
    ) -> tuple[datetime | None, tuple[Failure, ...]]:
        """Carry groups out; returns until when their effect is awaited, and what a person must mend.

        What time mends is raised once all groups had their turn.
        """
        sent = self._sent.pop(key, None)
        awaited = sent.effects if sent is not None and now < sent.until else ()
        self._acting.add(key)
        try:
            outcome = await apply(
                tuple(_open_steps(group, awaited) for group in groups), self._hands(vsphere, now)
            )
        finally:
            self._acting.discard(key)
        stalled = tuple(f for f in outcome.failures if isinstance(f.error, StalledError))
        # The inventory shows what was refused, and the next pass decides on it: nothing is said before.
        shown = tuple(
            f for f in stalled if isinstance(f.action, REMEMBERED) and not _was_refused(f.action, sent)
        )
        effects = tuple(action for action in outcome.done if isinstance(action, EFFECTS))
        under_way = tuple(action for action in flat(groups) if action in awaited)
        is_late = sent is not None and any(action in sent.effects for action in effects)
        until = sent.until if sent is not None and under_way and not effects else now + SETTLE
        if effects or under_way or shown:
            self._sent[key] = _Sent((*under_way, *effects), tuple(f.action for f in stalled), until)
        outcome.raise_for(WaitingError)
        told = tuple(failure for failure in stalled if failure not in shown)
        if key in self._sent:
            # Awaited in vain before: the effect is late, so its cause is reported now.
            return (None if is_late else until), told
        return (now + SETTLE if outcome.calls else None), told

    async def _write_down(self, actions: Group, now: datetime) -> None:
        """Carry out actions that need the API server alone."""
        outcome = await apply((actions,), self._hands(None, now))
        outcome.raise_for(ManagedVMError)

    def _hands(self, vsphere: VSphere | None, now: datetime) -> Hands:
        return Hands(
            self._kube, vsphere, render=lambda action: advanced_status(action, now), put=self._changed
        )

    async def _write(self, body: dict[str, Any], before: Status, after: Status) -> None:
        patch = status_patch(before, after)
        if patch is None:
            return
        meta = body["metadata"]
        where = (body["kind"], meta.get("namespace", ""), meta["name"])
        self._changed(await self._kube.patch_status(*where, patch, meta["resourceVersion"]))
        await self._teller.tell(body, notices(before, after))

    async def _invalid(self, body: dict[str, Any], error: ValidationError, now: datetime) -> Verdict:
        """Say what of an object this version cannot read; its other conditions stay."""
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        finding = fails(
            Aspect.CHANGES_PERMITTED, Reason.INVALID_SPEC, f"{problems}. Correct it, or use a newer operator"
        )
        await self._tell_alone(body, finding, now)
        return Verdict()

    async def _tell_waiting(self, body: dict[str, Any], error: WaitingError, now: datetime) -> None:
        """Say what time has not mended for a while; until then it is nobody's business."""
        since = self._waiting.setdefault(_key(body), now)
        if now - since < WAITING_IS_TOLD_AFTER or isinstance(error, NotActiveError):
            return
        words = f"Since {shown(since)} a call does not get through: {error}. It is tried again; what is said here may be old"
        await self._tell_alone(body, fails(Aspect.CHANGES_PERMITTED, Reason.WAITING, words), now)

    async def _tell_bug(self, body: dict[str, Any], bug: Exception, now: datetime) -> None:
        """Say that nothing is decided here: a Ready that nobody keeps up to date would be a lie."""
        words = (
            f"The operator meets a bug here ({type(bug).__name__}), so nothing is decided and nothing is done. Its log "
            "has the trace; report it to whoever runs the operator"
        )
        await self._tell_alone(body, fails(Aspect.CHANGES_PERMITTED, Reason.INTERNAL_ERROR, words), now)

    async def _tell_ending(self, body: dict[str, Any], now: datetime) -> None:
        """Say that an object which somebody's finalizer keeps is none any more."""
        keeps = some([shortened(name) for name in body["metadata"].get("finalizers", ())])
        words = (
            f"This object is deleted: nothing is done for it, and it holds no claim. It stays only while it has finalizer "
            f"{keeps}; whoever set it takes it away"
        )
        finding = fails(Aspect.CHANGES_PERMITTED, Reason.BEING_DELETED, words, Clause.AS_ORDERED)
        await self._tell_alone(body, finding, now)

    async def _tell_alone(self, body: dict[str, Any], finding: Finding, now: datetime) -> None:
        """Report a finding beside what was known before, of a kind whose conditions are ours."""
        if body["kind"] not in (VM, VCENTER):
            return
        before = Status.model_validate(body.get("status") or {})
        after = reported(before, before.conditions, (finding,), body["metadata"].get("generation", 0), now)
        self._teller.found(_key(body), (finding,))
        await self._write(body, before, after)


def _key(body: dict[str, Any]) -> ObjectKey:
    meta = body["metadata"]
    return ObjectKey(body["kind"], meta.get("namespace", ""), meta["name"])


def _place(vcenter_name: str, plan: managedvm.Plan, cluster: ClusterFacts | None) -> Place | None:
    """Return where a VM is managed; one that is somebody else's, or has no order in force, is managed nowhere."""
    vm, order = plan.status.vm, plan.status.order
    if not plan.is_identified or vm is None or order is None or cluster is None:
        return None
    return Place(vcenter_name, vm.v_center_uuid, cluster.moref, order.service_level, plan.may_act)


def _open_steps(group: Group, awaited: tuple[Action, ...]) -> Group:
    """Return what is still to be done of a group: of one whose effect is under way, only its records."""
    if not any(action in awaited for action in group):
        return group
    return tuple(action for action in group if isinstance(action, RECORDS))


def _was_refused(action: Action, sent: _Sent | None) -> bool:
    return sent is not None and action in sent.refused


def _told(findings: tuple[Finding, ...], failed: tuple[Failure, ...]) -> tuple[Finding, ...]:
    """Return what is said after some actions were refused: of those it is not said that they are being done."""
    words = tuple(refused(failure.error) for failure in failed)
    is_repair = any(isinstance(failure.action, REPAIRS) for failure in failed)
    return (*words, *(not_repaired(findings) if is_repair else findings))
