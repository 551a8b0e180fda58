"""The store: what each event and each list may change, and how to find what is held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from managedvm.engine import store as store_module
from managedvm.engine.objects import Change, Listed, MalformedObjectError, ObjectKey, What
from managedvm.engine.store import StaleListError, Store


def vm(name="web", uid=None, version=1, namespace="a", **parts):
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
    }
    metadata |= parts.pop("metadata", {"generation": 1})
    return {"apiVersion": "example.dev/v1", "kind": "VM", "metadata": metadata, **parts}


def line(name="web", uid=None, version=1, namespace="a"):
    return Listed(uid or f"uid-{name}", namespace, name, str(version))


def names(objects):
    return [obj["metadata"]["name"] for obj in objects]


def test_the_first_version_of_an_object_is_a_creation():
    assert Store().put(vm()) == Change(ObjectKey("VM", "a", "web"), "uid-web", What.CREATED)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param({"metadata": {"generation": 2}}, What.SPEC, id="a new generation"),
        pytest.param(
            {"metadata": {"generation": 1, "deletionTimestamp": "now"}}, What.SPEC, id="deletion asked for"
        ),
        pytest.param({"data": {"key": "new"}}, What.SPEC, id="data of a kind that counts no generations"),
        pytest.param({"metadata": {"generation": 1, "labels": {"a": "b"}}}, What.METADATA, id="a label"),
        pytest.param({"metadata": {"generation": 1, "finalizers": ["x/y"]}}, What.METADATA, id="a finalizer"),
        pytest.param({"status": {"ready": True}}, What.STATUS, id="only the status"),
        pytest.param({"metadata": {"generation": 1, "managedFields": [{}]}}, None, id="only bookkeeping"),
        pytest.param({}, None, id="nothing but the version"),
    ],
)
def test_a_change_names_its_weightiest_part(change, what):
    store = Store()
    store.put(vm())

    changed = store.put(vm(version=2, **change))

    assert (changed.what if changed else None) == what
    assert store.get("VM", "a", "web")["metadata"]["resourceVersion"] == "2"


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_that_is_not_newer_changes_nothing(version):
    store = Store()
    store.put(vm(version=2, status={"seen": "new"}))

    assert store.put(vm(version=version, status={"seen": "old"})) is None
    assert store.get("VM", "a", "web")["status"] == {"seen": "new"}


def test_versions_compare_as_numbers_and_not_as_text():
    store = Store()
    store.put(vm(version=9))

    assert store.put(vm(version=10, status={"seen": "new"})).what == What.STATUS


def test_the_version_that_is_held_can_be_asked_for_by_name():
    store = Store()
    store.put(vm(version=9))
    store.put(vm(version=10, status={"seen": "new"}))

    assert store.version("VM", "a", "web") == 10


def test_a_recreated_object_replaces_the_old_one_of_its_name():
    store = Store()
    store.put(vm(uid="old", version=5))

    assert store.put(vm(uid="new", version=7)).what == What.CREATED
    assert store.get_by_uid("VM", "old") is None
    assert store.count("VM") == 1


def test_a_late_event_of_the_old_object_does_not_undo_the_recreation():
    store = Store()
    store.put(vm(uid="old", version=5))
    store.put(vm(uid="new", version=7))

    assert store.put(vm(uid="old", version=8)) is None
    assert store.drop("VM", "old") is None
    assert store.get("VM", "a", "web")["metadata"]["uid"] == "new"


def test_an_older_object_first_seen_after_its_successor_is_not_taken_for_it():
    store = Store()
    store.put(vm(uid="new", version=7))

    assert store.put(vm(uid="old", version=5)) is None


def test_a_deleted_object_is_gone_from_every_way_to_it():
    store = Store({"VM": {"owner": lambda obj: [obj["spec"]["owner"]]}})
    store.put(vm(spec={"owner": "x"}))

    assert store.drop("VM", "uid-web") == Change(ObjectKey("VM", "a", "web"), "uid-web", What.GONE)
    assert store.get("VM", "a", "web") is None
    assert store.get_by_uid("VM", "uid-web") is None
    assert store.version("VM", "a", "web") is None
    assert store.keys("VM") == []
    assert [*store.all("VM"), *store.in_namespace("VM", "a"), *store.by_index("VM", "owner", "x")] == []


def test_a_deleted_object_does_not_return_with_an_answer_that_was_on_its_way():
    store = Store()
    store.put(vm(version=3))
    store.drop("VM", "uid-web")

    assert store.put(vm(version=2)) is None
    assert store.replace("VM", [line(version=3)], "3").missing_or_stale == ()
    assert store.put(vm(version=3)) is None


def test_a_list_shows_the_deletions_that_the_watch_lost():
    store = Store()
    store.put(vm("web", version=1))
    store.put(vm("db", version=2))

    diff = store.replace("VM", [line("db", version=2)], "9")

    assert diff.gone == (Change(ObjectKey("VM", "a", "web"), "uid-web", What.GONE),)
    assert diff.missing_or_stale == ()
    assert names(store.all("VM")) == ["db"]


def test_an_object_created_after_the_list_was_made_is_not_gone():
    store = Store()
    store.put(vm("web", version=12))

    assert store.replace("VM", [], "11").gone == ()
    assert store.replace("VM", [], "12").gone != ()


def test_a_list_shows_what_is_missing_and_what_is_stale():
    store = Store()
    store.put(vm("stale", version=1))
    store.put(vm("current", version=2))
    store.put(vm("newer", version=8))

    listed = [
        line("stale", version=5),
        line("current", version=2),
        line("newer", version=3),
        line("missing", version=4),
    ]

    assert names_of(store.replace("VM", listed, "6").missing_or_stale) == ["stale", "missing"]


def names_of(lines):
    return [each.name for each in lines]


def test_a_list_older_than_what_was_known_before_it_concludes_nothing():
    store = Store()
    store.put(vm(version=40))

    with pytest.raises(StaleListError):
        store.replace("VM", [], "39", not_before=store.newest("VM"))
    assert store.count("VM") == 1


def test_the_newest_version_is_the_highest_ever_held():
    store = Store()
    assert store.newest("VM") == 0

    store.put(vm("web", version=9))
    store.put(vm("db", version=5))
    store.drop("VM", "uid-web")
    assert store.newest("VM") == 9


def test_an_index_finds_objects_by_each_of_its_values_and_follows_changes():
    store = Store({"VM": {"tag": lambda obj: obj["spec"]["tags"]}})
    store.put(vm("web", version=1, spec={"tags": ["x", "y", "x"]}))
    store.put(vm("db", version=2, spec={"tags": ["y"]}))
    assert names(store.by_index("VM", "tag", "y")) == ["web", "db"]

    store.put(vm("web", version=3, spec={"tags": ["z"]}))

    assert names(store.by_index("VM", "tag", "x")) == []
    assert names(store.by_index("VM", "tag", "y")) == ["db"]
    assert names(store.by_index("VM", "tag", "z")) == ["web"]
    assert (store.versions("VM", "tag", "x"), store.versions("VM", "tag", "y")) == ((), (2,))


def test_an_edition_grows_with_what_comes_and_with_what_goes_but_not_with_kinds_left_out():
    store = Store()

    def editions():
        return store.edition("a"), store.edition("a", but={"VM"}), store.edition("b")

    store.put(vm("web"))
    assert editions() == (1, 0, 0)
    store.put({**vm("contacts"), "kind": "Contacts"})
    assert editions() == (2, 1, 0)
    store.drop("VM", "uid-web")
    assert editions() == (3, 1, 0)


def test_an_unknown_index_is_an_error_and_not_an_empty_answer():
    with pytest.raises(KeyError, match="owner"):
        Store().by_index("VM", "owner", "x")
    with pytest.raises(KeyError, match="owner"):
        Store().versions("VM", "owner", "x")


def test_an_index_function_that_fails_leaves_the_store_as_it_was():
    store = Store({"VM": {"owner": lambda obj: [obj["spec"]["owner"]]}})
    store.put(vm(version=1, spec={"owner": "x"}))

    with pytest.raises(KeyError):
        store.put(vm(version=2, spec={}))
    assert names(store.by_index("VM", "owner", "x")) == ["web"]


def test_namespaces_and_kinds_are_kept_apart():
    store = Store()
    store.put(vm(uid="1", namespace="a"))
    store.put(vm(uid="2", namespace="b"))
    store.put(vm(uid="3") | {"kind": "Customer"})

    assert [obj["metadata"]["uid"] for obj in store.in_namespace("VM", "b")] == ["2"]
    assert store.keys("VM") == [ObjectKey("VM", "a", "web"), ObjectKey("VM", "b", "web")]
    assert store.count("Customer") == 1


def test_an_iteration_shows_the_objects_of_its_start():
    store = Store()
    store.put(vm("web", version=1))
    store.put(vm("db", version=2))

    iteration = store.all("VM")
    store.drop("VM", "uid-web")

    assert names(iteration) == ["web", "db"]


def test_what_only_other_tools_read_is_not_held():
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "example.dev/note": "kept"}
    given_object = vm(metadata={"managedFields": [{"manager": "kubectl"}], "annotations": annotations})
    store = Store()
    store.put(given_object)

    held = store.get("VM", "a", "web")["metadata"]

    assert "managedFields" not in held
    assert held["annotations"] == {"example.dev/note": "kept"}
    assert "managedFields" in given_object["metadata"]


def test_nobody_can_change_what_is_held():
    store = Store()
    store.put(vm(status={"ready": True}))

    store.get("VM", "a", "web")["status"]["ready"] = False

    assert store.get("VM", "a", "web")["status"] == {"ready": True}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"kind": "VM"}, id="no metadata"),
        pytest.param(vm(version="opaque"), id="a version that is no number"),
        pytest.param({"metadata": vm()["metadata"]}, id="no kind"),
    ],
)
def test_what_is_no_object_is_refused(broken):
    store = Store()
    with pytest.raises(MalformedObjectError):
        store.put(broken)
    assert store.count("VM") == 0


FILL = """
from hashlib import sha256
from pathlib import Path
from managedvm.engine.store import Store

def condition(number, aspect):
    says = {"type": aspect, "status": "True", "reason": "AsAgreed", "lastTransitionTime": "2026-11-23T07:07:12Z"}
    return {**says, "observedGeneration": 1, "message": sha256(f"{number}{aspect}".encode()).hexdigest()}

def fill(store, numbers):
    for number in numbers:
        metadata = {"name": f"vm-{number}", "namespace": "a", "uid": f"{number:036}", "resourceVersion": str(number)}
        conditions = [condition(number, f"Aspect{aspect}") for aspect in range(16)]
        store.put({"kind": "VM", "metadata": metadata, "status": {"conditions": conditions}})

def used():
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").open() if line.startswith("VmRSS"))

store = Store()
fill(store, range(1, 2_000))
before = used()
fill(store, range(2_000, 12_000))
print((used() - before) / 10_000)
"""


def test_an_object_of_three_kilobytes_takes_less_than_two():
    # In a process of its own: memory that others freed would be used again and not be seen.
    done = subprocess.run(  # noqa: S603 - this interpreter, with the script above
        [sys.executable, "-c", FILL],
        env={"PYTHONPATH": str(Path(store_module.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert 500 < float(done.stdout) < 2000
