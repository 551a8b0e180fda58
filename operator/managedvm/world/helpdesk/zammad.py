"""Zammad's REST API: bounded answers, certificates verified, no call repeated, no secret in any message.

`changed_since`, `numbered` and `titled` ask Zammad's search, which needs Elasticsearch and lags behind by seconds.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson
from pydantic import SecretStr

from managedvm import __version__
from managedvm.errors import (
    InvalidCredentialsError,
    ManagedVMError,
    NoPermissionError,
    NotActiveError,
    RefusedError,
    StaleError,
    TlsNotTrustedError,
    UnknownOutcomeError,
    UnreachableError,
)
from managedvm.planning.helpdesk import AddNote, OpenTicket, Ticket, TicketLine, TicketRef
from managedvm.planning.wallclock import shown

PAGE = 50
"""Tickets per page of a list."""

REQUEST_SECONDS = 15.0
MOST_BYTES = 8 << 20
"""The longest answer that is read: the articles of a long ticket are some hundred kilobytes."""

LONGEST_ARTICLE = 64 << 10
"""How much of an article is looked at."""

_CALLS = 2
"""Calls at one time: a helpdesk is made for people."""

_TIME_ACCOUNTED = "time_unit"


class Zammad:
    """The port over one Zammad, as the user that the token belongs to. `may_act` is asked before each mutating call."""

    def __init__(
        self,
        url: str,
        token: SecretStr,
        context: ssl.SSLContext,
        *,
        group: str,
        attributes: Iterable[str],
        may_act: Callable[[], bool],
        seconds: float = REQUEST_SECONDS,
    ) -> None:
        self._url = url
        self._token = token
        self._context = context
        self._group = group
        self._attributes = tuple(attributes)
        self._may_act = may_act
        self._seconds = seconds
        self._calls = asyncio.Semaphore(_CALLS)
        self._session: aiohttp.ClientSession | None = None
        self._me: int | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def changed_since(self, since: datetime, page: int) -> list[TicketLine]:
        """Return tickets that changed at or after an instant, oldest change first."""
        query = {"sort_by": "updated_at", "order_by": "asc", "page": str(page), "per_page": str(PAGE)}
        found = await self._search(f"updated_at:[{shown(since)} TO *]", query)
        return [TicketLine(int(one["id"]), _instant(one["updated_at"])) for one in found]

    async def ticket(self, ticket: int) -> Ticket | None:
        """Read a ticket, its customer and its first article."""
        body = await self._find(f"tickets/{ticket}", expand="true")
        if body is None:
            return None
        articles = await self._find(f"ticket_articles/by_ticket/{ticket}") or ()
        first: dict[str, Any] = min(articles, key=lambda one: int(one["id"]), default={})
        me = await self._user()
        own = {name: str(body[name]) for name in self._attributes if body.get(name) not in (None, "")}
        return Ticket(
            id=int(body["id"]),
            number=str(body["number"]),
            title=str(body.get("title") or ""),
            state=str(body.get("state") or ""),
            customer=await self._address(body),
            channel=str(first.get("type") or ""),
            text=_plain(first),
            created_at=_instant(body["created_at"]),
            is_ours=body.get("created_by_id") == me,
            notes=_subjects(articles, me),
            attributes=own,
        )

    async def numbered(self, number: str) -> TicketRef | None:
        """Find a ticket by its number."""
        found = await self._search(f"number:{_quoted(number)}", {})
        for one in found:
            if one["number"] == number:
                return TicketRef(int(one["id"]), number, await self._address(one))
        return None

    async def titled(self, title: str) -> TicketRef | None:
        """Find a ticket that our own user opened under this title, the first of several."""
        me = await self._user()
        found = await self._search(f"title:{_quoted(title)}", {"sort_by": "created_at", "order_by": "asc"})
        own = (one for one in found if one["title"] == title and one.get("created_by_id") == me)
        return next((TicketRef(int(one["id"]), str(one["number"])) for one in own), None)

    async def notes(self, ticket: int) -> frozenset[str]:
        """Return the subjects of our own user's notes; nobody else's count, whatever they say."""
        me = await self._user()
        articles = await self._find(f"ticket_articles/by_ticket/{ticket}")
        if articles is None:
            raise RefusedError(
                f"ticket {ticket} of the helpdesk is gone, or our user may not see its group; give the user that group"
            )
        return _subjects(articles, me)

    async def open(self, what: OpenTicket) -> TicketRef:
        """Open a ticket with an internal note; a customer who is not there yet is made."""
        article = {"subject": what.subject, "body": what.text, **_NOTE}
        body = {"title": what.title, "group": self._group, "customer_id": f"guess:{what.customer}"}
        made = await self._write("tickets", {**body, "article": article})
        return TicketRef(int(made["id"]), str(made["number"]), what.customer)

    async def add_note(self, note: AddNote) -> None:
        """Add an internal note; Zammad accounts the time that comes with it to the note."""
        body: dict[str, Any] = {"ticket_id": note.ticket, "subject": note.subject, "body": note.text, **_NOTE}
        if note.minutes is not None:
            body[_TIME_ACCOUNTED] = str(note.minutes)
        await self._write("ticket_articles", body)

    async def _user(self) -> int:
        """Return the id of the user that the token belongs to."""
        if self._me is None:
            self._me = int((await self._read("users/me"))["id"])
        return self._me

    async def _address(self, ticket: Mapping[str, Any]) -> str:
        customer = await self._find(f"users/{int(ticket['customer_id'])}") or {}
        return str(customer.get("email") or customer.get("login") or f"zammad-user-{ticket['customer_id']}")[
            :254
        ]

    async def _search(self, query: str, more: Mapping[str, str]) -> list[dict[str, Any]]:
        found = await self._read("tickets/search", query=query, expand="true", **more)
        if not isinstance(found, list):
            raise RefusedError(
                "the helpdesk's search does not answer with a list; see that spec.url is that of a Zammad"
            )
        return found

    async def _find(self, path: str, **query: str) -> Any:
        """Return what a GET answers, None where there is no such thing or none that our user may see."""
        status, answer = await self._send("GET", path, query, None)
        is_missing = status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN)
        return None if is_missing else _judged("GET", path, status, answer)

    async def _read(self, path: str, **query: str) -> Any:
        """Return what a GET answers that must be there."""
        return _judged("GET", path, *await self._send("GET", path, query, None))

    async def _write(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if not self._may_act():
            raise NotActiveError(f"POST {path} was not sent to the helpdesk: this replica may not act")
        status, answer = await self._send("POST", path, {}, orjson.dumps(body))
        made: dict[str, Any] = _judged("POST", path, status, answer)
        return made

    async def _send(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None
    ) -> tuple[int, bytes]:
        headers = {
            "Authorization": f"Token token={self._token.get_secret_value()}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": f"managedvm-operator/{__version__}",
        }
        url = f"{self._url}/api/v1/{path}"
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._seconds))
        try:
            async with (
                self._calls,
                self._session.request(
                    method,
                    url,
                    params=query,
                    data=body,
                    headers=headers,
                    ssl=self._context,
                    allow_redirects=False,
                ) as response,
            ):
                return response.status, await _bounded(response)
        except aiohttp.ClientConnectorCertificateError as error:
            raise TlsNotTrustedError(
                "the helpdesk's certificate is not trusted; put its authority into the Secret, see spec.tls"
            ) from error
        except (aiohttp.ClientConnectorError, ssl.SSLError) as error:
            raise UnreachableError(f"it cannot be reached: {type(error).__name__}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            what = f"{method} {path} got no answer: {type(error).__name__}"
            raise (UnreachableError if method == "GET" else UnknownOutcomeError)(what) from error


_NOTE = {"content_type": "text/plain", "type": "note", "internal": True}


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """Return an answer's content, or raise where it is longer than any that is meant for us."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        content += chunk
        if len(content) > MOST_BYTES:
            raise RefusedError(f"an answer of the helpdesk is larger than {MOST_BYTES} bytes")
    return bytes(content)


def _judged(method: str, path: str, status: int, payload: bytes) -> Any:
    """Return what the helpdesk answered, or raise what its status means for us."""
    try:
        answer = orjson.loads(payload) if payload else {}
    except orjson.JSONDecodeError:
        answer = None
    if status < HTTPStatus.MULTIPLE_CHOICES and answer is not None:
        return answer
    said = str(answer.get("error") or "")[:256] if isinstance(answer, dict) else ""
    words = f"{method} {path} is answered with {status}{': ' if said else ''}{said}"
    raise _error(method, status, words)


def _error(method: str, status: int, words: str) -> ManagedVMError:
    match status:
        case 401:
            return InvalidCredentialsError(f"the helpdesk does not take the token of the Secret: {words}")
        case 403 if method == "GET":
            return NoPermissionError(
                f"the user of the token lacks a permission; it needs ticket.agent and the groups of the tickets: {words}"
            )
        case 400 | 403 | 404 | 422:
            return RefusedError(words)  # of this one ticket, as one in a group that our user may only read
        case 409:
            return StaleError(words)
        case _ if method == "GET" or status == HTTPStatus.TOO_MANY_REQUESTS:
            return UnreachableError(words)
        case _:
            return UnknownOutcomeError(words)


def _subjects(articles: Iterable[Mapping[str, Any]], user: int) -> frozenset[str]:
    return frozenset(str(one.get("subject") or "") for one in articles if one.get("created_by_id") == user)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _quoted(text: str) -> str:
    """Return a text as one phrase of the search's language, with nothing in it that means something there."""
    cleaned = "".join(" " if letter in '"\\' else letter for letter in text)
    return f'"{cleaned}"'


class _Text(HTMLParser):
    """Collects what a person reads of an article."""

    _BREAKS = frozenset({"br", "p", "div", "li", "tr", "blockquote"})
    _UNSEEN = frozenset({"style", "script"})

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as it is called
        """Break a line where the article does."""
        self._unseen += tag in self._UNSEEN
        if tag in self._BREAKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Read on after what is not seen."""
        self._unseen -= tag in self._UNSEEN and self._unseen > 0
        if tag in self._BREAKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        """Take what is read."""
        if not self._unseen:
            self.words.append(data)


def _plain(article: Mapping[str, Any]) -> str:
    """Return an article without mark-up and without empty lines."""
    body = str(article.get("body") or "")[:LONGEST_ARTICLE]
    if "html" in str(article.get("content_type") or ""):
        text = _Text()
        text.feed(body)
        text.close()
        body = "".join(text.words)
    lines = (line.strip() for line in body.replace("\N{NO-BREAK SPACE}", " ").splitlines())
    return "\n".join(line for line in lines if line)
