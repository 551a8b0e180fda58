"""Whatever can be observed, likely or not, thrown by dice: the same seed is the same situation.

Dice and not strategies of hypothesis, because the interesting plans need many facts to fit together: most situations are
whole, and a few things in them are strange.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

from managedvm.api.changerequest import ChangeRequest
from managedvm.api.managedvm import ManagedVM
from managedvm.api.requestdecision import RequestDecision
from managedvm.planning.identity import Sight
from managedvm.planning.managedvm import Observed
from managedvm.planning.observed import (
    RECONFIGURE,
    HaSettings,
    Heartbeat,
    PowerState,
    RestartEvent,
    TaskFacts,
    TaskState,
    Unknown,
    VirtualMachine,
)
from managedvm.planning.targets import note_key
from tests.factories import (
    NOW,
    OTHER_UUID,
    PATH,
    REQUESTER,
    VCENTER_UUID,
    agreed,
    at,
    change_request,
    claim,
    customer,
    disk,
    managed_vm,
    minutes,
    observed,
    order,
    price_book,
    rate,
    request_decision,
    request_name,
    requester,
    slip,
    vcenter_spec,
    virtual_machine,
)

WINDOW = at("2026-11-24T04:00")
"""The next opening of level Standard; it lasts two hours."""

INSTANTS = (
    NOW,
    WINDOW - minutes(1),
    WINDOW,
    WINDOW + minutes(1),
    WINDOW + minutes(110),
    WINDOW + minutes(111),
)
ASPECTS = {"CPUs": ("2", "4"), "Memory": ("4Gi", "8Gi", "4100Mi"), "Disk/system": ("40Gi", "50Gi", "30Gi")}
SLIPS = ("c-1", "c-2")
NODES = ("SCSI(0:0)", "SCSI(0:0)", "IDE(0:0)")


@dataclass(frozen=True, slots=True)
class Situation:
    """What one pass is about."""

    vm: ManagedVM
    observed: Observed
    now: datetime


def situation(seed: int) -> Situation:
    """Return the situation of this seed."""
    dice = Random(seed)  # noqa: S311 - a die, not a secret
    return Situation(_managed_vm(dice), _observed(dice), dice.choice(INSTANTS))


def _rarely(dice: Random, share: float = 0.06) -> bool:
    return dice.random() < share


def _orders(dice: Random) -> list[dict[str, Any]]:
    level = dice.choices(("standard", "premium", "professional", "basic", "unheard-of"), (12, 3, 3, 3, 1))[0]
    current = order("A-1", level, dice.choices(("Basic", "Advanced", None), (6, 3, 1))[0])
    if not _rarely(dice, 0.2):
        return [current]
    zone = dice.choice((UTC, timezone(timedelta(hours=1))))
    border = (dice.choice(INSTANTS) + minutes(dice.choice((-30, 0, 30)))).astimezone(zone).isoformat()
    return [{**current, "until": border}, order("A-2", "standard", "Basic", from_=border)][
        : dice.randint(1, 2)
    ]


def _resources(dice: Random) -> dict[str, Any] | None:
    resources: dict[str, Any] = {}
    if not _rarely(dice, 0.2):
        resources["cpus"] = int(dice.choice(ASPECTS["CPUs"]))
    if not _rarely(dice, 0.2):
        resources["memory"] = dice.choice(ASPECTS["Memory"])
    if not _rarely(dice, 0.3):
        size = dice.choice(ASPECTS["Disk/system"])
        resources["disks"] = [{"name": "system", "deviceNode": dice.choice(NODES), "size": size}]
    return resources or None


def _maintenance(dice: Random) -> dict[str, Any]:
    window = {"days": ["Tue"], "start": "05:00", "end": dice.choice(("07:00", "07:00", "06:00"))}
    agreed = {
        "timeZone": "Europe/Berlin",
        "windows": [window],
        "agreedBy": "A",
        "agreedAt": "2026-01-01T00:00:00Z",
    }
    freeze = {"from": "2026-11-24T04:30:00Z", "until": "2026-11-24T05:30:00Z", "reason": "sale"}
    return {
        **({"agreed": agreed} if _rarely(dice, 0.5) else {}),
        **({"freezes": [freeze]} if _rarely(dice) else {}),
    }


def _managed_vm(dice: Random) -> ManagedVM:
    origin = dice.choices(("Adopted", "Provisioned"), (4, 1))[0]
    size = {"cpus": 2, "memory": "4Gi", "disks": {}}
    configuration = {"origin": origin, "baseline": size, "baselineAt": NOW, "current": size}
    if _rarely(dice, 0.2):
        configuration["settledChange"] = dice.choice(SLIPS)
    identity = {
        "instanceUUID": OTHER_UUID,
        "vCenterUUID": VCENTER_UUID,
        "inventoryPath": PATH,
        "powerState": "",
    }
    return managed_vm(
        orders=_orders(dice),
        resources=_resources(dice),
        change=None
        if _rarely(dice)
        else slip(dice.choice(SLIPS), dice.choices((REQUESTER, "x" * 254), (6, 1))[0]),
        vm={"vCenterRef": {"name": "berlin"}, "inventoryPath": PATH, "origin": origin},
        mode=dice.choices(("Enforce", "Observe", None), (10, 1, 1))[0],
        suspend=_rarely(dice, 0.03),
        restartPolicy=dice.choices(("InWindow", "Never"), (5, 1))[0],
        maintenance=_maintenance(dice),
        status={
            **({"configuration": configuration} if _rarely(dice, 0.6) else {}),
            **({"vm": identity} if _rarely(dice, 0.03) else {}),
            **({"highAvailability": {"consecutive": 2, "lastAt": NOW}} if _rarely(dice, 0.2) else {}),
        },
    )


def _request(dice: Random, aspect: str) -> ChangeRequest:
    states = ("Ordered", "Held", "Scheduled", "InWork", "Done", "Withdrawn", "Refused")
    state = dice.choices(states, (4, 1, 4, 8, 1, 1, 1))[0]
    status: dict[str, Any] = {"state": state}
    begin = dice.choice(INSTANTS)
    if state in ("Scheduled", "InWork") and not _rarely(dice):
        status["slot"] = {"begin": begin, "end": begin + minutes(dice.choice((10, 60, 120)))}
    if state == "InWork":
        status["startedAt"] = begin + minutes(dice.choice((-1440, 0, 1, 20)))
    return change_request(
        aspect,
        dice.choice(ASPECTS[aspect]),
        before="1",
        change_id=dice.choice(SLIPS),
        by=dice.choices((REQUESTER, "somebody@else.example"), (6, 1))[0],
        asked_at=NOW - timedelta(days=dice.choice((0, 0, 0, 400))),
        **status,
    )


def _task(dice: Random) -> TaskFacts | None:
    if not _rarely(dice, 0.3):
        return None
    state = dice.choice(tuple(TaskState))
    begin = dice.choice(INSTANTS) - minutes(dice.choice((0, 4, 6)))
    end = begin + minutes(1) if state in (TaskState.SUCCESS, TaskState.ERROR) else None
    method = dice.choice((RECONFIGURE, RECONFIGURE, "PowerOnVM_Task"))
    fault = dice.choice(("", "GenericVmConfigFault " * 200))
    return TaskFacts(
        "task-9", method, state, begin, end or begin, begin if dice.random() < 0.5 else None, end, fault, "no"
    )


def _facts(dice: Random, notes: dict[str, str]) -> VirtualMachine:
    many = {f"SCSI({bus}:{unit})": disk() for bus in range(4) for unit in range(64)}
    return virtual_machine(
        has_baseline=dice.random() < 0.7,
        power=dice.choices(tuple(PowerState), (5, 4, 1))[0],
        connected=not _rarely(dice, 0.03),
        is_template=_rarely(dice, 0.03),
        tools_running=not _rarely(dice),
        heartbeat=dice.choice(tuple(Heartbeat)),
        cpus=dice.choice((2, 4)),
        memory_mib=dice.choice((4096, 4100, 8192)),
        disks=many if _rarely(dice, 0.03) else {dice.choice(NODES): disk()},
        cpu_hot_add=dice.random() < 0.4,
        memory_hot_add=dice.random() < 0.4,
        hot_add_increment_mib=dice.choice((0, 128)),
        hot_add_limit_mib=dice.choice((0, 4096, 8192)),
        ha_override=dice.choice(
            (None, HaSettings(), virtual_machine().ha_override, virtual_machine().ha_override)
        ),
        path=dice.choices((PATH, f"{PATH}/{'deep/' * 300}", "/Berlin/vm/kunde-ab/web-01"), (30, 1, 1))[0],
        cluster=None if _rarely(dice) else "domain-c1",
        task=_task(dice),
        ha_task=_task(dice),
        restarts=tuple(
            RestartEvent(key, NOW - minutes(20 * key)) for key in range(dice.choice((0, 0, 1, 4)))
        ),
        notes=notes,
    )


def _observed(dice: Random) -> Observed:
    listed = [_request(dice, aspect) for aspect in ASPECTS if _rarely(dice, 0.5)]
    notes = {
        note_key(r.spec.change.aspect): r.metadata.name
        for r in listed
        if r.spec.change and _rarely(dice, 0.25)
    }
    if _rarely(dice):
        notes[note_key("Memory")] = request_name("c-1", "Memory")
    facts = _facts(dice, notes)
    found = observed(facts, requests=listed, task=_task(dice), decisions=_decisions(dice, listed))
    strange = _disturbances(facts)
    for change in dice.sample(strange, dice.choices((0, 1, 2), (6, 3, 1))[0]):
        found = replace(found, **change)
    if found.own_claim is None and isinstance(found.sight, Sight):
        # Without an identity there is only the path to look by, and what is found there is there.
        at_path = found.sight.at_path
        there = at_path if at_path is not None and at_path.path == PATH else None
        found = replace(found, sight=replace(found.sight, by_uuid=there, at_path=there))
    return found


def _decisions(dice: Random, about: list[ChangeRequest]) -> dict[str, tuple[RequestDecision, ...]]:
    """Return what people have decided about some of the requests, whether they may or not."""
    people = (
        ("Requester", REQUESTER),
        ("Requester", "somebody@else.example"),
        ("Staff", "t@provider.example"),
    )
    found = {}
    for name in (r.metadata.name for r in about if _rarely(dice, 0.15)):
        decision, (capacity, who) = dice.choice(("Release", "Release", "Withdraw")), dice.choice(people)
        made_at = NOW - timedelta(days=dice.choice((0, 0, 0, 900)))
        found[name] = (request_decision(decision, who, of=name, decided_as=capacity, made_at=made_at),)
    return found


def _disturbances(facts: VirtualMachine) -> list[dict[str, Any]]:
    """Return what may be missing or wrong around the VM, one at a time."""
    somebody = claim(facts.instance_uuid, namespace="kunde-b")
    earlier = claim(OTHER_UUID, uid="uid-of-an-earlier-object")
    earlier_vm = replace(facts, instance_uuid=OTHER_UUID)
    nobody: dict[str, Any] = {"claims": {}, "own_claim": None}
    return [
        {"sight": Unknown("connection refused")},
        {"sight": None},
        {"sight": Sight(VCENTER_UUID, None, None)},
        {"sight": Sight(VCENTER_UUID, None, None, path_is_ambiguous=True), **nobody},
        {"sight": Sight(OTHER_UUID, facts, facts)},
        {"sight": Sight(VCENTER_UUID, facts, replace(facts, instance_uuid=OTHER_UUID))},
        {"claims": {somebody.metadata.name: somebody}, "own_claim": None},
        nobody,
        nobody,
        {"own_claim": earlier, "held": (earlier,), "claims": {}},
        {
            "sight": Sight(VCENTER_UUID, earlier_vm, facts),
            "own_claim": earlier,
            "held": (earlier,),
            "claims": {},
        },
        {"task": Unknown("the read timed out")},
        {"prices": agreed(None)},
        {"prices": agreed(price_book(rate("2026-11-24T00:00")))},
        {"customer": None},
        {"customer": customer(namespaces=["kunde-b"])},
        {"customer": customer(requests={"noRequesterListed": "Hold", "unlistedRequester": "Proceed"})},
        {"requesters": ()},
        {"requesters": (), "elsewhere_since": NOW - timedelta(days=900)},
        {"requesters": tuple(requester(f"{n}@{'x' * 240}") for n in range(64))},
        {"requesters": (requester(since="2026-11-23T12:00", until="2026-11-24T00:00"),)},
        {"vcenter": None},
        {"vcenter": vcenter_spec(maximumMode="Observe")},
        {"vcenter": vcenter_spec(grants=[])},
        {"missing_policies": ("managedvm-records",)},
        {"is_ledger": False},
        {"levels": {}},
        {"cluster": None},
    ]
