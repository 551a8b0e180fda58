"""Which reconfiguration a pass takes into account: our own memory where it is enough, else what the server says."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.engine.store import Store
from managedvm.planning.observed import TaskState, Unknown
from managedvm.wiring import INDEXES
from managedvm.world.observe import Observer
from tests.factories import NOW, change_request, task, virtual_machine
from tests.world_fast.fakes import nobody_is_met

NOTED = {"managedvm.change.memory": change_request().metadata.name}
OURS = task(moref="task-ours")
OTHER = task(TaskState.RUNNING, end=None, moref="task-of-the-process-before-us")


class Server:
    """A vCenter that tells its latest reconfiguration, and counts how often it was asked."""

    def __init__(self, answer):
        self._answer = answer
        self.asked = 0

    async def recent_task(self, _vm, _method):
        self.asked += 1
        return self._answer


async def read(facts, *requests, answer=OTHER):
    """Return what a pass reads, and how often the server was asked for it."""
    server = Server(answer)
    listed = {request.metadata.name: request for request in requests}
    return await Observer(Store(INDEXES), lambda _: None, nobody_is_met)._task(
        server, facts, listed
    ), server.asked


async def test_without_an_open_request_nobody_is_asked():
    assert await read(virtual_machine()) == (None, 0)
    assert await read(virtual_machine(), change_request(state="Done")) == (None, 0)


async def test_our_own_running_task_is_enough():
    running = task(TaskState.RUNNING, end=None)
    assert await read(virtual_machine(task=running), change_request()) == (running, 0)


async def test_our_own_task_is_enough_when_every_open_request_shows_its_effect():
    assert await read(virtual_machine(task=OURS, notes=NOTED), change_request()) == (OURS, 0)


async def test_a_task_of_ours_that_ended_before_the_order_is_not_the_one_that_carried_it_out():
    """The answer to the order was lost, so the task that we remember is the one before it."""
    before = task(moref="task-before", end=NOW - timedelta(hours=1))
    facts = virtual_machine(task=before, notes=NOTED)
    assert await read(facts, change_request(), answer=OURS) == (OURS, 1)


@pytest.mark.parametrize(
    "own", [None, OURS, replace(OURS, state=TaskState.ERROR), replace(OURS, method="PowerOnVM_Task")]
)
async def test_the_server_is_asked_while_an_open_request_shows_no_effect(own):
    assert await read(virtual_machine(task=own), change_request()) == (OTHER, 1)


async def test_after_a_crash_the_server_tells_when_the_work_was_done():
    assert await read(virtual_machine(notes=NOTED), change_request(), answer=OURS) == (OURS, 1)


async def test_a_read_that_failed_is_an_answer():
    found, _ = await read(virtual_machine(), change_request(), answer=Unknown("no route to host"))
    assert found == Unknown("no route to host")
