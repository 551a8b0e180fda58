"""A cluster is kept while a VM in it is managed: what comes and goes, counted by level."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from managedvm.engine.objects import ObjectKey
from managedvm.world.managed import ManagedClusters, Place
from tests.examples import examples

HERE = Place("berlin", "uuid-b", "domain-c1", "standard", may_act=True)
PREMIUM = Place("berlin", "uuid-b", "domain-c1", "premium", may_act=True)
THERE = Place("altona", "uuid-a", "domain-c1", "standard", may_act=True)


def key(name="web-01"):
    return ObjectKey("ManagedVM", "kunde-a", name)


def test_the_first_vm_of_a_level_in_a_cluster_is_news_and_the_next_is_not():
    managed = ManagedClusters()
    assert managed.note(key(), HERE) == ("berlin",)
    assert managed.note(key(), HERE) == ()
    assert managed.note(key("web-02"), HERE) == ()
    assert managed.note(key("web-03"), PREMIUM) == ("berlin",)
    assert managed.of("uuid-b") == {"domain-c1": {"standard", "premium"}}


def test_the_last_vm_that_goes_takes_its_cluster_along():
    managed = ManagedClusters()
    managed.note(key(), HERE)
    managed.note(key("web-02"), HERE)
    assert managed.note(key(), None) == ()
    assert managed.note(key("web-02"), None) == ("berlin",)
    assert managed.of("uuid-b") == {}
    assert managed.note(key("web-02"), None) == ()


def test_a_vm_that_moves_is_news_where_it_was_and_where_it_is():
    managed = ManagedClusters()
    managed.note(key(), HERE)
    assert managed.note(key(), THERE) == ("berlin", "altona")
    assert managed.note(key(), HERE) == ("altona", "berlin")
    assert managed.note(key(), PREMIUM) == ("berlin",)


def test_a_cluster_is_kept_for_those_vms_alone_that_may_be_changed():
    managed = ManagedClusters()
    managed.note(key(), replace(PREMIUM, may_act=False))
    assert managed.of("uuid-b") == {"domain-c1": {"premium"}}
    assert managed.of("uuid-b", acting_only=True) == {"domain-c1": frozenset()}
    assert managed.note(key("web-02"), HERE) == ("berlin",)
    assert managed.of("uuid-b", acting_only=True) == {"domain-c1": {"standard"}}
    assert managed.note(key(), PREMIUM) == ("berlin",)
    assert managed.of("uuid-b", acting_only=True) == {"domain-c1": {"standard", "premium"}}


places = st.none() | st.builds(
    Place,
    st.just("berlin"),
    st.sampled_from(["uuid-1", "uuid-2"]),
    st.sampled_from(["c1", "c2"]),
    st.sampled_from(["basic", "premium"]),
    st.booleans(),
)


def known(managed):
    uuids = ("uuid-1", "uuid-2")
    return {
        (uuid, acting): managed.of(uuid, acting_only=acting) for uuid in uuids for acting in (False, True)
    }


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 3), places)))
def test_after_any_moves_just_the_clusters_with_vms_are_known(moves):
    managed, now = ManagedClusters(), {}
    for number, place in moves:
        before = known(managed)
        told = managed.note(key(str(number)), place)
        now[number] = place
        after = known(managed)
        assert bool(told) or before == after
        for (uuid, acting_only), clusters in after.items():
            there = {p for p in now.values() if p is not None and p.vcenter_uuid == uuid}
            assert set(clusters) == {p.cluster for p in there}
            assert {(c, level) for c, levels in clusters.items() for level in levels} == {
                (p.cluster, p.level) for p in there if p.may_act or not acting_only
            }
