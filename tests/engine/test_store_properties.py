"""The store under any mixture of events and lists: lost, late, repeated, out of order. It ends at the truth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from managedvm.engine.objects import Listed, ObjectKey
from managedvm.engine.store import Store
from tests.examples import examples


def vm(name, uid, version):
    metadata = {"name": name, "namespace": "a", "uid": uid, "resourceVersion": str(version), "generation": 1}
    return {"apiVersion": "example.dev/v1", "kind": "VM", "metadata": metadata, "status": {"at": version}}


class Server:
    """An API server with a history of three names; every version it ever sent can arrive at any time."""

    def __init__(self):
        self.version = 0
        self.made = 0
        self.alive = {}
        self.sent = []
        self.lists = []

    def write(self, name):
        self.version += 1
        if name not in self.alive:
            self.made += 1
        uid = self.alive[name]["metadata"]["uid"] if name in self.alive else f"uid-{self.made}"
        self.alive[name] = vm(name, uid, self.version)
        self.sent.append(self.alive[name])

    def delete(self, name):
        if name in self.alive:
            self.version += 1
            self.sent.append(self.alive.pop(name)["metadata"]["uid"])

    def listing(self):
        lines = [
            Listed(each["metadata"]["uid"], "a", name, each["metadata"]["resourceVersion"])
            for name, each in self.alive.items()
        ]
        return lines, str(self.version)


def deliver(store, message):
    if isinstance(message, str):
        store.drop("VM", message)
    else:
        store.put(message)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "delete"]), st.sampled_from("abc")),
        st.tuples(st.sampled_from(["deliver", "list", "apply a list"]), st.integers(0, 9)),
    ),
    max_size=60,
)


@examples(300)
@given(STEPS)
def test_any_mixture_of_lost_late_and_repeated_events_and_lists_ends_at_the_truth(steps):
    server, store = Server(), Store({"VM": {"at": lambda obj: [obj["status"]["at"]]}})
    versions, dead = {}, set()
    for step, which in steps:
        if step == "write":
            server.write(which)
        elif step == "delete":
            server.delete(which)
        elif step == "deliver" and server.sent:
            message = server.sent[-1 - which % len(server.sent)]
            deliver(store, message)
            dead |= {message} if isinstance(message, str) else set()
        elif step == "list":
            server.lists.append(server.listing())
        elif step == "apply a list" and server.lists:
            store.replace("VM", *server.lists[-1 - which % len(server.lists)])
        held = {obj["metadata"]["uid"]: int(obj["metadata"]["resourceVersion"]) for obj in store.all("VM")}
        assert all(versions.get(uid, 0) <= version for uid, version in held.items()), (
            "an object went back in time"
        )
        versions |= held

    lines, version = server.listing()
    diff = store.replace("VM", lines, version, store.newest("VM"))
    for missing in diff.missing_or_stale:
        store.put(server.alive[missing.name])

    assert sorted(store.all("VM"), key=str) == sorted(server.alive.values(), key=str)
    assert store.keys("VM") == sorted(ObjectKey("VM", "a", name) for name in server.alive)
    for obj in server.alive.values():
        assert list(store.by_index("VM", "at", obj["status"]["at"])) == [obj]


@examples(200)
@given(STEPS)
def test_a_list_never_takes_away_an_object_that_lives_nor_keeps_one_that_the_watch_called_dead(steps):
    server, store = Server(), Store()
    for step, which in steps:
        if step == "write":
            server.write(which)
            deliver(store, server.sent[-1])
        elif step == "delete" and which in server.alive:
            server.delete(which)
            deliver(store, server.sent[-1])
        elif step == "list":
            server.lists.append(server.listing())
        elif step == "apply a list" and server.lists:
            diff = store.replace("VM", *server.lists.pop())
            server.lists.clear()
            assert diff.gone == ()
        assert sorted(store.all("VM"), key=str) == sorted(server.alive.values(), key=str)
