"""A proxy between the operator and its world, at which every request can be lost, doubled, late, or the last one.

It has a door for each caller: one that leads to the API server for each replica, one to the vCenter. A door has the
certificate of what is behind it, so that nobody can tell the difference. It forwards what it is given, watches as they
come, and keeps a journal of what would change something.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import orjson
from aiohttp import web

from lab.calls import KUBERNETES, VSPHERE, Call, Reader
from lab.lifecycle import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Future
    from pathlib import Path
    from typing import Self

    from lab.facts import Lab

T = TypeVar("T")

# What belongs to one connection only. Compression too: an event could not be told from the next one.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "date", "accept-encoding"}
)
_LONGEST_EVENT = 4 * 2**20
_LAST_TURNS_SECONDS = 0.25
_IDLE_SECONDS = 5.0
"""A connection to the other side is not used again after so long: it may just be closing, and that were a fault."""


class CutError(Exception):
    """The connection to the caller is closed, and it gets no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side has said, whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Exchange:
    """One request and what becomes of it; a fault decides with it."""

    def __init__(
        self, call: Call, request: web.BaseRequest, body: bytes, send: Callable[[], Awaitable[Answer]]
    ) -> None:
        self.call = call
        self.body = body
        self._request = request
        self._send = send
        self.response: web.StreamResponse = web.Response(status=502)

    async def forward(self) -> Answer:
        """Send the request on and return the answer; every call of this sends it once more.

        Raises:
            CutError: the other side gave no answer.
        """
        return await self._send()

    async def relay(self, answer: Answer) -> None:
        """Give the caller this answer, and return when it has left."""
        self.response = web.Response(status=answer.status, headers=_headers(answer), body=answer.body)
        with suppress(ConnectionError):  # the caller has gone
            await self.response.prepare(self._request)
            await self.response.write_eof()

    def refusal(self, status: int) -> Answer:
        """Return an answer that the other side never gave, as it would give it."""
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "fault"}
        return Answer(status, (("Content-Type", "application/json"),), orjson.dumps(said))


Fault = Callable[[Exchange], Awaitable[Answer | None]]
"""What happens to a request: it returns the answer to relay, None when it has relayed one, or raises CutError."""


class Rule:
    """A fault in force: it strikes the `nth` request that `which` wants, and those after it, `times` in all."""

    def __init__(self, which: Callable[[Call], bool], fault: Fault, nth: int, times: int | None) -> None:
        self._which = which
        self.fault = fault
        self._first = nth
        self._times = times
        self._seen = 0
        self.struck: list[Call] = []

    def strikes(self, call: Call) -> bool:
        """Count the request, and return whether the fault strikes it."""
        if not self._which(call):
            return False
        self._seen += 1
        strikes = self._seen >= self._first and (self._times is None or len(self.struck) < self._times)
        if strikes:
            self.struck.append(call)
        return strikes


class Door:
    """One address at which the proxy listens. While it is closed, requests wait: it answers nobody."""

    def __init__(self, name: str, protocol: str, upstream: str, trust: tuple[Path, Path, Path]) -> None:
        self.name = name
        self.protocol = protocol
        self.upstream = upstream
        self.port = free_ports(1)[0]
        certificate, key, authority = trust
        self.server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_tls.load_cert_chain(certificate, key)
        self.client_tls = ssl.create_default_context(cafile=str(authority))
        self.open = asyncio.Event()
        self.open.set()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL that stands for the URL of the other side."""
        return f"https://{self.address}"


class FaultProxy:
    """The proxy of one lab, running in a thread of its own while its `with` block lasts.

    Everything here may be called from any thread. `calls` is the journal of requests that would change something,
    whatever became of them; `hides` says which watch events nobody is told of.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._reader = Reader()
        self._rules: list[Rule] = []
        self._streams: list[web.BaseRequest] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._runners: list[web.ServerRunner] = []
        self._sessions: list[aiohttp.ClientSession] = []
        self._carried: set[asyncio.Future[web.StreamResponse]] = set()
        self.calls: list[Call] = []
        self.hides: Callable[[dict[str, Any]], bool] | None = None

    def __enter__(self) -> Self:
        """Start the thread; doors are opened by asking for them."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every door."""
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def to_api_server(self, name: str) -> Door:
        """Return a new door to the API server; `name` is how the journal calls who comes through it."""
        trust = self._lab.certificates("kubernetes")
        files = (trust / "apiserver.crt", trust / "apiserver.key", trust / "ca.crt")
        return self.run(self._listen(Door(name, KUBERNETES, self._lab.api_url, files)))

    def to_vcenter(self, name: str = "vcenter") -> Door:
        """Return a new door to the vCenter."""
        trust = self._lab.certificates("vcenter")
        files = (trust / "server.crt", trust / "server.key", trust / "ca.crt")
        upstream = self._lab.vcenter_url.removesuffix("/sdk")
        return self.run(self._listen(Door(name, VSPHERE, upstream, files)))

    def close(self, door: Door) -> None:
        """Let every further request at a door wait until it is opened."""
        self._loop.call_soon_threadsafe(door.open.clear)

    def open(self, door: Door) -> None:
        """Let the requests at a door pass, those that wait first."""
        self._loop.call_soon_threadsafe(door.open.set)

    def know(self, thing: str, owner: str) -> None:
        """Learn that a managed object reference belongs to a ManagedVM ("namespace/name")."""
        self._reader.know(thing, owner)

    def inject(
        self, which: Callable[[Call], bool], fault: Fault, *, nth: int = 1, times: int | None = 1
    ) -> Rule:
        """Let a fault strike the `nth` request that `which` wants, `times` times in a row (None: for ever).

        `which` sees every request, also those that change nothing. Of several rules the first that strikes decides.
        """
        rule = Rule(which, fault, nth, times)
        self._rules.append(rule)
        return rule

    def remove(self, *rules: Rule) -> None:
        """End faults; what waits in one goes on waiting."""
        self._rules = [rule for rule in self._rules if rule not in rules]

    def cut_watches(self) -> None:
        """Break every watch that is under way."""
        self.run(self._cut_watches())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the proxy's thread and return its result."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout=60)

    async def _listen(self, door: Door) -> Door:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=door.client_tls, limit=0, keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_LONGEST_EVENT,
        )

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(door, session, request)

        runner = web.ServerRunner(
            web.Server(handle, access_log=None, handler_cancellation=True),
            handle_signals=False,
            shutdown_timeout=0.1,
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", door.port, ssl_context=door.server_tls).start()
        self._sessions.append(session)
        self._runners.append(runner)
        return door

    async def _cut_watches(self) -> None:
        for request in self._streams:
            _abort(request)

    async def _close(self) -> None:
        await self._cut_watches()
        for carrying in self._carried:
            carrying.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)
        for runner in self._runners:
            await runner.cleanup()
        for session in self._sessions:
            await session.close()
        # Closed connections give their sockets back a few turns of the loop later.
        await asyncio.sleep(_LAST_TURNS_SECONDS)

    async def _handle(
        self, door: Door, session: aiohttp.ClientSession, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Take one request in."""
        body = await request.read()
        await door.open.wait()
        call = self._note(door, request, body)

        async def send() -> Answer:
            async with _sent(door, session, request, body) as answer:
                return Answer(answer.status, tuple(answer.headers.items()), await answer.read())

        exchange = Exchange(call, request, body, send)
        rule = next((rule for rule in self._rules if rule.strikes(call)), None)
        if rule is None and call.is_watch:
            return await self._stream(door, session, request)
        # What a caller has sent arrives, also when the caller does not live to see it.
        carrying = asyncio.ensure_future(_carried(exchange, request, rule))
        self._carried.add(carrying)
        carrying.add_done_callback(self._carried.discard)
        return await asyncio.shield(carrying)

    def _note(self, door: Door, request: web.BaseRequest, body: bytes) -> Call:
        kind = self._reader.read(door.protocol, request.method, request.path_qs, body)
        number = len(self.calls) + 1 if kind.changes else 0
        session = request.headers.get("Cookie", "") if door.protocol == VSPHERE else ""
        call = Call(number, time.monotonic(), door.name, kind.what, kind.about, session, kind.is_watch)
        if kind.changes:
            self.calls.append(call)
        return call

    async def _stream(
        self, door: Door, session: aiohttp.ClientSession, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Relay a watch event by event, but for those that are hidden."""
        self._streams.append(request)
        response = web.StreamResponse()
        try:
            async with _sent(door, session, request, b"") as upstream:
                answer = Answer(upstream.status, tuple(upstream.headers.items()), b"")
                response = web.StreamResponse(status=answer.status, headers=_headers(answer))
                await response.prepare(request)
                while line := await upstream.content.readline():
                    if self.hides is None or not self.hides(orjson.loads(line)):
                        await response.write(line)
                await response.write_eof()
        except (CutError, ConnectionError):
            _abort(request)  # one side has gone, so the other has to be told
        finally:
            self._streams.remove(request)
        return response


async def _carried(exchange: Exchange, request: web.BaseRequest, rule: Rule | None) -> web.StreamResponse:
    """Take one request through: a fault decides where one strikes it."""
    try:
        answer = await (rule.fault(exchange) if rule else exchange.forward())
        if answer is not None:
            await exchange.relay(answer)
    except CutError:
        _abort(request)
    return exchange.response


@asynccontextmanager
async def _sent(
    door: Door, session: aiohttp.ClientSession, request: web.BaseRequest, body: bytes
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a request on.

    Raises:
        CutError: the other side gave no answer.
    """
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
    try:
        async with session.request(
            request.method, door.upstream + request.raw_path, headers=headers, data=body or None
        ) as answer:
            yield answer
    except aiohttp.ClientError as error:
        raise CutError(f"{door.upstream}: {error}") from error


def _headers(answer: Answer) -> list[tuple[str, str]]:
    return [(name, value) for name, value in answer.headers if name.lower() not in _HOP_BY_HOP]


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        with suppress(OSError):
            request.transport.abort()
