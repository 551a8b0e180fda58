"""A helpdesk for tests: speaks as much of Zammad's REST API as the operator uses, keeps all in memory, fails on demand.

It follows Zammad's own documentation (docs.zammad.org, api/ticket); no Zammad was at hand to compare it with.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import urllib.request
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from aiohttp import web

from managedvm.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from lab.pki import Pair

Body = dict[str, Any]

AGENT, OPERATOR = 3, 7
"""Ids of the users that are there from the beginning: an agent, and the one whose token the operator has."""


class Moment(StrEnum):
    """When of a call's way a fault strikes."""

    BEFORE = "before its effect"
    AFTER = "after its effect"


@dataclass(slots=True)
class Fault:
    """What happens to the next calls of a kind, such as `POST ticket_articles`; every call where that is empty.

    It strikes `times` calls: they are answered with `status`, or not at all where that is 0, `seconds` late.
    `struck` is called at that moment.
    """

    call: str
    moment: Moment = Moment.BEFORE
    status: int = 0
    seconds: float = 0.0
    times: int = 1
    struck: Callable[[], object] = lambda: None

    def strikes(self, call: str) -> bool:
        """Return whether this call is struck."""
        return self.times > 0 and self.call in ("", call)


@dataclass(slots=True)
class Zammad:
    """All that one Zammad holds."""

    token: str = "a-token-of-zammad"  # noqa: S105 - of the lab
    webhook_secret: str = "a-secret-of-the-webhook"  # noqa: S105 - of the lab
    search_lag: timedelta = timedelta()
    """How long a change is not found yet."""
    users: dict[int, Body] = field(default_factory=dict)
    tickets: dict[int, Body] = field(default_factory=dict)
    articles: list[Body] = field(default_factory=list)
    accountings: list[Body] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    _ids: int = 100
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.users[AGENT] = {"id": AGENT, "login": "agent", "email": "agent@provider.example"}
        self.users[OPERATOR] = {"id": OPERATOR, "login": "managedvm", "email": "managedvm@provider.example"}

    def customer(self, email: str) -> int:
        """Return the id of the user with an address, who is made where there is none."""
        with self._lock:
            for one in self.users.values():
                if one["email"] == email.lower():
                    return int(one["id"])
            number = self._next()
            self.users[number] = {"id": number, "login": email.lower(), "email": email.lower()}
            return number

    def write_in(self, email: str, title: str, text: str = "It does not work.", **ticket: Any) -> Body:
        """Open a ticket as a customer does by mail, or as `channel` says; `ticket` are its attributes."""
        channel = ticket.pop("channel", "email")
        body = {"title": title, "customer_id": self.customer(email), "group": "Support", **ticket}
        article = {
            "subject": title,
            "body": text,
            "type": channel,
            "internal": False,
            "content_type": "text/plain",
        }
        with self._lock:
            return self._open({**body, "article": article}, by=self.customer(email))

    def change(self, ticket: int, **attributes: Any) -> None:
        """Change a ticket as an agent does."""
        with self._lock:
            self.tickets[ticket].update(attributes)
            self._touch(ticket)

    def notes(self, ticket: int) -> list[Body]:
        """Return what the operator has written into a ticket."""
        with self._lock:
            return [a for a in self.articles if a["ticket_id"] == ticket and a["created_by_id"] == OPERATOR]

    def opened(self, contains: str = "") -> list[Body]:
        """Return the tickets that the operator has opened."""
        with self._lock:
            mine = [t for t in self.tickets.values() if t["created_by_id"] == OPERATOR]
            return [dict(ticket) for ticket in mine if contains in ticket["title"]]

    def minutes(self, ticket: int) -> list[str]:
        """Return the times that are accounted for a ticket."""
        with self._lock:
            return [one["time_unit"] for one in self.accountings if one["ticket_id"] == ticket]

    def deliver(self, url: str, ticket: int, *, secret: str | None = None, timeout: float = 5) -> int:
        """Send the webhook for a ticket as Zammad does, and return the status of the answer."""
        with self._lock:
            body = json.dumps({"ticket": self.tickets.get(ticket, {"id": ticket}), "article": {}}).encode()
        key = (self.webhook_secret if secret is None else secret).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-Zammad-Trigger": "to the operator",
            "X-Zammad-Delivery": str(uuid.uuid4()),
            "X-Hub-Signature": f"sha1={hmac.new(key, body, hashlib.sha1).hexdigest()}",
        }
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - the test's own address
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310 - as above
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def _next(self) -> int:
        self._ids += 1
        return self._ids

    def _touch(self, ticket: int) -> None:
        self.tickets[ticket]["updated_at"] = _now()

    def _open(self, body: Body, by: int) -> Body:
        number = self._next()
        made = {
            "id": number,
            "number": f"96{number}",
            "state": "new",
            "created_by_id": by,
            "created_at": _now(),
            "updated_at": _now(),
            **{key: value for key, value in body.items() if key != "article"},
        }
        if str(made["customer_id"]).startswith("guess:"):
            made["customer_id"] = self.customer(str(made["customer_id"]).removeprefix("guess:"))
        self.tickets[number] = made
        self._write({"ticket_id": number, **body["article"]}, by)
        return dict(made)

    def _write(self, body: Body, by: int) -> Body:
        article = {"id": self._next(), "created_by_id": by, "created_at": _now(), **body}
        minutes = article.pop("time_unit", None)
        self.articles.append(article)
        if minutes is not None:
            of = {"ticket_id": article["ticket_id"], "ticket_article_id": article["id"]}
            self.accountings.append({"id": self._next(), "created_by_id": by, "time_unit": minutes, **of})
        self._touch(article["ticket_id"])
        return article

    def _found(self, query: str) -> list[Body]:
        field_name, _, wanted = query.partition(":")
        seen = [t for t in self.tickets.values() if _instant(t["updated_at"]) <= utc_now() - self.search_lag]
        if field_name == "updated_at":
            since = datetime.fromisoformat(wanted.removeprefix("[").removesuffix(" TO *]"))
            return [ticket for ticket in seen if _instant(ticket["updated_at"]) >= since]
        words = re.findall(r"\w+", wanted)
        return [ticket for ticket in seen if all(word in str(ticket[field_name]) for word in words)]

    # What follows is the API.

    def application(self) -> web.Application:
        """Return the API as an application of aiohttp."""
        app = web.Application(middlewares=[self._guarded])
        app.add_routes(
            [
                web.get("/api/v1/users/me", self._get_me),
                web.get("/api/v1/users/{id:\\d+}", self._get_user),
                web.get("/api/v1/tickets/search", self._get_search),
                web.get("/api/v1/tickets/{id:\\d+}", self._get_ticket),
                web.get("/api/v1/tickets/{id:\\d+}/time_accountings", self._get_accountings),
                web.get("/api/v1/ticket_articles/by_ticket/{id:\\d+}", self._get_articles),
                web.post("/api/v1/tickets", self._post_ticket),
                web.post("/api/v1/ticket_articles", self._post_article),
            ]
        )
        return app

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        call = f"{request.method} {_route(request.path)}"
        self.calls[call] += 1
        if request.headers.get("Authorization") != f"Token token={self.token}":
            return web.json_response({"error": "Invalid token"}, status=401)
        fault = next((one for one in self.faults if one.strikes(call)), None)
        if fault is None:
            return await handler(request)
        fault.times -= 1
        if fault.moment is Moment.AFTER:
            await handler(request)
        await asyncio.to_thread(fault.struck)
        await asyncio.sleep(fault.seconds)
        if fault.status == 0 and fault.seconds and fault.moment is Moment.BEFORE:
            return await handler(request)
        if fault.status == 0 and request.transport is not None:  # who was killed meanwhile has hung up
            request.transport.close()
        return web.json_response({"error": "a fault of the lab"}, status=fault.status or 500)

    async def _get_me(self, _: web.Request) -> web.Response:
        return web.json_response(self.users[OPERATOR])

    async def _get_user(self, request: web.Request) -> web.Response:
        return _one(self.users.get(_id(request)))

    async def _get_ticket(self, request: web.Request) -> web.Response:
        return _one(self.tickets.get(_id(request)))

    async def _get_accountings(self, request: web.Request) -> web.Response:
        with self._lock:
            return web.json_response([one for one in self.accountings if one["ticket_id"] == _id(request)])

    async def _get_articles(self, request: web.Request) -> web.Response:
        with self._lock:
            if _id(request) not in self.tickets:
                return _one(None)
            return web.json_response([one for one in self.articles if one["ticket_id"] == _id(request)])

    async def _get_search(self, request: web.Request) -> web.Response:
        page, size = int(request.query.get("page", "1")), int(request.query.get("per_page", "50"))
        with self._lock:
            found = self._found(request.query["query"])
        found.sort(key=lambda ticket: str(ticket[request.query.get("sort_by", "updated_at")]))
        return web.json_response(found[(page - 1) * size : page * size])

    async def _post_ticket(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("group") != "Support":
            return web.json_response({"error": "No lookup value found for 'group'"}, status=422)
        with self._lock:
            return web.json_response(self._open(body, OPERATOR), status=201)

    async def _post_article(self, request: web.Request) -> web.Response:
        body = await request.json()
        with self._lock:
            if body["ticket_id"] not in self.tickets:
                return _one(None)
            return web.json_response(self._write(body, OPERATOR), status=201)


@dataclass(slots=True)
class Served:
    """A Zammad at an address, with a switch."""

    zammad: Zammad
    _place: socket.socket
    """Bound to its port and deaf, so that nobody else gets the port while it is down."""
    _loop: asyncio.AbstractEventLoop
    _context: ssl.SSLContext
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self._place.getsockname()[1]}"

    def up(self) -> None:
        """Answer from now on, at the same address as before."""
        self._do(self._up())

    def down(self) -> None:
        """Answer no more; whatever is under way is cut off."""
        self._do(self._down())

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(timeout=30)

    async def _up(self) -> None:
        if self._runner is None:
            self._runner = web.AppRunner(self.zammad.application(), access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            port = self._place.getsockname()[1]
            site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=self._context, reuse_port=True)
            await site.start()

    async def _down(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        cut_off = asyncio.all_tasks() - {task for task in (asyncio.current_task(),) if task}
        for task in cut_off:
            task.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)


@contextmanager
def serve(zammad: Zammad, pair: Pair) -> Iterator[Served]:
    """Serve a Zammad on a free port of the loopback, in a thread of its own, with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="zammad", daemon=True)
    thread.start()
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        served = Served(zammad, place, loop, context)
        served.up()
        try:
            yield served
        finally:
            served.down()
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=10)
            loop.close()


def _route(path: str) -> str:
    """Return a path without the ids in it: `ticket_articles/by_ticket`."""
    parts = path.removeprefix("/api/v1/").split("/")
    return "/".join(part for part in parts if not part.isdigit())


def _id(request: web.Request) -> int:
    return int(request.match_info["id"])


def _one(body: Body | None) -> web.Response:
    return (
        web.json_response(body) if body is not None else web.json_response({"error": "Not found"}, status=404)
    )


def _now() -> str:
    return utc_now().isoformat(timespec="microseconds").replace("+00:00", "Z")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
