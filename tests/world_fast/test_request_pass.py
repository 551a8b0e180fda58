"""One pass of a request that a person wrote, from the objects in memory to its status: what is read, told and awaited."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.reconcile import Reconciler
from managedvm.wiring import INDEXES
from managedvm.world.observe import Observer
from managedvm.world.unchanged import Unchanged
from tests.api import bodies
from tests.api.policies import shipped
from tests.factories import NOW, REQUESTER, managed_vm, minutes, persons_request, requester
from tests.world_fast.fakes import FakeKube, nobody_is_met

LEVELS = Path(__file__).parents[2] / "manifests" / "catalogue" / "service-levels.yaml"
KEY = ObjectKey("ChangeRequest", "kunde-a", "helpdesk-1")
STRANGER = "somebody@else.example"


class World:
    """A customer with web-01, one listed person, and a request of hers or of somebody else's."""

    def __init__(self, by=REQUESTER, **spec):
        self.now = NOW
        self.found_in = {}
        self.store = Store(INDEXES)
        self.kube = FakeKube()
        people = {"requesters": [requester().to_json()]}
        for body in (
            *yaml.safe_load_all(LEVELS.read_text()),
            {"kind": "ManagedVM", **managed_vm().to_json()},
            bodies.customer("kunde-a", "kunde-a"),
            {**bodies.contacts("kunde-a"), "spec": people},
            *shipped(),
        ):
            self.put(body)
        kind = {"kind": "FaultReport", **spec}
        self.put({"kind": "ChangeRequest", **persons_request(by, **kind).to_json()})
        self.reconciler = Reconciler(
            store=self.store,
            observer=Observer(self.store, lambda _: None, nobody_is_met),
            kube=self.kube,
            vsphere_of=lambda _: None,
            teller=self,
            clock=lambda: self.now,
            changed=self.store.put,
            wanted=lambda _: None,
            unchanged=Unchanged(self.store, lambda _: None),
        )

    def put(self, body):
        made = {"creationTimestamp": f"{self.now:%Y-%m-%dT%H:%M:%SZ}", **body["metadata"]}
        self.store.put(self.kube._store({**body, "metadata": made}))

    async def tell(self, _, told):
        raise AssertionError(told)

    def found(self, key, findings):
        self.found_in[key] = [finding.reason.word for finding in findings]

    async def look(self, after=timedelta()):
        self.now = NOW + after
        return await self.reconciler.reconcile(KEY)

    @property
    def status(self):
        return self.kube.objects[KEY]["status"]

    @property
    def writes(self):
        return [call for call in self.kube.calls if call[0] == "patch"]


async def test_a_request_is_documented_by_one_write_and_then_not_written_again():
    world = World()
    first = await world.look()
    for _ in range(3):
        await world.look(minutes(1))
    assert len(world.writes) == 1
    assert world.status["authority"]["entry"]["email"] == REQUESTER
    assert world.status["assessment"]["clause"] == "4.1"
    assert first.next_check == NOW + minutes(120), (
        "the reaction of level Standard is looked for when it is due"
    )
    assert world.found_in[KEY] == ["Documented"]


async def test_a_missed_reaction_is_written_and_found_once():
    world = World()
    await world.look()
    verdict = await world.look(minutes(120))
    await world.look(minutes(121))
    assert len(world.writes) == 2
    assert world.status["reaction"]["isMissed"] is True
    assert world.found_in[KEY] == ["Documented", "ReactionMissed"]
    assert verdict.next_check == NOW + minutes(480), (
        "the recovery of level Standard is looked for when it is due"
    )


async def test_recorded_work_is_read():
    world = World()
    await world.look()
    begin = {"begin": "2026-11-23T12:10:00Z", "end": "2026-11-23T12:20:00Z"}
    ref = {"changeRequestRef": {"name": "helpdesk-1"}}
    world.put(bodies.work_entry("kunde-a", "w-1", "t@provider.example", **begin, **ref))
    await world.look(minutes(30))
    assert world.status["state"] == "InWork"
    assert world.status["reaction"]["reactedAt"] == "2026-11-23T12:10:00Z"


@pytest.mark.parametrize(("decided_as", "state"), [("Staff", "Released"), ("Requester", "Held")])
async def test_a_release_is_read_and_judged(decided_as, state):
    world = World(STRANGER, kind="SupportQuestion")
    await world.look()
    assert world.status["state"] == "Held"
    ref = {"changeRequestRef": {"name": "helpdesk-1"}}
    said = {"decision": "Release", "decidedAs": decided_as}
    world.put(bodies.request_decision("kunde-a", "d-1", "t@provider.example", **said, **ref))
    await world.look(minutes(1))
    assert world.status["state"] == state


@pytest.mark.parametrize(("is_missed", "found"), [(False, []), (True, ["ReactionMissed"])])
async def test_a_request_that_has_come_to_its_end_costs_nothing_and_what_was_missed_stays_counted(
    is_missed, found
):
    reaction = {"dueAt": "2026-11-23T12:30:00Z", "isMissed": is_missed}
    world = World(STRANGER, status={"state": "Done", "reaction": reaction})
    world.store.drop("ManagedVM", "uid-web-01")
    verdict = await world.look(minutes(500))
    assert world.writes == []
    assert world.found_in[KEY] == found
    assert verdict.next_check is None


async def test_an_update_is_planned_by_the_windows_of_the_vm():
    world = World(kind="UpdateOrder")
    verdict = await world.look()
    assert world.status["slot"] == {"begin": "2026-11-24T04:00:00Z", "end": "2026-11-24T06:00:00Z"}
    assert verdict.next_check == NOW + minutes(120)


async def test_nothing_is_decided_while_nobody_asks_who_writes_records():
    world = World()
    world.store.drop("ValidatingAdmissionPolicyBinding", "uid-managedvm-requests")
    await world.look()
    assert world.writes == []


@pytest.mark.parametrize(
    ("namespaces", "state"),
    [(("kunde-a", "kunde-a-test"), "Held"), (("kunde-a",), "Ordered")],
    ids=["its own", "another customer's"],
)
async def test_a_list_for_another_namespace_of_the_customer_is_a_list_of_the_customer(namespaces, state):
    world = World(STRANGER, kind="SupportQuestion")
    world.store.drop("CustomerContacts", "uid-contacts")
    world.put(bodies.customer("kunde-a", *namespaces))
    elsewhere = bodies.contacts("kunde-a-test", bodies.requester(REQUESTER))
    elsewhere["metadata"]["uid"] = "elsewhere"
    world.put(elsewhere)
    await world.look()
    assert world.status["state"] == state


async def test_what_was_ordered_is_that_of_the_time_of_the_call():
    orders = [{**managed_vm().spec.orders[0].to_json(), "until": "2026-11-23T11:30:00Z"}]
    for asked_at, state in (("2026-11-23T11:00:00Z", "Ordered"), (None, "Refused")):
        world = World(kind="SupportQuestion", **({"askedAt": asked_at} if asked_at else {}))
        body = {"kind": "ManagedVM", **managed_vm().to_json()}
        world.put({**body, "spec": {**body["spec"], "orders": orders}})
        await world.look()
        assert world.status["state"] == state
