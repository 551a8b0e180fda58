"""The relist: what a watch lost is found, healed and told, and a watch that is only slow is left alone."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

import pytest

from managedvm.engine.liveness import Liveness
from managedvm.engine.objects import Listed, ObjectKey, What
from managedvm.engine.relist import Listing, Relister, RelistSettings
from managedvm.engine.store import StaleListError, Store
from tests.engine.virtual import clock, until, virtual

SETTINGS = RelistSettings(
    interval=timedelta(seconds=300), retry_seconds=15, grace_seconds=2, fetches_at_once=3
)


class Cluster:
    """An API server, and everything between it and the store; the watch is whatever a test does itself."""

    def __init__(self, kinds=("VM",)):
        self.version, self.objects = 0, {}
        self.store = Store()
        self.liveness = Liveness(kinds, progress=lambda: None, lag_seconds=lambda: 0.0, clock=clock)
        self.changes, self.lists, self.fetched = [], [], []
        self.fetching = self.most_fetching = 0
        self.failures = []
        self.relister = Relister(
            self.store,
            self.liveness,
            list_metadata=self._list,
            fetch=self._fetch,
            on_change=self.changes.append,
            clock=clock,
            settings=SETTINGS,
        )

    def write(self, name, kind="VM", *, told=False):
        self.version += 1
        held = self.objects.get((kind, name))
        uid = held["metadata"]["uid"] if held else f"uid-{self.version}"
        metadata = {"name": name, "namespace": "a", "uid": uid, "resourceVersion": str(self.version)}
        self.objects[kind, name] = {"kind": kind, "metadata": metadata, "spec": {"at": self.version}}
        if told:
            self.store.put(self.objects[kind, name])

    def delete(self, name):
        self.version += 1
        del self.objects["VM", name]

    def truth(self):
        return {obj["metadata"]["name"]: obj for (kind, _), obj in self.objects.items() if kind == "VM"}

    def held(self):
        return {obj["metadata"]["name"]: obj for obj in self.store.all("VM")}

    async def _list(self, kind):
        self.lists.append((kind, clock() - 1000))
        if self.failures:
            raise self.failures.pop(0)
        lines = [
            Listed(obj["metadata"]["uid"], "a", name, obj["metadata"]["resourceVersion"])
            for (of_kind, name), obj in self.objects.items()
            if of_kind == kind
        ]
        listing = Listing(str(self.version), lines)
        await asyncio.sleep(0.3)
        return listing

    async def _fetch(self, key):
        self.fetched.append(key.name)
        self.fetching += 1
        self.most_fetching = max(self.most_fetching, self.fetching)
        await asyncio.sleep(0.1)
        self.fetching -= 1
        return self.objects.get((key.kind, key.name))


@virtual
async def test_a_deletion_that_the_watch_lost_is_found_and_told():
    cluster = Cluster()
    cluster.write("web", told=True)
    cluster.write("db", told=True)
    cluster.delete("web")

    assert await cluster.relister.relist("VM") == 1
    assert cluster.held() == cluster.truth()
    assert [(change.key, change.what) for change in cluster.changes] == [
        (ObjectKey("VM", "a", "web"), What.GONE)
    ]
    assert cluster.fetched == []


@virtual
async def test_what_the_watch_lost_is_fetched_a_few_at_a_time_and_told():
    cluster = Cluster()
    cluster.write("stale", told=True)
    for number in range(7):
        cluster.write(f"missing-{number}")
    cluster.write("stale")

    assert await cluster.relister.relist("VM") == 8
    assert cluster.held() == cluster.truth()
    assert {change.what for change in cluster.changes} == {What.CREATED, What.SPEC}
    assert cluster.most_fetching == 3
    assert cluster.relister.healed == 8


@virtual
async def test_a_store_that_is_true_already_costs_one_list_and_nothing_else():
    cluster = Cluster()
    cluster.write("web", told=True)

    assert await cluster.relister.relist("VM") == 0
    assert (cluster.changes, cluster.fetched) == ([], [])


@virtual
async def test_what_the_watch_tells_within_the_grace_is_not_fetched():
    cluster = Cluster()
    for number in range(20):
        cluster.write(f"vm-{number}")
    relisting = asyncio.create_task(cluster.relister.relist("VM"))
    for obj in list(cluster.objects.values()):  # a slow watch: 20 s in all, but never 2 s without a word
        await asyncio.sleep(1)
        cluster.store.put(obj)

    assert await relisting == 0
    assert cluster.fetched == []


@virtual
async def test_an_object_created_while_the_list_is_on_its_way_stays():
    cluster = Cluster()
    cluster.write("old", told=True)
    relisting = asyncio.create_task(cluster.relister.relist("VM"))
    await asyncio.sleep(0.1)
    cluster.write("new", told=True)

    assert await relisting == 0
    assert set(cluster.held()) == {"old", "new"}


@virtual
async def test_an_object_deleted_after_the_list_is_gone_when_its_fetch_finds_nothing():
    cluster = Cluster()
    cluster.write("web", told=True)
    cluster.write("web")
    relisting = asyncio.create_task(cluster.relister.relist("VM"))
    await asyncio.sleep(1)
    cluster.delete("web")

    await relisting
    assert cluster.held() == {}
    assert [change.what for change in cluster.changes] == [What.GONE]


@virtual
async def test_an_object_recreated_after_the_list_is_told_as_gone_and_as_created():
    cluster = Cluster()
    cluster.write("web", told=True)
    cluster.write("web")
    relisting = asyncio.create_task(cluster.relister.relist("VM"))
    await asyncio.sleep(1)
    cluster.delete("web")
    cluster.write("web")

    await relisting
    assert cluster.held() == cluster.truth()
    assert [change.what for change in cluster.changes] == [What.GONE, What.CREATED]


@virtual
async def test_a_list_from_the_past_is_a_failure_and_changes_nothing():
    cluster = Cluster()
    cluster.write("web")
    cluster.write("web", told=True)
    cluster.version -= 1  # as after the restore of a backup
    cluster.objects.clear()

    with pytest.raises(StaleListError):
        await cluster.relister.relist("VM")
    assert set(cluster.held()) == {"web"}


@virtual
async def test_the_store_is_synced_once_every_kind_was_compared_and_completed():
    cluster = Cluster(kinds=("VM", "Customer"))
    cluster.write("web")
    cluster.write("kunde-a", kind="Customer")
    cluster.failures = [ConnectionError("refused")]
    running = asyncio.create_task(cluster.relister.run(["VM", "Customer"]))
    await asyncio.sleep(10)
    assert not cluster.relister.synced.is_set()

    await cluster.relister.synced.wait()
    assert cluster.store.keys("VM") == [ObjectKey("VM", "a", "web")]
    assert cluster.store.keys("Customer") == [ObjectKey("Customer", "a", "kunde-a")]
    assert cluster.liveness.failed_relists == {"VM": 1, "Customer": 0}
    running.cancel()


@virtual
async def test_kinds_are_listed_at_once_and_then_each_at_its_own_beat():
    kinds = ("VM", "Customer", "PriceList")
    cluster = Cluster(kinds)
    running = asyncio.create_task(cluster.relister.run(kinds))
    await asyncio.sleep(1800)
    running.cancel()

    times = {kind: [when for listed, when in cluster.lists if listed == kind] for kind in kinds}
    assert all(whens[0] == 0 for whens in times.values())
    assert all(whens[1] <= 301 for whens in times.values())
    for whens in times.values():
        gaps = [later - earlier for earlier, later in itertools.pairwise(whens[1:])]
        assert gaps == pytest.approx([300] * len(gaps), abs=1)
    assert len({round(whens[1]) for whens in times.values()}) == 3


@virtual
async def test_an_api_server_that_is_away_for_a_minute_is_sat_out():
    cluster = Cluster()
    cluster.failures = [ConnectionError("refused")] * 4
    running = asyncio.create_task(cluster.relister.run(["VM"]))
    await asyncio.sleep(90)

    assert cluster.relister.synced.is_set()
    assert cluster.liveness.report(clock()).ok
    running.cancel()


@virtual
async def test_a_watch_that_died_is_noticed_although_relists_go_well():
    cluster = Cluster()
    running = asyncio.create_task(cluster.relister.run(["VM"]))
    for number in range(20):
        await asyncio.sleep(50)
        cluster.write(f"vm-{number}")
    await until(lambda: not cluster.liveness.report(clock()).ok, every=1)

    assert "did not tell" in cluster.liveness.report(clock()).reasons[0]
    running.cancel()
