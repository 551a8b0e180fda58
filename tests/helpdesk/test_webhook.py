"""The webhook: what is signed makes us look at one ticket, and nothing that anybody sends does more."""

import hmac
import json
from hashlib import sha1
from io import BytesIO

import aiohttp
import pytest
from pydantic import SecretStr

from managedvm.world.helpdesk import webhook

SECRET = "a-secret-of-the-webhook"


class Door:
    """A webhook on the loopback, and what came through."""

    def __init__(self):
        self.secret = SecretStr(SECRET)
        self.active = True
        self.told = []
        self.url = ""

    async def send(self, content, *, secret=SECRET, signature=None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        signed = f"sha1={hmac.new(secret.encode(), body, sha1).hexdigest()}"
        headers = {"X-Hub-Signature": signed if signature is None else signature}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url, data=BytesIO(body), headers=headers) as answer,
        ):
            return answer.status, await answer.text()


@pytest.fixture
async def door():
    made = Door()
    runner = await webhook.serve(
        "127.0.0.1",
        0,
        secret=lambda: made.secret,
        is_active=lambda: made.active,
        on_ticket=made.told.append,
    )
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}{webhook.PATH}"
    yield made
    await runner.cleanup()


async def test_a_signed_delivery_names_the_ticket_to_look_at(door):
    assert await door.send({"ticket": {"id": 81, "number": "10081"}, "article": {}}) == (202, "")
    assert door.told == [81]


@pytest.mark.parametrize(
    "forged",
    [{"secret": "another-secret"}, {"signature": ""}, {"signature": "sha1="}, {"signature": "sha1=ü"}],
    ids=["another secret", "no signature", "an empty one", "no ASCII"],
)
async def test_a_forged_delivery_is_refused(door, forged):
    assert await door.send({"ticket": {"id": 81}}, **forged) == (401, "")
    assert door.told == []


async def test_a_signature_is_that_of_its_own_body(door):
    other = json.dumps({"ticket": {"id": 82}}).encode()
    signature = f"sha1={hmac.new(SECRET.encode(), other, sha1).hexdigest()}"
    assert (await door.send({"ticket": {"id": 81}}, signature=signature))[0] == 401


@pytest.mark.parametrize("secret", [None, "", "short"])
async def test_without_a_secret_worth_the_name_nothing_is_signed(door, secret):
    door.secret = None if secret is None else SecretStr(secret)
    assert (await door.send({"ticket": {"id": 81}}, secret=secret or ""))[0] == 401


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", {"ticket": {}}, {"ticket": {"id": "81"}}, {"ticket": {"id": -1}}, {"ticket": 81}],
)
async def test_what_is_signed_and_names_no_ticket_is_refused(door, content):
    assert (await door.send(content))[0] == 400
    assert door.told == []


async def test_a_delivery_that_is_too_long_is_not_read(door):
    assert (await door.send(b"x" * (webhook.MOST_BYTES + 1)))[0] == 413


async def test_a_replica_that_does_not_act_lets_the_helpdesk_deliver_again(door):
    door.active = False
    assert (await door.send({"ticket": {"id": 81}}))[0] == 503
    assert door.told == []


async def test_nothing_else_is_served(door):
    async with aiohttp.ClientSession() as session, session.get(door.url) as answer:
        assert answer.status == 405
    async with (
        aiohttp.ClientSession() as session,
        session.get(door.url.replace("webhook", "metrics")) as answer,
    ):
        assert answer.status == 404
