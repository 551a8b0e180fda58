"""The API server in which a month is closed, and closing it as the accountant does."""

import asyncio
from datetime import timedelta

from managedvm.api.base import API_VERSION
from managedvm.closing import close
from managedvm.errors import UnknownOutcomeError
from tests.bookkeeping import customer, end_of, prices, request, work
from tests.world_fast.fakes import FakeKube

NOW = end_of("2026-10") + timedelta(hours=6)
CUSTOMER = ("Customer", "", "kunde-a")
WRITES = 5
"""What closing the month of `register()` takes: the intake is stopped, three pages, and the Customer names the last one."""


class CrashedError(Exception):
    """The process is no more."""


class Register(FakeKube):
    """An API server that lists, and on which the writer dies before or after its n-th write."""

    def __init__(self, *bodies):
        self.dies_at = None
        self.loses_answer = False
        self.writes = 0
        super().__init__(*bodies)

    def _store(self, body):
        if "resourceVersion" not in body["metadata"]:
            body = {
                **body,
                "metadata": {"creationTimestamp": f"{NOW:%Y-%m-%dT%H:%M:%SZ}", **body["metadata"]},
            }
        return super()._store(body)

    async def list(self, kind, namespace, field="", label=""):
        path, _, wanted = field.partition("=")
        return [
            body
            for (of, where, _), body in sorted(self.objects.items())
            if of == kind
            and namespace in ("", where)
            and (not field or value(body, path) == wanted)
            and (not label or label in body["metadata"].get("labels", {}))
        ]

    async def create(self, body):
        return await self._written(super().create(body))

    async def patch_status(self, *args):
        return await self._written(super().patch_status(*args))

    async def _written(self, write):
        self.writes += 1
        if self.dies_at == self.writes and not self.loses_answer:
            write.close()
            raise CrashedError
        answer = await write
        if self.dies_at == self.writes:
            raise UnknownOutcomeError("no answer")
        return answer


def value(body, path):
    for part in path.split("."):
        body = body[part]
    return body


def body(resource):
    return {"apiVersion": API_VERSION, "kind": resource.KIND.kind, **resource.to_json()}


def register(*records, entries=7):
    known = [work(f"work-{number}", f"2026-10-06T{number:02}:00") for number in range(entries)]
    return Register(*(body(one) for one in (customer(), prices(), request(), *known, *records)))


def closing(kube, month="2026-10", now=NOW, **more):
    return asyncio.run(close(kube, "kunde-a", month, now, **more))


def pages(kube):
    return {name: one["spec"] for (kind, _, name), one in kube.objects.items() if kind == "Statement"}
