"""The port to the API server, against a small server on loopback that answers as told."""

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kubernetes import aio as kubernetes

from managedvm.engine.objects import Listed
from managedvm.errors import (
    NoPermissionError,
    NotActiveError,
    RefusedError,
    StaleError,
    UnknownOutcomeError,
    UnreachableError,
)
from managedvm.world.kube import AlreadyExistsError, HttpKube, NotFoundError

BODY = {
    "apiVersion": "managedvm.dev/v1alpha1",
    "kind": "WorkEntry",
    "metadata": {"namespace": "a", "name": "w"},
    "spec": {},
}


@asynccontextmanager
async def server(answer, *, may_act=True):
    """Serve every request by `answer`, and yield the port and the requests that came."""
    seen = []

    async def handle(request):
        seen.append((request.method, request.path_qs, await request.text()))
        return await answer(request, len(seen))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    configuration = kubernetes.client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    kube = HttpKube(kubernetes.client.ApiClient(configuration), may_act=lambda: may_act)
    try:
        yield kube, seen
    finally:
        await kube.close()
        await runner.cleanup()


def status(code, reason, message="no"):
    async def answer(_request, _count):
        return web.json_response({"kind": "Status", "reason": reason, "message": message}, status=code)

    return answer


async def drop(request, _count):
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize(
    ("code", "reason", "message", "error"),
    [
        (404, "NotFound", "no", NotFoundError),
        (409, "AlreadyExists", "no", AlreadyExistsError),
        (409, "Conflict", "no", StaleError),
        (403, "Forbidden", 'User "operator" cannot create resource', NoPermissionError),
        (401, "Unauthorized", "no", NoPermissionError),
        (403, "Forbidden", "unable to create new content because it is being terminated", RefusedError),
        (403, "Forbidden", "exceeded quota: records", RefusedError),
        (403, "Forbidden", "ValidatingAdmissionPolicy 'x' denied request", RefusedError),
        (422, "Invalid", "no", RefusedError),
        (
            422,
            "Invalid",
            "denied request: failed to configure policy: failed to find resource",
            UnreachableError,
        ),
        (429, "TooManyRequests", "no", UnreachableError),
        (500, "InternalError", "no", UnknownOutcomeError),
        (503, "ServiceUnavailable", "no", UnknownOutcomeError),
    ],
)
async def test_each_refusal_of_a_create_says_who_must_act(code, reason, message, error):
    async with server(status(code, reason, message)) as (kube, seen):
        with pytest.raises(error):
            await kube.create(BODY)

        assert len(seen) == 1


FORBIDDEN = status(403, "Forbidden", 'workentries is forbidden: User "operator" cannot do that')


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda kube: kube.create(BODY), "create on workentries (API group managedvm.dev) in namespace a"),
        (
            lambda kube: kube.patch_status("WorkEntry", "a", "w", {}, "1"),
            "patch on workentries/status (API group managedvm.dev) in namespace a",
        ),
        (lambda kube: kube.delete("VMClaim", "vm-1", "uid"), "delete on vmclaims (API group managedvm.dev);"),
        (lambda kube: kube.get("Secret", "a", "s"), "get on secrets (API group core) in namespace a"),
        (lambda kube: kube.get("Namespace", "", "a"), "get on namespaces (API group core);"),
        (lambda kube: kube.list_metadata("Customer"), "list on customers (API group managedvm.dev);"),
    ],
)
async def test_a_right_that_is_missing_at_the_api_server_is_named_as_the_rule_to_add(call, rule):
    async with server(FORBIDDEN) as (kube, _):
        with pytest.raises(NoPermissionError) as refusal:
            await call(kube)

    assert "the API server gives the operator's account no rule for" in str(refusal.value)
    assert rule in str(refusal.value)
    assert "manifests/base/rbac" in str(refusal.value)
    assert "vCenter" not in str(refusal.value)


async def test_credentials_that_the_api_server_does_not_accept_are_no_missing_rule():
    async with server(status(401, "Unauthorized")) as (kube, _):
        with pytest.raises(NoPermissionError, match="does not accept the operator's credentials"):
            await kube.get("Namespace", "", "a")


async def test_a_create_that_gets_no_answer_is_sent_once_and_its_outcome_is_unknown():
    async with server(drop) as (kube, seen):
        with pytest.raises(UnknownOutcomeError):
            await kube.create(BODY)

        assert len(seen) == 1


async def test_a_read_that_gets_no_answer_is_unreachable():
    async with server(drop) as (kube, _):
        with pytest.raises(UnreachableError):
            await kube.get("WorkEntry", "a", "w")


async def test_a_replica_that_may_not_act_sends_nothing():
    async with server(status(200, "")) as (kube, _):
        pass
    async with server(status(200, ""), may_act=False) as (kube, seen):
        for call in (
            kube.create(BODY),
            kube.patch_status("ManagedVM", "a", "w", {}, "1"),
            kube.delete("VMClaim", "c", "u"),
        ):
            with pytest.raises(NotActiveError):
                await call

        assert seen == []


async def test_the_lease_itself_can_be_written_by_a_replica_that_may_not_act():
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "a", "name": "l"},
    }

    async def answer(_request, _count):
        return web.json_response(lease)

    async with server(answer, may_act=False) as (kube, seen):
        await kube.create(lease)
        await kube.replace(lease)

        assert [method for method, _, _ in seen] == ["POST", "PUT"]


async def test_a_status_patch_holds_for_one_version_only():
    async def answer(_request, _count):
        return web.json_response({"kind": "ManagedVM"})

    async with server(answer) as (kube, seen):
        await kube.patch_status("ManagedVM", "a", "w", {"mode": "Enforce"}, "77")

        method, path, body = seen[0]
        assert (method, path) == ("PATCH", "/apis/managedvm.dev/v1alpha1/namespaces/a/managedvms/w/status")
        assert json.loads(body) == {"metadata": {"resourceVersion": "77"}, "status": {"mode": "Enforce"}}


async def test_a_list_is_read_page_by_page_and_has_the_version_of_its_first():
    async def answer(_request, count):
        meta = {"resourceVersion": str(count), **({"continue": "next"} if count == 1 else {})}
        listed = {"name": f"n{count}", "uid": f"u{count}", "resourceVersion": "7"}
        return web.json_response({"metadata": meta, "items": [{"metadata": listed}]})

    async with server(answer) as (kube, seen):
        listing = await kube.list_metadata("ManagedVM")

        assert listing.resource_version == "1"
        assert listing.items == [Listed("u1", "", "n1", "7"), Listed("u2", "", "n2", "7")]
        assert "continue=next" in seen[1][1]


async def test_a_deletion_names_the_uid_and_gone_already_is_fine():
    async with server(status(404, "NotFound")) as (kube, seen):
        await kube.delete("VMClaim", "c", "uid-1")

        assert json.loads(seen[0][2])["preconditions"] == {"uid": "uid-1"}


async def test_a_status_of_an_object_that_is_gone_was_decided_on_something_old():
    async with server(status(404, "NotFound")) as (kube, _):
        with pytest.raises(StaleError):
            await kube.patch_status("ManagedVM", "a", "w", {"mode": "Enforce"}, "77")
