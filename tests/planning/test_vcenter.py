"""One VCenter: whether it is the one we know, and whether its clusters let vSphere HA keep the promise (clause 5.2)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.planning.actions import ConfigureClusterHighAvailability
from managedvm.planning.findings import Aspect, Truth
from managedvm.planning.observed import TaskState, Unknown
from managedvm.planning.reasons import Effect, Reason
from managedvm.planning.retry import RETRY_AFTER
from managedvm.planning.vcenter import (
    Connecting,
    Connection,
    ManagedCluster,
    ObservedVCenter,
    Trouble,
    plan,
    told_to_users,
)
from tests.factories import (
    NOW,
    OTHER_UUID,
    VCENTER_UUID,
    cluster,
    minutes,
    service_level,
    service_levels,
    task,
    vcenter,
)

LINK = Connection(VCENTER_UUID, "VMware vCenter Server 8.0.3")
SICK = cluster(moref="domain-c2", name="c2", options={})


def kept(facts, *levels) -> ManagedCluster:
    """Return a cluster with VMs of these levels, all of which may be changed."""
    return ManagedCluster(facts, frozenset(levels), frozenset(levels))


def watched(facts, *levels) -> ManagedCluster:
    """Return a cluster with VMs of these levels, none of which may be changed."""
    return ManagedCluster(facts, frozenset(levels), frozenset())


def observed(*clusters, **read) -> ObservedVCenter:
    used = tuple(c if isinstance(c, ManagedCluster) else kept(c, *service_levels()) for c in clusters)
    fields = {"connection": LINK, "clusters": used, "levels": service_levels(), "missing_policies": ()}
    return ObservedVCenter(**{**fields, **read})


def known_as(uuid, **spec):
    own = vcenter(**spec)
    return own.model_copy(update={"status": own.status.model_copy(update={"instance_uuid": uuid})})


ENFORCED = vcenter(clusterSettings="Enforce")


def reasons(found) -> dict[Aspect, Reason]:
    return {finding.aspect: finding.reason for finding in found.findings}


def test_a_healthy_vcenter_says_who_it_is():
    found = plan(vcenter(), observed(cluster()), NOW)
    assert reasons(found) == {
        Aspect.CONNECTED: Reason.CONNECTED,
        Aspect.CLUSTERS_CONFIGURED: Reason.CLUSTERS_AS_PROMISED,
    }
    assert (found.status.instance_uuid, found.status.product) == (VCENTER_UUID, "VMware vCenter Server 8.0.3")
    assert (found.actions, found.next_check) == ((), None)


def test_trouble_is_for_a_person_and_keeps_what_was_known():
    own = known_as(VCENTER_UUID)
    found = plan(own, observed(SICK, connection=Trouble(Reason.CREDENTIALS_MISSING, "no Secret")), NOW)
    assert reasons(found) == {Aspect.CONNECTED: Reason.CREDENTIALS_MISSING}
    assert (found.status, found.actions) == (own.status, ())


def test_a_vcenter_that_does_not_answer_concludes_nothing():
    own = known_as(VCENTER_UUID, clusterSettings="Enforce")
    found = plan(own, observed(SICK, connection=Unknown("not reachable", detail="timeout")), NOW)
    (finding,) = found.findings
    assert (finding.reason, finding.truth) == (Reason.VCENTER_UNREACHABLE, Truth.UNKNOWN)
    assert finding.message.startswith("not reachable: timeout")
    assert (found.status, found.actions) == (own.status, ())


@pytest.mark.parametrize(
    "state",
    [
        Trouble(Reason.CREDENTIALS_MISSING, "Secret managedvm-system/vcenter-berlin is missing"),
        Trouble(Reason.WAITING, "vCenter refuses the password of svc-managedvm@vsphere.local"),
        Unknown("not reachable since 2026-11-23T12:00:00Z", detail="10.1.2.3:443 refuses the connection"),
    ],
    ids=["Secret", "account", "address"],
)
def test_whoever_uses_a_vcenter_learns_nothing_of_its_accounts_secrets_and_addresses(state):
    told = told_to_users(state)
    assert told.reason
    assert not told.detail
    assert not any(word in told.reason for word in ("managedvm-system", "svc-managedvm", "10.1.2.3"))


def test_a_first_connection_is_told_as_one_that_time_completes():
    found = plan(vcenter(), observed(connection=Connecting("its inventory is being read")), NOW)
    (finding,) = found.findings
    assert (finding.reason, finding.truth, finding.effect) == (
        Reason.CONNECTING,
        Truth.UNKNOWN,
        Effect.RECONCILING,
    )


@pytest.mark.parametrize(
    ("link", "truth"), [(LINK, Truth.TRUE), (Unknown("timeout"), Truth.UNKNOWN)], ids=["serves", "serves not"]
)
def test_while_a_changed_vcenter_is_connected_anew_the_connection_before_counts_and_nothing_is_done(
    link, truth
):
    own = known_as(VCENTER_UUID, clusterSettings="Enforce")
    found = plan(own, observed(SICK, connection=link, is_changing=True), NOW)
    (finding,) = found.findings
    assert (finding.reason, finding.truth) == (Reason.CONNECTING, truth)
    assert (found.status, found.actions) == (own.status, ())


def test_another_vcenter_behind_the_same_address_freezes_everything():
    own = known_as(OTHER_UUID, clusterSettings="Enforce")
    found = plan(own, observed(SICK), NOW)
    assert reasons(found) == {Aspect.CONNECTED: Reason.IDENTITY_CHANGED}
    assert (found.status, found.actions) == (own.status, ())


def test_in_observe_mode_another_vcenter_is_accepted():
    found = plan(known_as(OTHER_UUID, maximumMode="Observe"), observed(cluster()), NOW)
    assert found.status.instance_uuid == VCENTER_UUID


def test_a_cluster_that_differs_is_repaired_where_it_may_be():
    found = plan(ENFORCED, observed(cluster(), SICK), NOW)
    assert found.actions == (
        ConfigureClusterHighAvailability("domain-c2", options={"das.iostatsInterval": "120"}),
    )
    assert reasons(found)[Aspect.CLUSTERS_CONFIGURED] is Reason.HA_REPAIRING


@pytest.mark.parametrize(
    "spec",
    [{}, {"clusterSettings": "Observe"}, {"clusterSettings": "Enforce", "maximumMode": "Observe"}],
    ids=["by default", "in Observe", "in Enforce, capped"],
)
def test_else_its_drift_is_told_and_nothing_is_touched(spec):
    found = plan(vcenter(**spec), observed(SICK), NOW)
    assert found.actions == ()
    assert reasons(found)[Aspect.CLUSTERS_CONFIGURED] is Reason.CLUSTER_DRIFT


def test_the_cluster_of_vms_that_may_not_be_changed_is_told_of_and_not_touched():
    found = plan(ENFORCED, observed(watched(SICK, "standard")), NOW)
    assert found.actions == ()
    (told,) = [f for f in found.findings if f.aspect is Aspect.CLUSTERS_CONFIGURED]
    assert told.reason is Reason.CLUSTER_DRIFT
    assert "Cluster c2 has das.iostatsInterval not set instead of 120" in told.message
    assert "spec.mode of a ManagedVM in that cluster, to Enforce" in told.message


def test_beside_it_the_cluster_of_vms_that_may_be_changed_is_repaired():
    other = replace(SICK, moref="domain-c3", name="c3")
    found = plan(ENFORCED, observed(watched(SICK, "standard"), kept(other, "standard")), NOW)
    assert [action.cluster for action in found.actions] == ["domain-c3"]
    said = [f.reason for f in found.findings if f.aspect is Aspect.CLUSTERS_CONFIGURED]
    assert said == [Reason.HA_REPAIRING, Reason.CLUSTER_DRIFT]


def test_a_level_of_vms_that_may_not_be_changed_has_no_say_beside_one_that_may():
    cluster = ManagedCluster(SICK, frozenset({"standard", "odd"}), frozenset({"odd"}))
    (action,) = plan(ENFORCED, observed(cluster, levels=WITH_ODD), NOW).actions
    assert action.options == {"das.iostatsInterval": "60"}


def test_nothing_is_touched_while_an_admission_policy_is_missing():
    assert plan(ENFORCED, observed(SICK, missing_policies=("managedvm-records",)), NOW).actions == ()


def odd_level():
    """Return a level that asks for another cluster-wide value than all others."""
    level = service_level()
    other = level.high_availability.model_copy(update={"io_quiet_interval": timedelta(seconds=60)})
    return level.model_copy(update={"high_availability": other})


WITH_ODD = {**service_levels(), "odd": odd_level()}


def test_levels_in_one_cluster_that_want_different_values_are_for_a_person():
    torn = kept(SICK, "standard", "odd")
    found = plan(ENFORCED, observed(torn, levels=WITH_ODD), NOW)
    assert found.actions == ()
    assert reasons(found)[Aspect.CLUSTERS_CONFIGURED] is Reason.LEVELS_DISAGREE
    said = next(f.message for f in found.findings if f.reason is Reason.LEVELS_DISAGREE)
    assert "odd, standard of VMs in cluster" in said
    assert "60, 120 s" in said


def test_a_level_that_nobody_uses_has_no_say():
    found = plan(ENFORCED, observed(kept(SICK, "standard"), levels=WITH_ODD), NOW)
    (action,) = found.actions
    assert action.options == {"das.iostatsInterval": "120"}


def test_each_cluster_is_set_as_its_own_levels_ask():
    other = replace(SICK, moref="domain-c3", name="c3")
    torn = replace(SICK, moref="domain-c4", name="c4")
    clusters = (
        kept(SICK, "standard"),
        kept(other, "odd"),
        kept(torn, "odd", "premium"),
    )
    found = plan(ENFORCED, observed(*clusters, levels=WITH_ODD), NOW)
    assert {a.cluster: a.options["das.iostatsInterval"] for a in found.actions} == {
        "domain-c2": "120",
        "domain-c3": "60",
    }
    assert Reason.LEVELS_DISAGREE in [finding.reason for finding in found.findings]


def test_without_any_level_nothing_is_promised():
    assert plan(ENFORCED, observed(SICK, levels={}), NOW).actions == ()


def test_a_repair_under_way_is_not_sent_again():
    running = replace(SICK, task=task(TaskState.RUNNING, end=None))
    assert plan(ENFORCED, observed(running), NOW).actions == ()


def test_a_refused_repair_rests_while_the_other_clusters_are_repaired():
    refused = replace(SICK, task=task(TaskState.ERROR, fault="NoPermission", end=NOW))
    other = replace(SICK, moref="domain-c3", name="c3")
    found = plan(ENFORCED, observed(refused, other), NOW + minutes(1))
    assert [action.cluster for action in found.actions] == ["domain-c3"]
    assert found.next_check == NOW + RETRY_AFTER
    again = plan(ENFORCED, observed(refused), NOW + RETRY_AFTER)
    assert [action.cluster for action in again.actions] == ["domain-c2"]
