"""From a ticket to its request: once however often it is told of, and never lost."""

from datetime import timedelta

import pytest

from lab.zammad import Fault, Moment
from tests.api import bodies
from tests.helpdesk.stand import ANNA, HELPDESK

VM = {"managedvm": "web-01"}


def writes(stand):
    return [call for call in stand.kube.calls if call[0] != "get"]


async def test_a_helpdesk_that_answers_is_reachable(stand):
    assert stand.said("Reachable") == ("True", "HelpdeskReachable")
    assert stand.said("TicketsDocumented") == ("True", "TicketsDocumented")
    assert stand.said("Ready") == ("True", "AsPromised")


async def test_an_idle_helpdesk_costs_one_search_per_interval_and_no_write(stand):
    stand.kube.calls.clear()
    stand.server.calls.clear()
    for _ in range(3):
        await stand.poll()
    assert writes(stand) == []
    assert dict(stand.server.calls) == {"GET tickets/search": 3}


async def test_a_ticket_becomes_one_request_however_often_it_is_told_of(stand):
    ticket = stand.server.write_in(ANNA, "Slow", **VM)
    for _ in range(5):
        stand.ticketing.told_of(ticket["id"])
        await stand.settle()
    await stand.poll()
    await stand.restart()
    stand.ticketing.told_of(ticket["id"])
    await stand.poll()

    ((where, body),) = stand.requests().items()
    assert where == ("kunde-a", f"op-ticket-{ticket['number']}")
    assert body["spec"]["requestedBy"] == ANNA
    assert body["status"]["ticket"]["id"] == ticket["id"]
    assert stand.subjects(ticket["id"]) == ["Ordered"]
    assert stand.server.opened() == []


async def test_a_ticket_of_which_no_webhook_told_is_found(stand):
    ticket = stand.server.write_in(ANNA, "Slow", **VM)
    await stand.poll()
    assert list(stand.requests()) == [("kunde-a", f"op-ticket-{ticket['number']}")]


async def test_many_tickets_at_once_are_all_found(stand):
    tickets = [stand.server.write_in(ANNA, f"Ticket {number}", **VM) for number in range(120)]
    await stand.poll()
    assert {name for _, name in stand.requests()} == {f"op-ticket-{one['number']}" for one in tickets}


async def test_a_ticket_that_comes_while_the_operator_is_away_is_found_afterwards(stand):
    stand.server.write_in(ANNA, "Before", **VM)
    await stand.poll()
    ticket = stand.server.write_in(ANNA, "Meanwhile", **VM)
    await stand.restart()
    await stand.poll()
    assert ("kunde-a", f"op-ticket-{ticket['number']}") in stand.requests()
    assert len(stand.requests()) == 2


async def test_a_ticket_that_names_no_vm_is_noted_once_counted_and_taken_in_when_it_does(stand):
    ticket = stand.server.write_in("stranger@else.example", "Help")
    for _ in range(3):
        await stand.poll()
        stand.ticketing.told_of(ticket["id"])
    await stand.restart()
    await stand.poll()
    assert stand.subjects(ticket["id"]) == ["it names no VM"]
    assert stand.said("TicketsDocumented") == ("False", "TicketsHeld")
    assert [one["number"] for one in stand.status()["heldTickets"]] == [ticket["number"]]
    assert (stand.ticketing.held, stand.counted[HELPDESK][-1], stand.requests()) == (1, "TicketsHeld", {})

    stand.server.change(ticket["id"], managedvm="kunde-a/web-01", request_kind="SupportQuestion")
    await stand.poll()
    assert list(stand.requests()) == [("kunde-a", f"op-ticket-{ticket['number']}")]
    assert (stand.said("TicketsDocumented"), stand.ticketing.held) == (("True", "TicketsDocumented"), 0)
    assert stand.requests()["kunde-a", f"op-ticket-{ticket['number']}"]["status"]["state"] == "Held"


async def test_a_fault_is_taken_in_from_anybody_and_dates_from_its_ticket(stand):
    ticket = stand.server.write_in("stranger@else.example", "It is down", managedvm="kunde-a/web-01")
    stand.server.tickets[ticket["id"]]["created_at"] = (
        f"{stand.clock() - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    )
    await stand.poll()
    (body,) = stand.requests().values()
    assert (body["spec"]["kind"], body["status"]["state"]) == ("FaultReport", "Ordered")
    assert body["status"]["authority"]["mayOrder"] is False
    assert body["spec"]["askedAt"] == stand.server.tickets[ticket["id"]]["created_at"]


async def test_a_ticket_waits_for_a_vm_that_is_declared_later(stand):
    ticket = stand.server.write_in(ANNA, "Slow", managedvm="db-01")
    for _ in range(2):
        await stand.poll()  # our own note has changed it
    stand.server.calls.clear()
    await stand.poll()
    # What it says is known; nobody asks for it again while nothing has changed here.
    assert dict(stand.server.calls) == {"GET tickets/search": 1}
    await stand.write(bodies.managed_vm("kunde-a", "db-01"))
    await stand.poll()
    assert list(stand.requests()) == [("kunde-a", f"op-ticket-{ticket['number']}")]


async def test_a_helpdesk_that_is_down_loses_nothing_and_is_told_after_a_minute(stand):
    stand.served.down()
    await stand.poll()
    assert stand.said("Reachable") == ("True", "HelpdeskReachable")
    await stand.poll()
    assert stand.said("Reachable") == ("Unknown", "HelpdeskUnreachable")
    ticket = stand.server.write_in(ANNA, "Slow", **VM)
    assert stand.requests() == {}

    stand.served.up()
    await stand.poll()
    assert stand.said("Reachable") == ("True", "HelpdeskReachable")
    assert list(stand.requests()) == [("kunde-a", f"op-ticket-{ticket['number']}")]


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("status", [0, 500])
async def test_a_note_whose_answer_is_lost_is_written_once(stand, moment, status):
    ticket = stand.server.write_in(ANNA, "Slow")
    stand.server.faults.append(Fault("POST ticket_articles", moment, status=status))
    for _ in range(3):
        await stand.poll()
    assert stand.subjects(ticket["id"]) == ["it names no VM"]


async def test_one_ticket_that_cannot_be_read_keeps_no_other_out(stand):
    odd = stand.server.write_in(ANNA, "Odd", **VM)
    stand.server.tickets[odd["id"]]["created_at"] = "some time ago"
    fine = stand.server.write_in(ANNA, "Fine", **VM)
    await stand.poll()
    assert list(stand.requests()) == [("kunde-a", f"op-ticket-{fine['number']}")]
    assert [one["id"] for one in stand.status()["heldTickets"]] == [odd["id"]]


async def test_a_record_that_the_api_server_refuses_is_said_in_the_ticket(stand):
    ticket = stand.server.write_in(ANNA, "Slow", **VM)
    await stand.write(
        {
            **bodies.change_request("kunde-a", f"op-ticket-{ticket['number']}", "x"),
            "metadata": {"namespace": "kunde-a", "name": f"op-ticket-{ticket['number']}"},
        }
    )
    await stand.poll()
    assert stand.subjects(ticket["id"]) == ["it cannot be recorded"]


async def test_without_the_policies_nothing_is_taken_in(stand):
    stand.store.drop("ValidatingAdmissionPolicyBinding", "uid-managedvm-records")
    stand.server.write_in(ANNA, "Slow", **VM)
    await stand.poll()
    assert stand.requests() == {}
    for condition in ("Reachable", "TicketsDocumented"):
        assert stand.said(condition) == ("Unknown", "PolicyBindingMissing")


async def test_a_token_that_is_refused_is_told_at_once_and_a_new_one_needs_no_restart(stand):
    stand.server.token = "another"
    await stand.poll()
    assert stand.said("Reachable") == ("False", "InvalidCredentials")
    stand.server.token = "a-token-of-zammad"
    await stand.poll()
    assert stand.said("Reachable") == ("True", "HelpdeskReachable")


async def test_without_its_secret_the_helpdesk_says_so(stand):
    del stand.kube.objects["Secret", "managedvm-system", "helpdesk"]
    await stand.poll()
    assert stand.said("Reachable") == ("False", "CredentialsMissing")


async def test_a_helpdesk_that_is_taken_away_is_left_alone(stand):
    stand.server.write_in(ANNA, "Slow", **VM)
    stand.store.drop("Helpdesk", "uid-helpdesk")
    stand.server.calls.clear()
    await stand.poll()
    assert (stand.server.calls.total(), stand.requests(), stand.link.webhook_secret) == (0, {}, None)
