"""From a request to its ticket: opened once for every channel, told once what is new, and each piece of work accounted once."""

import itertools
from datetime import timedelta

import pytest

from lab.zammad import Fault, Moment
from managedvm.clock import utc_now
from tests.api import bodies
from tests.helpdesk.stand import ANNA, HELPDESK, TECHNICIAN


def ask(name="r-1", **spec):
    """Return what was asked by telephone this morning, before all work on it, and is written down now."""
    called = {"askedAt": f"{utc_now() - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}"}
    return bodies.change_request(
        "kunde-a", name, ANNA, **{"kind": "SupportQuestion", "channel": "Phone", **called, **spec}
    )


def work(stand, name="w-1", request="r-1", ago=60, **spec):
    end = stand.clock() - timedelta(minutes=ago)
    times = {"begin": f"{end - timedelta(minutes=40):%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    return bodies.work_entry(
        "kunde-a", name, TECHNICIAN, changeRequestRef={"name": request}, **(times | spec)
    )


def request(stand, name="r-1"):
    return stand.kube.objects["ChangeRequest", "kunde-a", name]


def entry(stand, name="w-1"):
    return stand.kube.objects["WorkEntry", "kunde-a", name]


def only_ticket(stand):
    (ticket,) = stand.server.opened()
    return ticket


async def test_a_request_of_any_channel_gets_one_ticket_and_knows_its_number(stand):
    for number, channel in enumerate(("Git", "Phone", "Email", "Other")):
        await stand.write(ask(f"r-{number}", channel=channel))
    await stand.settle()
    await stand.again()
    await stand.restart()
    await stand.poll()
    titles = [ticket["title"] for ticket in stand.server.opened()]
    assert sorted(titles) == [f"[kunde-a/r-{number}] SupportQuestion web-01" for number in range(4)]
    numbers = {ticket["number"] for ticket in stand.server.opened()}
    assert {request(stand, f"r-{n}")["status"]["ticket"]["number"] for n in range(4)} == numbers
    assert len(stand.requests()) == 4


async def test_work_is_billed_once_its_request_has_a_ticket(stand):
    stand.served.down()
    await stand.poll()
    await stand.write(ask())
    await stand.write(work(stand))
    await stand.settle()
    stand.ahead += timedelta(minutes=1)
    stand.waiting += [key for key in stand.later if key.kind == "WorkEntry"]
    await stand.settle()
    (said,) = entry(stand)["status"]["conditions"]
    assert (said["status"], said["reason"]) == ("Unknown", "TicketMissing")
    assert "charge" not in entry(stand)["status"]
    assert request(stand)["status"]["state"] == "InWork"

    stand.served.up()
    await stand.poll()
    await stand.again()
    assert entry(stand)["status"]["charge"]["amount"] == "90.00"
    assert entry(stand)["status"]["ticketedAt"]
    assert stand.server.minutes(only_ticket(stand)["id"]) == ["40.00"]


async def test_what_is_new_and_each_piece_of_work_is_in_the_ticket_once(stand):
    await stand.write(ask())
    await stand.settle()
    await stand.write(work(stand))
    await stand.write(work(stand, "w-2", ago=5))
    await stand.settle()
    decision = {"changeRequestRef": {"name": "r-1"}, "decision": "Complete", "decidedAs": "Staff"}
    await stand.write(bodies.request_decision("kunde-a", "done", TECHNICIAN, **decision))
    stand.corresponds("r-1")
    await stand.settle()
    for _ in range(2):
        await stand.again()
        await stand.restart()
        await stand.poll()
    ticket = only_ticket(stand)["id"]
    assert stand.subjects(ticket) == ["Ordered", "InWork", "work w-1", "work w-2", "Done"]
    assert stand.server.minutes(ticket) == ["40.00", "40.00"]


async def test_when_all_is_told_nothing_is_asked_and_nothing_is_written(stand):
    await stand.write(ask())
    await stand.write(work(stand))
    await stand.settle()
    await stand.poll()
    await stand.poll()
    stand.kube.calls.clear()
    stand.server.calls.clear()
    stand.corresponds("r-1")
    await stand.poll()
    assert [call for call in stand.kube.calls if call[0] != "get"] == []
    assert dict(stand.server.calls) == {"GET tickets/search": 1}


async def test_work_that_is_taken_back_is_told_and_its_time_stays_for_a_person(stand):
    await stand.write(ask())
    await stand.write(work(stand))
    await stand.settle()
    await stand.write(bodies.reversal(work(stand), TECHNICIAN))
    await stand.settle()
    ticket = only_ticket(stand)["id"]
    assert stand.subjects(ticket)[-1] == "work reversal-of-w-1"
    assert stand.server.minutes(ticket) == ["40.00"]


CALLS = ("GET tickets/search", "POST tickets", "GET ticket_articles/by_ticket", "POST ticket_articles")


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("status", [0, 500])
@pytest.mark.parametrize("call", CALLS)
async def test_a_lost_answer_doubles_nothing_and_loses_nothing(stand, call, status, moment):
    stand.server.faults.append(Fault(call, moment, status=status))
    await stand.write(ask())
    await stand.write(work(stand))
    await stand.settle()
    for _ in range(3):
        await stand.again()
    ticket = only_ticket(stand)["id"]
    assert sorted(stand.subjects(ticket)) in (["InWork", "work w-1"], ["InWork", "Ordered", "work w-1"])
    assert stand.server.minutes(ticket) == ["40.00"]
    assert entry(stand)["status"]["charge"]["amount"] == "90.00"


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("number", range(14))
@pytest.mark.parametrize("happens", [False, True], ids=["before its effect", "after its effect"])
async def test_a_process_that_is_killed_at_any_write_ends_as_if_it_were_not(
    stand, monkeypatch, number, happens
):
    """Every write to API server and helpdesk is a point; the last ones are never reached, and then nothing happens."""
    calls = itertools.count()

    def deadly(method):
        async def call(*args, **more):
            is_last = next(calls) == number
            if is_last and not happens:
                raise KilledError
            answer = await method(*args, **more)
            if is_last:
                raise KilledError
            return answer

        return call

    monkeypatch.setattr(stand.kube, "patch_status", deadly(stand.kube.patch_status))
    for name in ("open", "add_note"):
        monkeypatch.setattr(
            f"managedvm.world.helpdesk.zammad.Zammad.{name}", deadly_method(name, calls, number, happens)
        )
    await stand.write(ask())
    await stand.write(work(stand))
    for _ in range(2):
        try:
            await stand.settle()
            await stand.again()
        except KilledError:
            await stand.restart()
            await stand.poll()
    for _ in range(2):
        await stand.again()
    ticket = only_ticket(stand)["id"]
    assert sorted(stand.subjects(ticket)) in (["InWork", "work w-1"], ["InWork", "Ordered", "work w-1"])
    assert stand.server.minutes(ticket) == ["40.00"]
    assert entry(stand)["status"]["ticketedAt"]


def deadly_method(name, calls, number, happens):
    from managedvm.world.helpdesk.zammad import Zammad

    method = getattr(Zammad, name)

    async def call(self, *args):
        is_last = next(calls) == number
        if is_last and not happens:
            raise KilledError
        answer = await method(self, *args)
        if is_last:
            raise KilledError
        return answer

    return call


async def test_a_ticket_that_the_search_does_not_know_yet_is_not_opened_twice(stand):
    spec = stand.kube.objects["Helpdesk", "", "helpdesk"]["spec"]
    stand.edit("Helpdesk", "", "helpdesk", spec={**spec, "searchLag": "10m"})
    stand.server.search_lag = timedelta(minutes=1)
    stand.server.faults.append(Fault("POST tickets", Moment.AFTER))
    await stand.write(ask())
    await stand.settle()
    await stand.poll()
    assert "number" not in request(stand)["status"]["ticket"]
    assert len(stand.server.opened()) == 1
    # The server's clock is the real one; so the ticket is made older instead.
    for ticket in stand.server.tickets.values():
        ticket["updated_at"] = "2026-01-01T00:00:00.000000Z"
    await stand.again()
    await stand.again()
    assert request(stand)["status"]["ticket"]["number"] == only_ticket(stand)["number"]


async def test_the_number_of_ones_own_ticket_is_used_and_that_of_another_customer_is_not(stand):
    own, foreign = (
        stand.server.write_in(ANNA, "By telephone"),
        stand.server.write_in("a.beispiel@kunde-b.example", "B"),
    )
    await stand.write(ask("r-1", ticket=own["number"]))
    await stand.write(ask("r-2", ticket=foreign["number"]))
    await stand.settle()
    await stand.again()
    assert request(stand, "r-1")["status"]["ticket"]["id"] == own["id"]
    assert stand.server.opened("kunde-a/r-2")
    assert [s for s in stand.subjects(foreign["id"]) if "VM" not in s] == []


async def test_what_was_asked_before_there_was_a_helpdesk_stays_without(stand):
    body = ask()
    body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    stand.put(stand.kube._store({**body, "status": {"state": "Ordered"}}))
    await stand.write(work(stand))
    await stand.settle()
    await stand.again()
    assert "ticket" not in request(stand)["status"]
    assert stand.server.opened() == []
    assert entry(stand)["status"]["charge"]


async def test_a_group_that_zammad_does_not_know_is_told(stand):
    stand.server.faults.append(Fault("POST tickets", status=422, times=1))
    await stand.write(ask())
    await stand.settle()
    assert stand.said("TicketsDocumented") == ("False", "Refused")
    assert stand.counted[HELPDESK][-1] == "Refused"
    await stand.again()
    await stand.again()
    assert only_ticket(stand)
    assert stand.said("TicketsDocumented") == ("True", "TicketsDocumented")


async def test_a_slow_helpdesk_holds_one_pass_and_no_more(stand):
    stand.server.faults.append(Fault("POST tickets", seconds=0.5))
    running = 0
    most = 0
    write = stand.ticketing._correspondent.write

    async def counted(*args):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await write(*args)
        finally:
            running -= 1

    stand.ticketing._correspondent.write = counted
    for number in range(5):
        await stand.write(ask(f"r-{number}"))
    await stand.settle()
    await stand.again()
    assert (most, len(stand.server.opened())) == (1, 5)
