"""Where the helpdesk tells that a ticket has changed. A delivery says which ticket is to be looked at, and nothing else.

Its body is signed, and still believed in nothing but the ticket's id: what the ticket says is read with our own token. So a
delivery that comes twice, late, or again from a thief only makes us look.
"""

import asyncio
import hmac
from collections.abc import Callable
from hashlib import sha1
from http import HTTPStatus

import orjson
from aiohttp import web
from pydantic import BaseModel, Field, SecretStr, ValidationError

PATH = "/webhook/zammad"

MOST_BYTES = 1 << 20
"""The longest delivery: the text of one article and the facts around it. What is longer is found by asking for changes."""

_SECONDS = 10.0
"""How long a delivery may take to arrive."""

_AT_ONCE = 16
"""Deliveries that are read at one time, so that they never hold more than 16 MiB."""

_SHORTEST_SECRET = 8


class _Ticket(BaseModel):
    id: int = Field(ge=1, le=2**53 - 1, strict=True)


class _Delivery(BaseModel):
    ticket: _Ticket


def is_signed(body: bytes, signature: str, secret: SecretStr | None) -> bool:
    """Return whether the signature (`sha1=...`) is that of the body, compared in constant time; without a secret none is."""
    key = secret.get_secret_value() if secret is not None else ""
    if len(key) < _SHORTEST_SECRET:
        return False
    wanted = f"sha1={hmac.new(key.encode(), body, sha1).hexdigest()}"
    return hmac.compare_digest(wanted.encode(), signature.encode(errors="replace"))


async def serve(
    address: str,
    port: int,
    *,
    secret: Callable[[], SecretStr | None],
    is_active: Callable[[], bool],
    on_ticket: Callable[[int], None],
) -> web.AppRunner:
    """Serve until the returned runner is cleaned up. `on_ticket` is told of the ticket of each delivery that is signed.

    Raises:
        OSError: the port cannot be had.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def deliver(request: web.Request) -> web.Response:
        if not is_active():
            # Zammad delivers again, perhaps to the replica that acts; this one knows no secret.
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            async with asyncio.timeout(_SECONDS), places:
                body = await request.read()
        except TimeoutError:
            return web.Response(status=HTTPStatus.REQUEST_TIMEOUT)
        if not is_signed(body, request.headers.get("X-Hub-Signature", ""), secret()):
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        try:
            delivery = _Delivery.model_validate(orjson.loads(body))
        except (orjson.JSONDecodeError, ValidationError):
            return web.Response(status=HTTPStatus.BAD_REQUEST)
        on_ticket(delivery.ticket.id)
        return web.Response(status=HTTPStatus.ACCEPTED)

    app = web.Application(client_max_size=MOST_BYTES)
    app.add_routes([web.post(PATH, deliver)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
