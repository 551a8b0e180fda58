"""Ways round the rules that a tenant or a careless pipeline would try, and that are none."""

import pytest

from tests.api.bodies import change_request, custom, managed_vm, order, vcenter, work_entry
from tests.api.server import assert_done, assert_refused, place
from tests.api.tenancy import OPERATOR

pytestmark = pytest.mark.lab

ROLES = ("operator", "customer", "requester", "technician", "provider", "archiver", "accountant", "auditor")


@pytest.mark.parametrize("subresource", ["/scale", "/order", "/spec", "/metadata", "/finalizers"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "POST"])
def test_there_is_no_other_door_to_a_vm(tenant, vm, subresource, method):
    form = "application/merge-patch+json" if method == "PATCH" else "application/json"
    assert tenant.admin.ask(method, place(vm) + subresource, vm, form).code in {404, 405}


def test_a_misspelt_field_does_not_stand_for_the_real_one(tenant, name):
    for spelling in ("servicepackage", "ServicePackage", "service_package", "servicePackage "):
        orders = [order(level="premium", **{spelling: "Basic"})]
        answer = tenant.provider.create(
            managed_vm(tenant.namespace, name, orders=orders), fieldValidation="Ignore"
        )
        assert_refused(answer, "spec.orders[A-1].servicePackage", "clause 1")


def test_a_generated_name_meets_every_rule_too(tenant, name):
    body = managed_vm(tenant.namespace, name, orders=[order(level="premium")])
    body["metadata"] = {"namespace": tenant.namespace, "generateName": f"{name}-"}
    assert_refused(tenant.provider.create(body), "spec.orders[A-1].servicePackage", "clause 1")
    body["spec"]["orders"] = [order(level="premium", servicePackage="Basic")]
    answer = tenant.provider.create(body)
    assert_done(answer)
    assert_refused(tenant.provider.delete({**body, **answer.body}), "spec.deletionProtection", "clause 1")


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "add", "path": "/spec/resources/memory", "value": "8Gi"}],
        [
            {"op": "copy", "from": "/spec/resources/cpus", "path": "/spec/resources/cpus"},
            {"op": "remove", "path": "/spec/resources/cpus"},
        ],
        [{"op": "move", "from": "/spec/resources/memory", "path": "/metadata/annotations/memory"}],
    ],
    ids=["add", "copy and remove", "move away"],
)
def test_no_json_patch_changes_the_configuration_without_a_slip(tenant, vm, patch):
    assert_refused(
        tenant.customer.patch(vm, patch), "spec.change", "clause 6.3", "set spec.change to a new id"
    )


@pytest.mark.parametrize("role", ["customer", "provider"])
def test_a_status_cannot_be_written_along_with_a_spec(tenant, vm, role):
    answer = tenant.client(role).patch(vm, {"spec": {"suspend": True}, "status": {"mode": "Enforce"}})
    assert_done(answer)
    assert "mode" not in answer.body["status"]


def test_an_old_copy_of_an_object_does_not_take_a_later_slip_back(tenant, vm):
    slip = {"id": "one", "requestedBy": tenant.user("customer")}
    assert_done(tenant.customer.patch(vm, {"spec": {"resources": {"memory": "8Gi"}, "change": slip}}))
    assert tenant.customer.replace(vm).code == 409
    fresh = {key: value for key, value in vm["metadata"].items() if key != "resourceVersion"}
    answer = tenant.customer.replace({**vm, "metadata": fresh})
    assert answer.code == 422 if "resourceVersion" in answer.message else 403
    assert_done(tenant.admin.read(vm))
    assert tenant.admin.read(vm).body["spec"]["change"] == slip


@pytest.mark.parametrize(
    "almost",
    [
        "system:serviceaccount:default:managedvm-operator",
        "system:serviceaccount:managedvm-system:managedvm-operator-2",
        "system:serviceaccount:managedvm-system:default",
        OPERATOR.upper(),
        "managedvm-operator",
    ],
)
def test_who_is_only_almost_the_operator_is_not_the_operator(tenant, name, almost):
    # In the group of the administrators, so that RBAC refuses nothing and only the policies decide.
    impostor = tenant.admin.impersonate(almost, "system:masters")
    answer = impostor.create(change_request(tenant.namespace, f"op-{name}", almost))
    assert_refused(answer, "metadata.name", "clause 4", "choose another name")
    answer = impostor.create(work_entry(tenant.namespace, name, "operator"))
    assert_refused(answer, "spec.performedBy", "clause 4")
    record = tenant.operator.create(change_request(tenant.namespace, f"op-{name}", "chef@x"))
    answer = impostor.patch(record.body, {"status": {"state": "Done"}}, "/status")
    assert_refused(answer, "only the operator writes the status", "clause 4")


def test_a_customer_gives_itself_no_role(tenant, name):
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": tenant.namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "managedvm-provider",
        },
        "subjects": [{"kind": "User", "name": tenant.user("customer")}],
    }
    for role in (
        "customer",
        "requester",
        "technician",
        "provider",
        "archiver",
        "auditor",
        "operator",
        "pipeline",
    ):
        assert_refused(tenant.client(role).create(binding), "cannot create resource")


def test_a_neighbour_sees_and_changes_nothing(tenant, neighbour, vm):
    stranger = neighbour.customer
    assert_refused(stranger.read(vm), "cannot get resource")
    assert_refused(stranger.patch(vm, {"spec": {"suspend": True}}), "cannot patch resource")
    assert_refused(stranger.create(managed_vm(tenant.namespace, "theirs")), "cannot create resource")


def test_a_request_does_not_reach_into_another_namespace(tenant, neighbour, name):
    body = change_request(neighbour.namespace, name, tenant.user("requester"))
    assert_refused(tenant.requester.create(body), "cannot create resource")
    # No field of a request could name a namespace.
    body = change_request(tenant.namespace, name, tenant.user("requester"))
    body["spec"]["managedVMRef"] = {"name": f"{neighbour.namespace}/web-01"}
    assert_refused(tenant.requester.create(body), "spec.managedVMRef.name")


def test_the_largest_objects_do_not_exhaust_a_rule(tenant, name):
    """Each rule's price is estimated by the bounds of the fields; here is that the estimate holds."""
    orders = [
        {
            "reference": f"{'A' * 60}-{n:02d}",
            "serviceLevel": "standard",
            "from": f"20{n:02d}-01-01T00:00:00.000000000+00:00",
            "until": f"20{n:02d}-12-31T00:00:00.000000000+00:00",
        }
        for n in range(10, 26)
    ]
    disks = [
        {"name": f"{'d' * 30}{n:02d}", "deviceNode": f"SATA({n // 8}:{n})", "size": "62Ti"} for n in range(16)
    ]
    body = managed_vm(tenant.namespace, name, orders=orders, resources={"disks": disks})
    body["metadata"]["annotations"] = {"note": "x" * 200_000}
    answer = tenant.provider.create(body)
    assert_done(answer)
    assert_done(tenant.provider.patch(answer.body, {"spec": {"suspend": True}}))
    folder = "/" + "/".join(["f" * 30] * 16)
    grants = [{"namespace": "n" * 63, "folder": f"{folder}/{n:04d}"} for n in range(512)]
    big = tenant.provider.create(vcenter(f"{name}-{tenant.namespace}", grants=grants))
    assert_done(big)
    assert_done(tenant.provider.delete(big.body))


def test_an_object_too_large_for_the_store_is_refused_by_its_bounds(tenant, name):
    body = change_request(tenant.namespace, name, tenant.user("requester"), description="x" * 2049)
    assert_refused(tenant.requester.create(body), "spec.description", "2048")


@pytest.mark.parametrize("kind", ["ManagedVM", "ChangeRequest", "WorkEntry"])
@pytest.mark.parametrize("spec", [None, {}, []], ids=["null", "empty", "a list"])
def test_an_object_without_a_spec_is_no_object(tenant, name, kind, spec):
    body = custom(kind, name, tenant.namespace, {})
    body["spec"] = spec
    answer = tenant.admin.create(body)
    assert_refused(answer, "spec")


def test_each_of_our_own_verbs_is_held_by_the_roles_it_is_meant_for(tenant):
    asked = [
        ("update", "managedvms", "order"),
        ("attest", "changerequests", ""),
        ("prune", "workentries", ""),
        ("close", "customers", ""),
    ]
    holders = {
        verb: {role for role in ROLES if _allowed(tenant, role, verb, resource, subresource)}
        for verb, resource, subresource in asked
    }
    assert holders == {
        "update": {"provider"},
        "attest": {"provider", "technician"},
        "prune": {"archiver"},
        "close": {"accountant"},
    }


def _allowed(tenant, role, verb, resource, subresource):
    place = {"verb": verb, "group": "managedvm.dev", "resource": resource, "subresource": subresource}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    spec = {"user": tenant.user(role), "resourceAttributes": {**place, "namespace": tenant.namespace}}
    return tenant.admin.create({**review, "spec": spec}).body["status"]["allowed"]


def test_configuration_does_not_vanish_by_giving_up_its_fields(tenant, name):
    """Server-side apply removes a field that its only manager no longer names: that is a change like any other."""
    body = managed_vm(tenant.namespace, name)
    assert_done(tenant.provider.apply(body))
    del body["spec"]["resources"]["memory"]
    answer = tenant.provider.apply(body)
    assert_refused(answer, "spec.change", "clause 6.3", "set spec.change to a new id")
