"""The API server over plain HTTP, as anybody: a matrix of hundreds of attempts is too many for a kubectl process each."""

import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.config import load_kube_config

from lab import wait_until
from managedvm.api.base import API_VERSION
from managedvm.api.kinds import KINDS

Object = dict[str, Any]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_PLACES = {
    "Namespace": ("/api/v1", "namespaces"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "ClusterRole": (_RBAC, "clusterroles"),
    "ClusterRoleBinding": (_RBAC, "clusterrolebindings"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "SubjectAccessReview": ("/apis/authorization.k8s.io/v1", "subjectaccessreviews"),
    "ValidatingAdmissionPolicy": (_ADMISSION, "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": (_ADMISSION, "validatingadmissionpolicybindings"),
    "MutatingAdmissionPolicyBinding": (_ADMISSION, "mutatingadmissionpolicybindings"),
    **{kind.KIND.kind: (f"/apis/{API_VERSION}", kind.KIND.plural) for kind in KINDS},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    code: int
    body: Object

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.code < 300

    @property
    def message(self) -> str:
        """The words of a refusal."""
        return str(self.body.get("message", ""))

    @property
    def metadata(self) -> Object:
        """The metadata of the object that came back."""
        return dict(self.body["metadata"])

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the object that came back."""
        return dict(self.metadata.get("annotations", {}))

    @property
    def version(self) -> str:
        """The resourceVersion of the object that came back."""
        return str(self.metadata["resourceVersion"])


@dataclass(frozen=True, slots=True)
class Client:
    """One API server as one identity sees it."""

    pool: urllib3.PoolManager
    url: str
    headers: dict[str, str]
    user: str = "the administrator"

    def impersonate(self, user: str, *groups: str) -> "Client":
        """Return the same server as somebody else sees it."""
        headers = {"Impersonate-User": user}
        if groups:
            headers["Impersonate-Group"] = ",".join(groups)
        return replace(self, headers={**self.headers, **headers}, user=user)

    def ask(
        self, method: str, path: str, body: Any = None, form: str = "application/json", **query: Any
    ) -> Answer:
        """Send one request; `query` holds parameters such as dryRun='All'."""
        url = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {**self.headers, "Content-Type": form, "Accept": "application/json"}
        text = None if body is None else json.dumps(body)

        def answered() -> Answer | None:
            response = self.pool.request(method, url, body=text, headers=headers, retries=False)
            if response.status == HTTPStatus.TOO_MANY_REQUESTS:
                return None  # just started: the storage of a kind is being initialised
            try:
                return Answer(response.status, json.loads(response.data))
            except json.JSONDecodeError:
                return Answer(response.status, {"message": response.data.decode(errors="replace")})

        return wait_until(answered, f"an answer to {method} {path}", seconds=60)

    def create(self, body: Object, **query: Any) -> Answer:
        """POST an object."""
        return self.ask("POST", place(body, named=False), body, **query)

    def read(self, body: Object) -> Answer:
        """GET the object that `body` names."""
        return self.ask("GET", place(body))

    def replace(self, body: Object, subresource: str = "", **query: Any) -> Answer:
        """PUT an object."""
        return self.ask("PUT", place(body) + subresource, body, **query)

    def patch(
        self, body: Object, patch: Object | list[Object], subresource: str = "", **query: Any
    ) -> Answer:
        """PATCH the object that `body` names: a mapping is a merge patch, a list a JSON patch."""
        form = JSON_PATCH if isinstance(patch, list) else MERGE
        return self.ask("PATCH", place(body) + subresource, patch, form, **query)

    def apply(self, body: Object, *, manager: str = "pipeline", force: bool = False, **query: Any) -> Answer:
        """Apply an object on the server's side."""
        query = {"fieldManager": manager, "force": str(force).lower(), **query}
        return self.ask("PATCH", place(body), body, APPLY, **query)

    def delete(self, body: Object, **query: Any) -> Answer:
        """DELETE the object that `body` names."""
        return self.ask("DELETE", place(body), **query)

    def delete_all(self, body: Object, **query: Any) -> Answer:
        """DELETE all objects of the kind and namespace of `body`, or those that `labelSelector` chooses."""
        return self.ask("DELETE", place(body, named=False), **query)

    def list(self, body: Object, **query: Any) -> list[Object]:
        """Return all objects of the kind and namespace of `body`."""
        answer = self.ask("GET", place(body, named=False), **query)
        assert_done(answer)
        return list(answer.body["items"])


def place(body: Object, *, named: bool = True) -> str:
    """Return the path of the object that `body` names, or of the list that it is in."""
    base, plural = _PLACES[body["kind"]]
    meta = body.get("metadata", {})
    where = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
    return f"{base}{where}/{plural}" + (f"/{meta['name']}" if named else "")


def connect(kubeconfig: Path) -> Client:
    """Return the server that a kubeconfig's current context points at, as its own user."""
    settings = Configuration()
    load_kube_config(str(kubeconfig), client_configuration=settings)
    pool = urllib3.PoolManager(
        ca_certs=settings.ssl_ca_cert,
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        cert_reqs="CERT_REQUIRED",
        maxsize=4,
    )
    token = settings.api_key.get("authorization")
    return Client(pool, settings.host, {"Authorization": token} if token else {})


def assert_refused(answer: Answer, *words: str) -> None:
    """Fail unless the answer is a refusal whose message holds all of `words`: the field, the clause, the way out."""
    assert answer.code in {403, 422}, (answer.code, answer.message or answer.body)
    assert [word for word in words if word not in answer.message] == [], answer.message


def assert_done(answer: Answer) -> None:
    """Fail with the server's words unless it did what was asked."""
    assert answer.ok, (answer.code, answer.message)
