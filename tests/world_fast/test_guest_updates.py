"""Asking a guest what there is to update: nothing is concluded from a job that is not done, or a report that is no use."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from managedvm.errors import UnreachableError
from managedvm.planning.jobs import Finished, Lost, NotStarted, Running
from managedvm.planning.observed import Unknown
from managedvm.planning.updates.inventory import UpdateInventory
from managedvm.world.guests import Guest, GuestLogin, updates
from tests.planning.updates.test_dnf import RECORDED

GUEST = Guest("vm-7", GuestLogin("root", SecretStr("canary-password")))


def written(sections):
    return b"".join(b"section %b 0 %d\n%b\n" % (n.encode(), len(t), t.encode()) for n, t in sections.items())


class FakeExecutor:
    """A guest whose job is in a state, and whose report says something; notes what was started and read."""

    def __init__(self, state=None, content=b""):
        self.state, self.content = state or Finished(0, ""), content
        self.started, self.read = [], []

    async def start(self, guest, job_id, command, *, limit):
        self.started.append((guest, job_id, command, limit))

    async def result(self, *_):
        return self.state

    async def read_file(self, _, path, *, most_bytes):
        self.read.append((path, most_bytes))
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


async def test_the_guest_runs_one_fixed_script_within_a_limit():
    executor = FakeExecutor()
    await updates.ask(executor, GUEST, "inventory-1")
    ((_, job_id, command, limit),) = executor.started
    assert (job_id, command[:2]) == ("inventory-1", ("/bin/sh", "-c"))
    assert command[3:] == ("managedvm-updates", "/run/managedvm/updates/inventory-1")
    assert limit <= timedelta(minutes=10)


@pytest.mark.parametrize("state", [NotStarted(), Running(), Lost(), Unknown("no answer")], ids=repr)
async def test_a_job_that_is_not_done_tells_nothing_but_that(state):
    executor = FakeExecutor(state)
    assert await updates.answer(executor, GUEST, "inventory-1") == state
    assert executor.read == []


async def test_a_whole_report_is_an_inventory():
    executor = FakeExecutor(content=written(RECORDED))
    found = await updates.answer(executor, GUEST, "inventory-1")
    assert isinstance(found, UpdateInventory)
    assert executor.read == [("/run/managedvm/updates/inventory-1", updates.MOST_BYTES)]


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        (FakeExecutor(Finished(65, "")), "neither apt nor dnf"),
        (FakeExecutor(Finished(73, "no room")), "no room"),
        (FakeExecutor(content=written(RECORDED)[:-5]), "no section"),
        (FakeExecutor(content=b"section os-release 0 0\n\n"), "could not be read"),
        (FakeExecutor(content=UnreachableError("no answer")), "no answer"),
    ],
    ids=["another system", "a failure", "half a report", "an empty report", "no way to it"],
)
async def test_what_is_no_use_is_unknown_with_its_reason(executor, words):
    found = await updates.answer(executor, GUEST, "inventory-1")
    assert isinstance(found, Unknown)
    assert words in found.reason
