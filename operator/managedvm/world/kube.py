"""The Kubernetes API: plain JSON in and out, one attempt per call, records create-only.

A watch tells what is there; this port reads what must be certain, and writes. No mutating call is sent without asking
`may_act` first, and none is repeated here: after a lost answer the next pass looks again.
"""

import asyncio
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from kubernetes import aio as kubernetes

from managedvm import __version__
from managedvm.api.base import GROUP, VERSION
from managedvm.api.kinds import KINDS
from managedvm.engine.objects import Listed
from managedvm.engine.relist import Listing
from managedvm.errors import (
    NoPermissionError,
    NotActiveError,
    RefusedError,
    StaleError,
    UnknownOutcomeError,
    UnreachableError,
)

Object = dict[str, Any]

PAGE = 500
"""Objects per page of a list: bounded memory on both sides."""

REQUEST_SECONDS = 30.0


class NotFoundError(LookupError):
    """There is no such object."""


class AlreadyExistsError(Exception):
    """An object of that name is there already."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a kind is served."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection, an object or its subresource."""
        parts = [self.prefix]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


_ADMISSION = "/apis/admissionregistration.k8s.io/v1"

ENDPOINTS: Mapping[str, Endpoint] = {
    **{
        kind.KIND.kind: Endpoint(
            f"/apis/{GROUP}/{VERSION}", kind.KIND.plural, kind.KIND.scope == "Namespaced"
        )
        for kind in KINDS
    },
    "Namespace": Endpoint("/api/v1", "namespaces", namespaced=False),
    "Secret": Endpoint("/api/v1", "secrets", namespaced=True),
    "Event": Endpoint("/apis/events.k8s.io/v1", "events", namespaced=True),
    "Lease": Endpoint("/apis/coordination.k8s.io/v1", "leases", namespaced=True),
    "ValidatingAdmissionPolicy": Endpoint(_ADMISSION, "validatingadmissionpolicies", namespaced=False),
    "ValidatingAdmissionPolicyBinding": Endpoint(
        _ADMISSION, "validatingadmissionpolicybindings", namespaced=False
    ),
    "MutatingAdmissionPolicy": Endpoint(_ADMISSION, "mutatingadmissionpolicies", namespaced=False),
    "MutatingAdmissionPolicyBinding": Endpoint(
        _ADMISSION, "mutatingadmissionpolicybindings", namespaced=False
    ),
}


class Kube(Protocol):
    """What the operator asks of the API server."""

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """Read one object; NotFoundError if there is none."""

    async def list_metadata(self, kind: str) -> Listing:
        """List a kind: the list's resourceVersion, and who each object is."""

    async def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Read one object through a list, with no more right than the watch needs; None if there is none."""

    async def create(self, body: Object) -> Object:
        """Create an object; AlreadyExistsError if its name is taken."""

    async def patch_status(
        self, kind: str, namespace: str, name: str, status: Object, resource_version: str
    ) -> Object:
        """Replace the given parts of a status; StaleError if the object has changed since, or is gone."""

    async def replace(self, body: Object) -> Object:
        """Replace an object that has the resourceVersion of the body; StaleError otherwise."""

    async def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete a cluster-wide object if it still has that UID; gone already is fine."""


class HttpKube:
    """The port over the official client's connection: its configuration, its credentials, its TLS."""

    def __init__(
        self,
        api: kubernetes.client.ApiClient,
        *,
        may_act: Callable[[], bool],
        written: Callable[[str, str], None] = lambda _kind, _method: None,
        dated: Callable[[str | None], None] = lambda _date: None,
    ) -> None:
        """Tell `written` of each write by kind and method, and `dated` the time by which the API server has answered."""
        self._api = api
        self._may_act = may_act
        self._written = written
        self._dated = dated
        api.user_agent = f"managedvm-operator/{__version__}"

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """Read one object."""
        return await self._call("GET", ENDPOINTS[kind].path(namespace, name))

    async def list_metadata(self, kind: str) -> Listing:
        """List the metadata of a kind, page by page, at the newest version."""
        version, token = "", ""
        lines: list[Listed] = []
        while True:
            meta, page = await self._metadata_page(kind, token)
            # All pages are of one snapshot, whose version the first page tells.
            version = version or meta["resourceVersion"]
            lines += page
            token = meta.get("continue", "")
            if not token:
                return Listing(version, lines)

    async def _metadata_page(self, kind: str, token: str) -> tuple[Object, list[Listed]]:
        """Return what is needed of a page, and nothing else: parsed, the metadata of ten thousand objects is 100 MB."""
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        query = {"limit": str(PAGE), **({"continue": token} if token else {})}
        page = await self._call("GET", ENDPOINTS[kind].path(), query=query, accept=accept)
        return page["metadata"], [_line(item["metadata"]) for item in page.get("items") or ()]

    async def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Read one object through a list."""
        query = {"fieldSelector": f"metadata.name={name}", "limit": "1"}
        page = await self._call("GET", ENDPOINTS[kind].path(namespace), query=query)
        items = page.get("items") or []
        # Items of a list do not carry their own kind.
        return {"apiVersion": page["apiVersion"], "kind": kind, **items[0]} if items else None

    async def list(self, kind: str, namespace: str, field: str = "", label: str = "") -> list[Object]:
        """List the objects of a namespace; those where a field has a value (`spec.x=y`), or that have a label."""
        token, items = "", []
        while True:
            query = {"limit": str(PAGE), "fieldSelector": field, "labelSelector": label, "continue": token}
            page = await self._call(
                "GET", ENDPOINTS[kind].path(namespace), query={k: v for k, v in query.items() if v}
            )
            items += [{"apiVersion": page["apiVersion"], "kind": kind, **item} for item in page["items"]]
            token = page["metadata"].get("continue", "")
            if not token:
                return items

    async def create(self, body: Object) -> Object:
        """Create an object."""
        meta = body["metadata"]
        return await self._call("POST", ENDPOINTS[body["kind"]].path(meta.get("namespace", "")), body=body)

    async def whoami(self) -> str:
        """Return the user as whom the API server knows us."""
        kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = f"/apis/{kind['apiVersion']}/selfsubjectreviews"
        answer = await self._call("POST", path, body=kind, guarded=False)  # it asks, and changes nothing
        return str(answer["status"]["userInfo"]["username"])

    async def patch_status(
        self, kind: str, namespace: str, name: str, status: Object, resource_version: str
    ) -> Object:
        """Replace the given parts of a status by a merge patch that holds only for one resourceVersion."""
        patch = {"metadata": {"resourceVersion": resource_version}, "status": status}
        path = ENDPOINTS[kind].path(namespace, name, "status")
        try:
            return await self._call("PATCH", path, body=patch, content_type="application/merge-patch+json")
        except NotFoundError as error:
            raise StaleError(f"{kind} {name} is gone since it was decided on: {error}") from error

    async def replace(self, body: Object) -> Object:
        """Replace an object."""
        meta = body["metadata"]
        path = ENDPOINTS[body["kind"]].path(meta.get("namespace", ""), meta["name"])
        return await self._call("PUT", path, body=body, guarded=body["kind"] != "Lease")

    async def delete(self, kind: str, name: str, uid: str) -> None:
        """Delete a cluster-wide object, only if it still has that UID."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            await self._call("DELETE", ENDPOINTS[kind].path(name=name), body=options)
        except NotFoundError:
            return

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
        guarded: bool = True,
    ) -> Object:
        mutates = method != "GET"
        # The Lease itself decides whether we may act, so its own calls cannot ask.
        if mutates and guarded and not path.startswith(ENDPOINTS["Lease"].prefix) and not self._may_act():
            raise NotActiveError(f"{method} {path} was not sent: this replica may not act")
        try:
            status, payload = await self._send(method, path, query, body, accept, content_type)
        except (aiohttp.ClientConnectorError, ssl.SSLError) as error:
            raise UnreachableError(f"the API server cannot be reached: {type(error).__name__}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            what = f"{method} {path} got no answer: {type(error).__name__}"
            raise (UnknownOutcomeError if mutates else UnreachableError)(what) from error
        answer = _judged(method, path, status, payload)
        if mutates:
            self._written(str(answer.get("kind", "")), method)
        return answer

    async def _send(  # noqa: PLR0917 - private, and called in one place
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        accept: str,
        kind: str,
    ) -> tuple[int, bytes]:
        headers = {**self._api.default_headers, "Accept": accept, "Content-Type": kind}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        response = await self._api.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=REQUEST_SECONDS
        )
        self._dated(response.headers.get("Date"))
        async with asyncio.timeout(REQUEST_SECONDS):
            return response.status, await response.read()


def _line(meta: Object) -> Listed:
    return Listed(meta["uid"], sys.intern(meta.get("namespace", "")), meta["name"], meta["resourceVersion"])


_NOT_YET = "failed to configure policy"
"""An API server that has just started knows its policies before our kinds, and refuses what it cannot judge: 30 s at most."""


_CANNOT = " cannot "
"""RBAC says who cannot do what; other refusals, of a quota or of a namespace that ends, say something else."""

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def _rule(method: str, path: str) -> str:
    """Return in words the RBAC rule that a call needs: verb, resource, API group, namespace."""
    is_core, *parts = path.startswith("/api/"), *path.strip("/").split("/")
    group, rest = ("", parts[2:]) if is_core else (parts[1], parts[3:])
    where = ""
    if rest[0] == "namespaces" and len(rest) > 2:  # noqa: PLR2004 - namespaces/<name>/<resource>
        where, rest = f" in namespace {rest[1]}", rest[2:]
    verb = _VERBS.get(method) or ("get" if len(rest) > 1 else "list")
    resource = "/".join((rest[0], *rest[2:]))
    return f"{verb} on {resource} (API group {group or 'core'}){where}"


def _judged(method: str, path: str, status: int, payload: bytes) -> Object:
    """Return the answer's object, or raise what its status means for us."""
    if status < 400:  # noqa: PLR2004 - HTTP's own border
        answer: Object = orjson.loads(payload)
        return answer
    try:
        details = orjson.loads(payload)
        message, reason = str(details.get("message", "")), str(details.get("reason", ""))
    except orjson.JSONDecodeError:
        message, reason = payload[:200].decode(errors="replace"), ""
    words = f"{method} {path}: {message}"
    if _NOT_YET in message:
        raise UnreachableError(words)
    match status:
        case 404:
            raise NotFoundError(words)
        case 409 if reason == "AlreadyExists":
            raise AlreadyExistsError(words)
        case 409:
            raise StaleError(words)
        case 401:
            raise NoPermissionError(
                "the API server does not accept the operator's credentials; see that its ServiceAccount is there and its "
                f"token is mounted: {words}"
            )
        case 403 if "ValidatingAdmissionPolicy" not in message and _CANNOT in message:
            raise NoPermissionError(
                f"the API server gives the operator's account no rule for {_rule(method, path)}; apply "
                f"manifests/base/rbac, or add the rule: {words}"
            )
        case 429 | 500 | 502 | 503 | 504:
            raise (UnreachableError if method == "GET" or status == 429 else UnknownOutcomeError)(words)  # noqa: PLR2004
        case _:
            raise RefusedError(words)
