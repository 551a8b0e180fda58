"""The API server as the measurement sees it: many objects written at once, and one watch with the time of each event."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

from lab.errors import DeadlineError, LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from lab.facts import Lab

Object = dict[str, Any]

GROUP = "/apis/managedvm.dev/v1alpha1"
OURS = ("managedvms", "vmclaims", "changerequests", "workentries", "vcenters", "customers", "servicelevels")
"""The kinds whose resourceVersions must stand still while nothing happens."""

_AT_ONCE = 16
_PAGE = 500
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Api:
    """The administrator's connection to the lab's API server. Every method raises LabError when it is refused."""

    def __init__(self, world: Lab) -> None:
        trust = world.certificates("kubernetes")
        self._base = world.api_url
        self._tls = ssl.create_default_context(cafile=str(trust / "ca.crt"))
        self._tls.load_cert_chain(trust / "admin.crt", trust / "admin.key")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=_AT_ONCE * 2)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open connection."""
        if self._session is None:
            raise LabError("the API is used outside of its `async with`")
        return self._session

    async def create_all(self, bodies: Iterable[tuple[str, Object]]) -> int:
        """Create objects, each given with the path of its collection; returns how many."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def create(path: str, body: Object) -> None:
            async with slots:
                await self._call("POST", path, body)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(create(path, body)) for path, body in bodies]
        return len(tasks)

    async def patch(self, path: str, patch: Object) -> Object:
        """Send a merge patch and return the object as it is now."""
        return await self._call("PATCH", path, patch, kind="application/merge-patch+json")

    async def versions(self) -> dict[str, str]:
        """Return the resourceVersion of each object of our kinds, by plural and UID."""
        found: dict[str, str] = {}
        for plural in OURS:
            async for page in self._pages(plural):
                for item in page["items"] or ():
                    found[f"{plural}/{item['metadata']['uid']}"] = item["metadata"]["resourceVersion"]
        return found

    async def list_version(self, plural: str) -> str:
        """Return the version from which a watch goes on without a gap."""
        page = await self._call("GET", f"{GROUP}/{plural}?limit=1", accept=_METADATA)
        return str(page["metadata"]["resourceVersion"])

    async def _pages(self, plural: str) -> Any:
        token = ""
        while True:
            query = f"?limit={_PAGE}" + (f"&continue={token}" if token else "")
            page = await self._call("GET", f"{GROUP}/{plural}{query}", accept=_METADATA)
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def _call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        headers = {"Content-Type": kind, "Accept": accept}
        content = None if body is None else orjson.dumps(body)
        async with self.session.request(method, self._base + path, data=content, headers=headers) as answer:
            payload = await answer.read()
        if answer.status >= 400:  # noqa: PLR2004 - HTTP's own border
            raise LabError(f"{method} {path}: {payload[:400].decode(errors='replace')}")
        found: Object = orjson.loads(payload)
        return found

    def watch(self, plural: str, version: str) -> str:
        """Return the URL of a watch from a version on."""
        return f"{self._base}{GROUP}/{plural}?watch=1&allowWatchBookmarks=true&resourceVersion={version}"


@dataclass(slots=True)
class Seen:
    """What the watch last told of one ManagedVM, and when."""

    generation: int
    observed: int
    ready: bool
    at: float


@dataclass(slots=True)
class Watch:
    """One watch of all ManagedVMs, as a user's `kubectl wait` has it. `seen` is by namespace/name."""

    api: Api
    seen: dict[str, Seen] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    newest: float = 0.0
    """When the latest event came."""
    _version: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        version = await self.api.list_version("managedvms")
        self._task = asyncio.create_task(self._follow(version))
        self._task.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def until(self, holds: Callable[[], bool], what: str, seconds: float) -> None:
        """Return when `holds` does; it is asked after each event.

        Raises:
            DeadlineError: not within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
                    if self._task is not None and self._task.done():
                        self._task.result()
        except TimeoutError:
            raise DeadlineError(f"waited {seconds:g} s in vain for {what}") from None

    async def _follow(self, version: str) -> None:
        """Follow events for good. The server ends a watch whose reader was slow: the next goes on where it ended."""
        self._version = version
        while True:
            async with self.api.session.get(self.api.watch("managedvms", self._version)) as answer:
                rest = b""
                async for chunk in answer.content.iter_any():
                    now = time.monotonic()
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._take(orjson.loads(line), now)
                    if lines:
                        self.newest = now
                        self._news.set()

    def _take(self, event: Object, now: float) -> None:
        if event["type"] == "ERROR":
            raise LabError(f"the watch ended: {event['object']}")
        meta, status = event["object"]["metadata"], event["object"].get("status") or {}
        self._version = meta["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return
        name, generation = f"{meta['namespace']}/{meta['name']}", meta["generation"]
        observed = status.get("observedGeneration", -1)
        is_ready = observed == generation and any(
            c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())
        )
        before = self.seen.get(name)
        # The first time at which a generation was seen observed is what counts, not later writes of the same.
        at = before.at if before is not None and before.observed == observed else now
        self.seen[name] = Seen(generation, observed, is_ready, at)
        (self.ready.add if is_ready else self.ready.discard)(name)
