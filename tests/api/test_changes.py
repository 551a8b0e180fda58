"""Clause 6.3 and 4: a change of configuration is ordered by a slip of its own, in the name of who may order."""

import pytest

from tests.api.bodies import managed_vm
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

NEW_ID = "set spec.change to a new id"


def slip(requested_by, number="one", **more):
    return {"id": f"change-{number}", "requestedBy": requested_by, **more}


def grown(requested_by, number="one", memory="8Gi"):
    return {"spec": {"resources": {"memory": memory}, "change": slip(requested_by, number)}}


@pytest.fixture
def changed(tenant, vm):
    """The VM after the customer has ordered more memory once."""
    answer = tenant.customer.patch(vm, grown(tenant.user("customer")))
    assert_done(answer)
    return answer.body


@pytest.mark.parametrize("role", ["customer", "provider", "pipeline", "cluster-admin"])
@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"resources": {"memory": "8Gi"}}},
        {"spec": {"resources": {"cpus": 4}}},
        {"spec": {"resources": {"disks": [{"name": "data", "deviceNode": "SCSI(0:1)", "size": "40Gi"}]}}},
        {"spec": {"resources": {"cpus": None}}},
        {"spec": {"resources": None}},
        [{"op": "remove", "path": "/spec/resources"}],
        [{"op": "replace", "path": "/spec/resources", "value": {}}],
    ],
    ids=["memory", "cpus", "disk", "cpus null", "all null", "removed", "emptied"],
)
def test_a_change_of_configuration_needs_a_slip(tenant, vm, role, patch):
    assert_refused(
        tenant.client(role).patch(vm, patch), "spec.change", "spec.resources", "clause 6.3", NEW_ID
    )


@pytest.mark.parametrize("role", ["customer", "provider"])
def test_a_change_of_configuration_with_a_slip_is_accepted(tenant, vm, role):
    assert_done(tenant.client(role).patch(vm, grown(tenant.user(role))))


def test_the_next_change_needs_the_next_slip(tenant, changed):
    again = {"spec": {"resources": {"memory": "16Gi"}}}
    assert_refused(tenant.customer.patch(changed, again), "spec.change", "clause 6.3", NEW_ID)
    repeated = grown(tenant.user("customer"), memory="16Gi")
    assert_refused(tenant.customer.patch(changed, repeated), "spec.change", "clause 6.3", NEW_ID)
    assert_done(tenant.customer.patch(changed, grown(tenant.user("customer"), "two", "16Gi")))


def test_a_change_is_not_taken_back_without_a_slip(tenant, changed):
    back = {"spec": {"resources": {"memory": "4Gi"}}}
    assert_refused(tenant.customer.patch(changed, back), "spec.change", "clause 6.3", NEW_ID)


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"change": {"ticket": "4712"}}},
        {"spec": {"change": None}},
        [{"op": "remove", "path": "/spec/change"}],
        [{"op": "remove", "path": "/spec/change/ticket"}],
    ],
    ids=["edited", "null", "removed", "ticket removed"],
)
@pytest.mark.parametrize("role", ["customer", "provider", "cluster-admin"])
def test_a_slip_is_never_edited_or_removed(tenant, vm, role, patch):
    ordered = {"spec": {"change": slip(tenant.user("customer"), ticket="4711")}}
    assert_done(tenant.customer.patch(vm, ordered))
    answer = tenant.client(role).patch(vm, patch)
    assert_refused(answer, "spec.change", "never changes and is never removed", "clause 4", "use a new id")


def test_a_slip_is_not_handed_to_somebody_else(tenant, changed):
    patch = {"spec": {"change": {"requestedBy": tenant.user("requester")}}}
    assert_refused(tenant.provider.patch(changed, patch), "spec.change", "clause 4", "use a new id")


def test_removing_slip_and_configuration_at_once_is_refused(tenant, changed):
    patch = {"spec": {"change": None, "resources": None}}
    assert_refused(tenant.customer.patch(changed, patch), "spec.change")


def test_the_customers_pipeline_does_not_order_for_somebody_else(tenant, vm):
    answer = tenant.customer.patch(vm, grown("chef@kunde-a.example"))
    me = f"you are {tenant.user('customer')}"
    assert_refused(answer, "spec.change.requestedBy", me, "chef@kunde-a.example", "clause 4", "verb attest")


@pytest.mark.parametrize(
    "twist", [str.upper, lambda me: f"{me} ", lambda me: f"{me}\u200b"], ids=["case", "space", "zero width"]
)
def test_a_name_that_only_looks_like_mine_is_somebody_elses(tenant, vm, twist):
    answer = tenant.customer.patch(vm, grown(twist(tenant.user("customer"))))
    assert_refused(answer, "spec.change.requestedBy", "clause 4", "verb attest")


def test_a_careless_role_does_not_include_the_verb_attest(tenant, vm):
    answer = tenant.pipeline.patch(vm, grown("chef@kunde-a.example"))
    assert_refused(answer, "spec.change.requestedBy", "clause 4", "verb attest")


def test_the_provider_enters_an_order_for_its_customer(tenant, vm):
    assert_done(tenant.provider.patch(vm, grown("chef@kunde-a.example")))


def test_nobody_is_named_on_creation_without_attest(tenant, name):
    body = managed_vm(tenant.namespace, name, change=slip("chef@kunde-a.example"))
    answer = tenant.pipeline.create(body)
    assert_refused(answer, "spec.change.requestedBy", "clause 4", "verb attest")
    assert_done(tenant.provider.create(body))


def test_a_slip_says_only_what_was_written_into_it(tenant, vm):
    """Two tools apply slips one after the other: the ticket of the first is none of the second's."""

    def applied(manager, memory, **fields):
        body = {key: vm[key] for key in ("apiVersion", "kind")}
        body["metadata"] = {"name": vm["metadata"]["name"], "namespace": tenant.namespace}
        body["spec"] = {"resources": {"memory": memory}, "change": fields}
        answer = tenant.provider.apply(body, manager=manager, force=True)
        assert_done(answer)
        return answer.body["spec"]["change"]

    user = tenant.user("provider")
    first = {"id": "first", "requestedBy": user, "ticket": "4711"}
    assert applied("git", "8Gi", **first) == first
    second = {"id": "second", "requestedBy": user}
    assert applied("portal", "16Gi", **second) == second


def test_the_windows_of_a_vm_are_agreed_on_as_a_whole(tenant, name):
    hours = {"days": ["Sat"], "start": "05:00", "end": "07:00"}
    agreed = {"timeZone": "UTC", "windows": [hours], "agreedBy": "Anna", "agreedAt": "2026-01-01T00:00:00Z"}
    body = managed_vm(tenant.namespace, name)
    assert_done(tenant.provider.create(body))
    body["spec"] = {"maintenance": {"agreed": agreed}}
    assert_done(tenant.provider.apply(body, manager="git", force=True))
    lacking = {**agreed}
    del lacking["agreedBy"]
    body["spec"] = {"maintenance": {"agreed": lacking}}
    answer = tenant.provider.apply(body, manager="portal", force=True)
    assert_refused(answer, "spec.maintenance.agreed.agreedBy", "Required value")


def test_operation_needs_no_slip(tenant, changed):
    operation = {"suspend": True, "mode": "Enforce", "restartPolicy": "InWindow", "deletionProtection": False}
    assert_done(tenant.customer.patch(changed, {"spec": operation}))


def test_the_first_configuration_needs_no_slip(tenant, name):
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name, resources={"cpus": 8})))


@pytest.mark.parametrize("memory", ["25Ti", "24577Gi", "8388604Ti", "99999999999999Ti"])
def test_more_memory_than_a_vm_can_have_is_refused(tenant, name, memory):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, resources={"memory": memory}))
    assert_refused(answer, "spec.resources.memory", "at most 24Ti", "clause 6.3", "write for example 8Gi")


@pytest.mark.parametrize("size", ["63Ti", "63489Gi", "400Ti", "8388608Ti", "99999999999999Ti"])
def test_a_larger_disk_than_there_is_is_refused(tenant, vm, size):
    disks = [{"name": "data", "deviceNode": "SCSI(0:1)", "size": size}]
    ordered = {"resources": {"disks": disks}, "change": slip(tenant.user("customer"), "one")}
    answer = tenant.customer.patch(vm, {"spec": ordered})
    assert_refused(
        answer, "spec.resources.disks[0].size", "at most 62Ti", "clause 6.3", "write for example 40Gi"
    )


def test_the_largest_vm_there_is_can_be_ordered(tenant, name):
    disks = [{"name": "data", "deviceNode": "SCSI(0:1)", "size": "62Ti"}]
    body = managed_vm(tenant.namespace, name, resources={"memory": "24Ti", "disks": disks})
    assert_done(tenant.provider.create(body))


@pytest.mark.parametrize("memory", ["4097Mi", "3Mi"])
def test_memory_that_vsphere_does_not_take_is_refused(tenant, name, memory):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, resources={"memory": memory}))
    assert_refused(answer, "spec.resources.memory", "multiple of 4Mi", "clause 6.3")


def test_two_disks_at_one_place_are_refused(tenant, name):
    disks = [{"name": disk, "deviceNode": "SCSI(0:0)", "size": "1Gi"} for disk in ("a", "b")]
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, resources={"disks": disks}))
    assert_refused(answer, "spec.resources.disks", "same deviceNode", "clause 6.3")
