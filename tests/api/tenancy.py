"""A customer's namespace with everybody who has a role in it, bound as manifests/base/rbac describes the roles."""

from dataclasses import dataclass
from typing import Any

from lab import wait_until
from tests.api.bodies import Object, customer
from tests.api.server import Client, assert_done

OPERATOR = "system:serviceaccount:managedvm-system:managedvm-operator"
PER_NAMESPACE = ("customer", "requester")
FOR_ALL = ("provider", "technician", "archiver", "accountant", "auditor")
_EVERY_VERB = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer with one namespace."""

    admin: Client
    namespace: str

    def user(self, role: str) -> str:
        """Return the user name of who has a role here; nobody else has it anywhere."""
        return OPERATOR if role == "operator" else f"{role}@{self.namespace}.example"

    def client(self, role: str) -> Client:
        """Return the API server as who has a role here sees it."""
        return self.admin if role == "cluster-admin" else self.admin.impersonate(self.user(role))

    @property
    def customer(self) -> Client:
        """The customer's own pipeline."""
        return self.client("customer")

    @property
    def requester(self) -> Client:
        """A person of the customer who may ask."""
        return self.client("requester")

    @property
    def technician(self) -> Client:
        """The provider's technician."""
        return self.client("technician")

    @property
    def provider(self) -> Client:
        """The provider's platform team."""
        return self.client("provider")

    @property
    def archiver(self) -> Client:
        """Who prunes what was exported."""
        return self.client("archiver")

    @property
    def accountant(self) -> Client:
        """Who closes months."""
        return self.client("accountant")

    @property
    def operator(self) -> Client:
        """Our operator."""
        return self.client("operator")

    @property
    def pipeline(self) -> Client:
        """Somebody with a careless role: every verb of Kubernetes on everything of ours, but no verb of ours."""
        return self.client("pipeline")


def namespace(name: str, **labels: str) -> Object:
    """Return a Namespace; `ledger='true'` makes it a ledger."""
    marks = {f"managedvm.dev/{key}": value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": marks}}


def settle(admin: Client, name: str, **labels: str) -> Tenant:
    """Make a tenant and return it when the API server knows everybody's rights."""
    tenant = Tenant(admin, name)
    for body in (namespace(name, **{"ledger": "true", **labels}), customer(name, name), *_rights(tenant)):
        assert_done(admin.create(body))
    asked = [("pipeline", "deletecollection", "managedvms"), ("pipeline", "delete", "customers")]
    asked += [(role, "list", "changerequests") for role in (*PER_NAMESPACE, *FOR_ALL)]
    for role, verb, resource in asked:
        wait_until(
            lambda question=(role, verb, resource): _may(tenant, *question),
            f"the rights of {role}",
            seconds=30,
        )
    return tenant


def clear(tenant: Tenant) -> None:
    """Take a tenant away; only an administrator can, since its records are meant to stay."""
    admin, here = tenant.admin, {"namespace": tenant.namespace}
    for vm in admin.list({"kind": "ManagedVM", "metadata": here}):
        admin.patch({"kind": "ManagedVM", **vm}, {"spec": {"deletionProtection": False}})
    for kind in (
        "ManagedVM",
        "ChangeRequest",
        "RequestDecision",
        "WorkEntry",
        "Statement",
        "CustomerContacts",
    ):
        assert_done(admin.delete_all({"kind": kind, "metadata": here}))
    for body in (*_rights(tenant), customer(tenant.namespace), namespace(tenant.namespace)):
        assert_done(admin.delete(body))


def _may(tenant: Tenant, role: str, verb: str, resource: str) -> bool:
    place = {"verb": verb, "group": "managedvm.dev", "resource": resource}
    if resource != "customers":
        place["namespace"] = tenant.namespace
    review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1"}
    answer = tenant.admin.create({**review, "spec": {"user": tenant.user(role), "resourceAttributes": place}})
    return bool(answer.body["status"]["allowed"])


def _rights(tenant: Tenant) -> list[Object]:
    careless = f"careless-{tenant.namespace}"
    ours = {"apiGroups": ["managedvm.dev"], "resources": ["*"], "verbs": _EVERY_VERB}
    around = [
        {"apiGroups": [""], "resources": ["namespaces", "namespaces/status", "namespaces/finalize"]},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"]},
    ]
    rules = [ours, *({**rule, "verbs": _EVERY_VERB} for rule in around)]
    return [
        _rbac("ClusterRole", careless, rules=rules),
        _rbac("ClusterRoleBinding", careless, role=careless, user=tenant.user("pipeline")),
        *(
            _rbac("RoleBinding", role, tenant.namespace, role=f"managedvm-{role}", user=tenant.user(role))
            for role in PER_NAMESPACE
        ),
        *(
            _rbac("ClusterRoleBinding", tenant.user(role), role=f"managedvm-{role}", user=tenant.user(role))
            for role in FOR_ALL
        ),
    ]


def _rbac(
    kind: str, name: str, namespace: str | None = None, *, role: str = "", user: str = "", **more: Any
) -> Object:
    api = "rbac.authorization.k8s.io"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    body: Object = {"apiVersion": f"{api}/v1", "kind": kind, "metadata": metadata, **more}
    if role:
        body["roleRef"] = {"apiGroup": api, "kind": "ClusterRole", "name": role}
        body["subjects"] = [{"apiGroup": api, "kind": "User", "name": user}]
    return body
