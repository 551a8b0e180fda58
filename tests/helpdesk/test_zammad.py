"""The adapter against a server that speaks the documented API: what it reads, what it writes, and what failures mean."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr

from lab.zammad import Fault, Moment
from managedvm.errors import (
    InvalidCredentialsError,
    NoPermissionError,
    NotActiveError,
    RefusedError,
    TlsNotTrustedError,
    UnknownOutcomeError,
    UnreachableError,
)
from managedvm.planning.helpdesk import AddNote, OpenTicket
from managedvm.world.vsphere.soap import tls_context

ANNA = "a.beispiel@kunde-a.example"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
OPENING = OpenTicket(
    "[kunde-a/r-1] SupportQuestion web-01", ANNA, "ManagedVM kunde-a/r-1: Ordered", "How do I?"
)


async def test_a_ticket_is_read_with_its_customer_its_channel_and_its_own_attributes(zammad, server):
    made = server.write_in(
        ANNA, "Slow", "<p>Since noon.</p><style>p{}</style>Please&nbsp;look.", channel="phone"
    )
    server.articles[-1]["content_type"] = "text/html"
    server.change(made["id"], managedvm="web-01", request_kind=None, wanted_at="")

    ticket = await zammad.ticket(made["id"])

    assert (ticket.number, ticket.title, ticket.customer, ticket.channel) == (
        made["number"],
        "Slow",
        ANNA,
        "phone",
    )
    assert ticket.text == "Since noon.\nPlease look."
    assert ticket.attributes == {"managedvm": "web-01"}
    assert not ticket.is_ours


async def test_a_ticket_that_is_not_there_is_none(zammad):
    assert await zammad.ticket(4711) is None


async def test_changed_tickets_come_page_by_page_and_the_oldest_change_first(zammad, server):
    made = [server.write_in(ANNA, f"Ticket {number}")["id"] for number in range(53)]
    server.change(made[0], state="open")

    first, second = [await zammad.changed_since(LONG_AGO, page) for page in (1, 2)]

    assert {line.id for line in (*first, *second)} == set(made)
    assert (len(first), len(second), second[-1].id) == (50, 3, made[0])
    assert await zammad.changed_since(datetime.now(UTC) + timedelta(minutes=1), 1) == []  # noqa: TID251 - the server's clock


async def test_a_ticket_is_found_by_its_number_and_by_the_title_under_which_we_opened_it(zammad, server):
    written = server.write_in(ANNA, OPENING.title)
    opened = await zammad.open(OPENING)

    assert (await zammad.numbered(written["number"])).id == written["id"]
    assert (await zammad.numbered(written["number"])).customer == ANNA
    assert await zammad.numbered("1") is None
    # Whoever writes a mail with such a title is not us.
    assert (await zammad.titled(OPENING.title)).id == opened.id
    assert await zammad.titled(f"{OPENING.title}-2") is None


async def test_what_we_opened_is_known_as_ours_and_has_its_first_note(zammad, server):
    opened = await zammad.open(OPENING)

    assert (await zammad.ticket(opened.id)).is_ours
    assert await zammad.notes(opened.id) == {OPENING.subject}
    assert server.users[server.tickets[opened.id]["customer_id"]]["email"] == ANNA


async def test_a_note_is_internal_and_brings_its_time(zammad, server):
    ticket = server.write_in(ANNA, "Slow")["id"]

    await zammad.add_note(AddNote(ticket, "ManagedVM x: work", "An hour and a half.", Decimal("90.50")))

    (note,) = server.notes(ticket)
    assert (note["internal"], note["type"], note["subject"]) == (True, "note", "ManagedVM x: work")
    assert server.minutes(ticket) == ["90.50"]


async def test_only_our_own_notes_count_as_told(zammad, server):
    ticket = server.write_in(ANNA, "ManagedVM x: work")["id"]

    assert await zammad.notes(ticket) == frozenset()


async def test_a_replica_that_may_not_act_writes_nothing(connect, server):
    with pytest.raises(NotActiveError):
        await connect(may_act=lambda: False).open(OPENING)
    assert server.tickets == {}


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, UnknownOutcomeError), (0, UnknownOutcomeError), (422, RefusedError), (403, RefusedError)],
)
async def test_a_write_that_fails_may_have_had_its_effect_unless_it_was_refused(
    zammad, server, status, error
):
    server.faults.append(Fault("POST tickets", Moment.AFTER, status=status))
    with pytest.raises(error):
        await zammad.open(OPENING)
    assert len(server.tickets) == 1


@pytest.mark.parametrize("status", [500, 502, 429, 0])
async def test_a_read_that_fails_is_tried_again_later(zammad, server, status):
    server.faults.append(Fault("GET tickets/search", status=status, times=9))
    with pytest.raises(UnreachableError):
        await zammad.changed_since(LONG_AGO, 1)


async def test_a_helpdesk_that_is_slow_costs_no_more_than_its_time(connect, server):
    server.faults.append(Fault("POST ticket_articles", seconds=30))
    ticket = server.write_in(ANNA, "Slow")["id"]
    with pytest.raises(UnknownOutcomeError, match="no answer"):
        await connect(seconds=0.2).add_note(AddNote(ticket, "subject", "text"))


async def test_a_helpdesk_that_is_down_is_unreachable_and_comes_back(zammad, served):
    ticket = served.zammad.write_in(ANNA, "Slow")["id"]
    served.down()
    with pytest.raises(UnreachableError):
        await zammad.ticket(ticket)
    with pytest.raises(UnreachableError):
        await zammad.open(OPENING)
    served.up()
    assert (await zammad.ticket(ticket)).title == "Slow"


async def test_a_token_that_is_not_taken_is_for_a_person_and_never_in_the_message(connect):
    with pytest.raises(InvalidCredentialsError) as error:
        await connect(token=SecretStr("a-wrong-token")).changed_since(LONG_AGO, 1)
    assert "a-wrong-token" not in str(error.value)


@pytest.mark.parametrize("call", ["GET tickets/search", "GET users/me"])
async def test_a_permission_that_is_missing_is_for_a_person(zammad, server, call):
    server.faults.append(Fault(call, status=403, times=9))
    with pytest.raises(NoPermissionError, match=r"ticket\.agent"):
        await zammad.titled(OPENING.title)


async def test_a_certificate_of_somebody_else_is_not_trusted(connect):
    with pytest.raises(TlsNotTrustedError):
        await connect(context=tls_context(None)).ticket(1)


async def test_a_ticket_of_which_our_user_cannot_see_the_notes_is_for_a_person(zammad):
    with pytest.raises(RefusedError, match="group"):
        await zammad.notes(4711)


async def test_an_answer_is_read_only_so_far(zammad, server):
    server.write_in(ANNA, "x" * (9 << 20))
    with pytest.raises(RefusedError, match="larger"):
        await zammad.changed_since(LONG_AGO, 1)
