"""The passes of WorkEntries: written once, one entry of a person after the other, and nothing in a steady state."""

import asyncio

import pytest

from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.reconcile import Reconciler
from managedvm.wiring import INDEXES, affected
from managedvm.world.observe import Observer
from managedvm.world.unchanged import Unchanged
from tests.api.bodies import (
    agreed_prices,
    change_request,
    customer,
    price_list,
    request_decision,
    reversal,
    work_entry,
)
from tests.api.policies import shipped
from tests.factories import NOW
from tests.world_fast.fakes import FakeKube, nobody_is_met

PERSON = "t@provider.example"
RECORDED = "2026-11-23T11:59:00Z"


class SlowKube(FakeKube):
    """An API server whose answers take a moment, in which other passes go on."""

    async def patch_status(self, *where):
        await asyncio.sleep(0)
        return await super().patch_status(*where)


class Stand:
    """A store that sees every write at once, and all the passes that follow from it."""

    def __init__(self):
        self.store = Store(INDEXES)
        self.kube = SlowKube()
        self.told, self.counted, self.waiting, self.again = [], {}, [], {}
        self.reconciler = Reconciler(
            store=self.store,
            observer=Observer(self.store, lambda _: None, nobody_is_met),
            unchanged=Unchanged(self.store, lambda _: None),
            kube=self.kube,
            vsphere_of=lambda _: None,
            teller=self,
            clock=lambda: NOW,
            changed=self.put,
            wanted=self.waiting.append,
        )
        for body in (
            *shipped(),
            customer("kunde-a", "kunde-a", "kunde-b"),
            price_list("standard"),
            asked("kunde-a"),
            asked("kunde-b"),
        ):
            self.put(self.kube._store(body))

    def put(self, body):
        change = self.store.put(body)
        if change is not None:
            self.waiting += [key for key, _ in affected(change, self.store) if key.kind == "WorkEntry"]

    def record(self, body, recorded_at=RECORDED):
        body["metadata"]["creationTimestamp"] = recorded_at
        self.put(self.kube._store(body))

    async def settle(self):
        """Run all passes that are asked for at once, until none is asked for."""
        while self.waiting:
            now, self.waiting[:] = list(dict.fromkeys(self.waiting)), []
            verdicts = await asyncio.gather(*(self.reconciler.reconcile(key) for key in now))
            self.again |= dict(zip(now, verdicts, strict=True))

    async def tell(self, about, told):
        self.told += [(about["metadata"]["name"], notice.reason) for notice in told]

    def found(self, key, findings):
        self.counted[key.name] = [finding.reason.word for finding in findings]

    def status(self, name, namespace="kunde-a"):
        status = self.kube.objects["WorkEntry", namespace, name].get("status", {})
        said = [condition["reason"] for condition in status.get("conditions", [])]
        return said, status.get("charge", {}).get("amount")


def asked(namespace):
    assessment = {"clause": "6.3", "billing": "Effort", "reason": "a change", "assessedAt": RECORDED}
    authority = {"decidedAt": RECORDED, "mayProceed": True, "mayOrder": True, "explanation": "listed"}
    return {
        **change_request(namespace, "request", "a@x"),
        "status": {"state": "Ordered", "assessment": assessment, "authority": authority},
    }


def entry(name, namespace="kunde-a", **spec):
    return work_entry(namespace, name, PERSON, **spec)


@pytest.fixture
def stand():
    return Stand()


async def test_work_is_accepted_with_one_write_and_never_written_again(stand):
    stand.record(entry("w-1"))
    await stand.settle()
    assert stand.status("w-1") == (["WorkAccepted"], "30.00")
    stand.waiting += [ObjectKey("WorkEntry", "kunde-a", "w-1")] * 3
    await stand.settle()
    assert stand.kube.calls == [("patch", "WorkEntry", "w-1")]
    assert (stand.told, stand.counted["w-1"]) == ([], [])


async def test_what_is_refused_is_written_once_told_once_and_counted(stand):
    for namespace, name in (("kunde-a", "w-1"), ("kunde-b", "w-2")):
        stand.record(entry(name, namespace))
    await stand.settle()
    assert stand.status("w-2", "kunde-b") == (["Overlap"], None)
    for _ in range(3):
        stand.put(stand.kube._store(price_list("another")))
        await stand.settle()
    assert stand.kube.calls == [("patch", "WorkEntry", "w-1"), ("patch", "WorkEntry", "w-2")]
    assert (stand.told, stand.counted["w-2"]) == ([("w-2", "Overlap")], ["Overlap"])


async def test_two_that_wait_for_the_same_are_not_both_accepted(stand):
    stand.record(entry("w-0"))
    await stand.settle()
    for name in ("w-1", "w-2"):
        stand.record(entry(name))
        await stand.settle()
    stand.record(reversal(entry("w-0"), PERSON))
    await stand.settle()
    states = sorted(stand.status(name)[0][0] for name in ("w-1", "w-2"))
    assert states == ["Overlap", "WorkAccepted"]
    assert stand.status("reversal-of-w-0") == (["WorkAccepted"], "-30.00")


async def test_what_is_taken_back_before_it_was_accepted_comes_to_nothing(stand):
    for body in (entry("w-0"), entry("w-1")):
        stand.record(body)
    await stand.settle()
    stand.record(reversal(entry("w-1"), PERSON))
    await stand.settle()
    assert stand.status("w-1") == (["TakenBack"], None)
    assert stand.status("reversal-of-w-1") == (["WorkAccepted"], "0.00")


async def test_work_without_a_price_list_waits_for_it(stand):
    stand.store.drop("PriceList", "uid-standard")
    stand.record(entry("w-1"))
    await stand.settle()
    assert stand.status("w-1") == (["PriceUnknown"], None)
    body = price_list("standard")
    body["metadata"]["uid"] = "another"
    stand.put(stand.kube._store(body))
    await stand.settle()
    assert stand.status("w-1") == (["WorkAccepted"], "30.00")


async def test_work_is_priced_by_the_list_that_was_agreed_when_it_began(stand):
    dear = price_list("dear")
    dear["spec"]["rates"][0]["hourly"] = "200.00"
    party = customer("kunde-a", "kunde-a", "kunde-b")
    party["spec"]["priceLists"].append(agreed_prices("dear", "2026-01-05T10:00:00Z"))
    for body in (dear, party):
        stand.put(stand.kube._store(body))
    stand.record(entry("over-the-turn", begin="2026-01-05T09:50:00Z", end="2026-01-05T10:05:00Z"))
    stand.record(entry("after", begin="2026-01-05T10:05:00Z", end="2026-01-05T10:20:00Z"))
    await stand.settle()
    assert stand.status("over-the-turn") == (["WorkAccepted"], "30.00")
    assert stand.status("after") == (["WorkAccepted"], "50.00")


async def test_the_operators_own_work_has_no_status(stand):
    charge = {"billing": "Effort", "clause": "6.3", "counted": "15m", "amount": "30.00", "currency": "EUR"}
    charge |= {"priceListRef": {"name": "standard"}, "explanation": "15m"}
    stand.record(work_entry("kunde-a", "op-x-work", "operator", charge=charge))
    await stand.settle()
    assert stand.kube.calls == []


async def test_work_that_comes_before_its_request_is_looked_at_again(stand):
    stand.record(entry("w-1", changeRequestRef={"name": "late"}), f"{NOW:%Y-%m-%dT%H:%M:%SZ}")
    await stand.settle()
    assert stand.kube.calls == []
    assert stand.again[ObjectKey("WorkEntry", "kunde-a", "w-1")].next_check > NOW
    late = asked("kunde-a")
    late["metadata"]["name"] = "late"
    stand.put(stand.kube._store(late))
    await stand.settle()
    assert stand.status("w-1") == (["WorkAccepted"], "30.00")


async def test_a_wrong_counter_entry_is_followed_by_the_right_one(stand):
    stand.record(entry("w-0"))
    stand.record(reversal(entry("w-0"), PERSON, changeRequestRef={"name": "another"}))
    await stand.settle()
    assert stand.status("reversal-of-w-0") == (["ForeignRecord"], None)
    stand.record(reversal(entry("w-0"), PERSON, version=2))
    await stand.settle()
    assert stand.status("reversal-2-of-w-0") == (["WorkAccepted"], "-30.00")


async def test_a_second_counter_entry_waits_for_the_wrong_first_one_in_any_order(stand):
    stand.record(entry("w-0"))
    stand.record(reversal(entry("w-0"), PERSON, version=2))
    await stand.settle()
    assert stand.status("reversal-2-of-w-0") == (["UnknownRecord"], None)
    stand.record(reversal(entry("w-0"), PERSON, changeRequestRef={"name": "another"}))
    await stand.settle()
    assert stand.status("reversal-2-of-w-0") == (["WorkAccepted"], "-30.00")


async def test_what_is_billed_of_a_fault_is_accepted_once_somebody_releases_it_after_its_end(stand):
    done = asked("kunde-a")
    done["spec"]["kind"] = "FaultReport"
    done["metadata"]["name"] = "fault"
    done["status"] |= {"state": "Done", "completedAt": RECORDED}
    done["status"]["authority"] |= {"mayOrder": False}
    stand.put(stand.kube._store(done))
    stand.record(entry("w-1", cause="CustomerChange", changeRequestRef={"name": "fault"}))
    await stand.settle()
    assert stand.status("w-1") == (["RequestHeld"], None)
    release = {"decision": "Release", "decidedAs": "Staff", "changeRequestRef": {"name": "fault"}}
    body = request_decision("kunde-a", "release", PERSON, **release)
    body["metadata"]["creationTimestamp"] = RECORDED
    stand.put(stand.kube._store(body))
    await stand.settle()
    assert stand.status("w-1") == (["WorkAccepted"], "30.00")
