"""What a ticket has to know of a request, and what is known of it already: each thing is told once."""

from datetime import timedelta
from decimal import Decimal

import pytest

from managedvm.api.changerequest import ChangeRequest
from managedvm.api.helpdesk import Helpdesk
from managedvm.api.workentry import WorkEntry
from managedvm.planning.correspondence import (
    Wait,
    is_believed,
    missing_news,
    missing_work,
    news_of,
    opening,
    title,
)
from managedvm.planning.helpdesk import OpenTicket, TicketRef, awaits_ticket, concerns, number_of
from tests.api import bodies
from tests.factories import NOW, REQUESTER

LAG = timedelta(minutes=2)
SAID = {
    "type": "Succeeded",
    "status": "Unknown",
    "reason": "Documented",
    "message": "Documented as an order (clause 4)",
    "lastTransitionTime": "2026-11-23T12:00:00Z",
}


def written(instant):
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def desk(since=NOW - timedelta(days=1)):
    body = bodies.helpdesk()
    body["metadata"] |= {"creationTimestamp": written(since)}
    return Helpdesk.of(body)


def request(state="Ordered", ticket=None, said=SAID, made=NOW, number=None, **spec):
    body = bodies.change_request("kunde-a", "r-1", REQUESTER, **spec)
    body["metadata"]["creationTimestamp"] = written(made)
    body["spec"] |= {"ticket": number} if number else {}
    body["status"] = {"state": state, "conditions": [said] if said else []}
    if state == "Scheduled":
        body["status"]["slot"] = {"begin": "2026-11-29T02:00:00Z", "end": "2026-11-29T05:00:00Z"}
    if ticket is not None:
        body["status"]["ticket"] = {"askedAt": written(NOW), **ticket}
    return ChangeRequest.of(body)


def work(name="w-1", charged=True, **spec):
    charge = {"billing": "Effort", "clause": "6.3", "counted": "15m", "amount": "30.00", "currency": "EUR"}
    charge |= {"priceListRef": {"name": "standard"}, "explanation": "15m"}
    body = bodies.work_entry("kunde-a", name, "t@provider.example", changeRequestRef={"name": "r-1"}, **spec)
    return WorkEntry.of({**body, "status": {"charge": charge} if charged else {}})


def test_only_what_was_asked_since_there_is_a_helpdesk_has_a_ticket():
    assert concerns(desk(), request())
    assert not concerns(desk(since=NOW + timedelta(days=1)), request())
    assert not concerns(None, request(ticket={"number": "1", "id": 1}))
    # What has a ticket, or wants one, keeps it when the Helpdesk is made anew.
    assert concerns(desk(since=NOW + timedelta(days=1)), request(ticket={}))


def test_nothing_is_billed_before_the_ticket_is_there():
    assert awaits_ticket(desk(), request())
    assert awaits_ticket(desk(), request(ticket={}))
    assert not awaits_ticket(desk(), request(ticket={"id": 7, "number": "4711"}))
    assert not awaits_ticket(None, request())


def test_the_number_is_that_of_the_helpdesk_where_there_is_one():
    assert number_of(request(ticket={"id": 7, "number": "4711"})) == "4711"
    assert number_of(request(ticket={"id": 7, "number": "4711"}, number="1")) == "4711"
    assert number_of(request(ticket={})) is None


def opened(one, **how):
    return opening(desk(), one, **{"is_first": True, "named": False, "now": NOW, **how})


def test_a_ticket_is_opened_that_says_who_asked_for_what_and_how_it_stands():
    planned = opened(request(channel="Git", ticket={}))
    assert isinstance(planned, OpenTicket)
    assert planned.title == "[kunde-a/r-1] ConfigurationChange web-01"
    assert planned.customer == REQUESTER
    for words in (REQUESTER, "Two more CPUs", "through Git", "kunde-a/r-1", SAID["message"]):
        assert words in planned.text


def test_what_may_have_been_opened_is_waited_for_as_long_as_the_search_lags():
    one = request(ticket={})
    assert opened(one, is_first=False) == Wait(NOW + LAG)
    assert opened(one, is_first=False, now=NOW + LAG - timedelta(seconds=1)) == Wait(NOW + LAG)
    assert isinstance(opened(one, is_first=False, now=NOW + LAG), OpenTicket)


def test_a_number_that_is_not_found_may_be_that_of_a_ticket_which_is_new():
    named = request(ticket={}, number="4711")
    assert opened(named) == Wait(NOW + LAG)
    assert isinstance(opened(named, named=True), OpenTicket)


@pytest.mark.parametrize(
    "who", ["system:serviceaccount:flux:flux", "platform", "a b@c.example", "x@localhost"]
)
def test_who_has_no_address_is_stood_for_by_the_customer_of_the_spec(who):
    assert opened(request(ticket={}, requestedBy=who)).customer == "platform@provider.example"


def test_a_number_that_a_person_wrote_counts_for_tickets_of_their_own_customer_only():
    theirs, others = TicketRef(7, "4711", REQUESTER.upper()), TicketRef(8, "4712", "b@kunde-b.example")
    assert is_believed(request(), theirs, [REQUESTER])
    assert not is_believed(request(), others, [REQUESTER])
    assert is_believed(request(origin="Helpdesk"), others, [REQUESTER])


def test_a_title_fits_however_long_the_names_are():
    body = request().to_json()
    body["metadata"]["name"] = "r" * 253
    body["spec"]["managedVMRef"] = {"name": "w" * 253}
    other = {**body, "metadata": {**body["metadata"], "name": "r" * 252 + "s"}}
    long, longer = title(ChangeRequest.of(body)), title(ChangeRequest.of(other))
    assert len(long) <= 250
    assert long != longer


def test_before_it_was_looked_at_there_is_nothing_new():
    assert news_of(request(said=None)) is None
    assert missing_news(request(said=None), 7, ()) is None


@pytest.mark.parametrize("state", ["Ordered", "Held", "Released", "InWork", "Done", "Withdrawn", "Refused"])
def test_each_state_is_told_once_with_what_the_request_says(state):
    note = missing_news(request(state), 7, ())
    assert (note.ticket, note.subject, note.minutes) == (7, f"ManagedVM kunde-a/r-1: {state}", None)
    assert SAID["message"] in note.text
    assert missing_news(request(state), 7, {note.subject}) is None


def test_another_slot_is_news():
    assert news_of(request("Scheduled")) == "Scheduled 2026-11-29T02:00:00Z"


def test_a_ticket_that_we_open_needs_no_note_of_what_is_new():
    one = request("Held", ticket={})
    assert missing_news(one, 7, {opened(one).subject}) is None


def test_work_is_told_once_with_its_minutes_and_what_it_costs():
    note = missing_work(request(), work(), 7, ())
    assert (note.subject, note.minutes) == ("ManagedVM kunde-a/r-1: work w-1", Decimal("15.00"))
    assert "Effort, 30.00 EUR (clause 6.3)" in note.text
    assert missing_work(request(), work(), 7, {note.subject}) is None
    assert missing_work(request(), work(charged=False), 7, ()) is None


def test_seconds_are_parts_of_a_minute_and_nothing_is_none():
    short = work(end="2026-01-05T09:00:03Z")
    assert missing_work(request(), short, 7, ()).minutes == Decimal("0.05")
    assert missing_work(request(), work(end="2026-01-05T09:00:00Z"), 7, ()).minutes is None


def test_a_counter_entry_is_told_without_a_time():
    back = work("reversal-of-w-1", end=None, reverses={"name": "w-1"}, activity="Recorded by mistake.")
    note = missing_work(request(), back, 7, ())
    assert note.minutes is None
    assert "takes w-1 back" in note.text
