"""A ticket becomes one ChangeRequest, or says what it lacks; it is never dropped and never billed by a guess."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.changerequest import ChangeRequest, ChangeRequestSpec, RequestKind
from managedvm.api.helpdesk import TicketAttributes
from managedvm.planning.assessment import assess
from managedvm.planning.helpdesk import DocumentRequest, Ticket
from managedvm.planning.intake import DEFAULT_KIND, Known, Lacking, plan
from tests.examples import examples
from tests.factories import NOW, REQUESTER

NAMES = TicketAttributes()
TICKET = Ticket(
    id=81,
    number="10081",
    title="Slow",
    state="new",
    customer=REQUESTER,
    channel="email",
    text="Since noon.",
    created_at=NOW,
    attributes={"managedvm": "web-01"},
)
KNOWN = Known(vms=(("kunde-a", "web-01"),), listed=(("kunde-a", REQUESTER),))


def ticket(**attributes):
    return replace(TICKET, attributes={"managedvm": "web-01", **attributes})


def recorded(ticket=TICKET, known=KNOWN):
    """Return the record that is made of a ticket."""
    planned = plan(ticket, NAMES, known, NOW)
    assert isinstance(planned, DocumentRequest), planned
    return planned.body


def lacking(ticket=TICKET, known=KNOWN):
    """Return why a ticket is not taken in."""
    planned = plan(ticket, NAMES, known, NOW)
    assert isinstance(planned, Lacking), planned
    assert planned.note.ticket == ticket.id
    assert planned.reason in planned.note.text
    assert "clause" in planned.note.text
    return planned.reason


def test_a_ticket_is_a_request_in_its_customers_name():
    body = recorded()
    assert (body["metadata"]["namespace"], body["metadata"]["name"]) == ("kunde-a", "op-ticket-10081")
    assert body["spec"] == {
        "kind": "FaultReport",
        "managedVMRef": {"name": "web-01"},
        "requestedBy": REQUESTER,
        "channel": "Email",
        "askedAt": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "origin": "Helpdesk",
        "ticket": "10081",
        "description": "Slow\n\nSince noon.",
    }


@pytest.mark.parametrize(
    ("age", "is_dated"),
    [
        (timedelta(seconds=-1), False),
        (timedelta(microseconds=1), True),
        (timedelta(days=30), True),
        (timedelta(days=31), False),
    ],
    ids=["of the future", "new", "of last month", "of long ago"],
)
def test_it_is_ordered_since_there_is_the_ticket_unless_admission_would_not_take_that(age, is_dated):
    spec = recorded(replace(TICKET, created_at=NOW - age))["spec"]
    assert ("askedAt" in spec) is is_dated
    assert ChangeRequestSpec.model_validate(spec).asked_at == (
        (NOW - age).replace(microsecond=0) if is_dated else None
    )


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("phone", "Phone"),
        ("email", "Email"),
        ("web", "Helpdesk"),
        ("note", "Helpdesk"),
        ("sms", "Other"),
        ("", "Other"),
    ],
)
def test_the_channel_is_that_of_the_first_article(channel, expected):
    assert recorded(replace(TICKET, channel=channel))["spec"]["channel"] == expected


def test_a_ticket_that_names_no_kind_is_of_one_that_bills_nothing():
    assert assess(DEFAULT_KIND).billing == "Included"
    assert recorded(ticket(request_kind=" "))["spec"]["kind"] == DEFAULT_KIND


@pytest.mark.parametrize(
    "kind", sorted(set(RequestKind) - {RequestKind.SOFTWARE_INSTALLATION, RequestKind.UPDATE_APPOINTMENT})
)
def test_a_ticket_may_name_its_kind(kind):
    assert recorded(ticket(request_kind=kind))["spec"]["kind"] == kind


def test_an_appointment_has_its_time():
    body = recorded(ticket(request_kind="UpdateAppointment", wanted_at="2026-12-01T20:00:00.000Z"))
    assert body["spec"]["wantedAt"] == "2026-12-01T20:00:00Z"


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"managedvm": ""}, "names no VM"),
        ({"managedvm": "web-99"}, "no ManagedVM web-99"),
        ({"managedvm": "kunde-b/web-01"}, "no ManagedVM kunde-b/web-01"),
        ({"request_kind": "Miracle"}, "Miracle is no kind"),
        ({"request_kind": "SoftwareInstallation"}, "where the software comes from"),
        ({"request_kind": "UpdateAppointment"}, "names a time"),
        ({"wanted_at": "tomorrow"}, "tomorrow is no instant"),
        ({"wanted_at": "2026-12-01T20:00:00"}, "is no instant"),
    ],
)
def test_what_a_ticket_lacks_is_said(attributes, words):
    known = KNOWN if attributes.get("managedvm") != "web-99" else replace(KNOWN, vms=())
    assert words in lacking(ticket(**attributes), known)


def test_a_name_in_several_namespaces_is_that_of_the_customers_own():
    several = replace(KNOWN, vms=(("kunde-a", "web-01"), ("kunde-b", "web-01")))
    assert recorded(known=several)["metadata"]["namespace"] == "kunde-a"
    assert "several VMs" in lacking(known=replace(several, listed=()))
    named = recorded(ticket(managedvm="kunde-b/web-01"), replace(several, listed=()))
    assert named["metadata"]["namespace"] == "kunde-b"


def test_who_is_on_no_list_at_all_is_recorded_under_their_own_address():
    body = recorded(replace(TICKET, customer="stranger@else.example"), replace(KNOWN, listed=()))
    assert body["spec"]["requestedBy"] == "stranger@else.example"


@pytest.mark.parametrize("name", ["web-01", "kunde-a/web-01"])
def test_who_orders_for_one_customer_orders_nothing_for_another(name):
    other = replace(KNOWN, listed=(("kunde-b", REQUESTER),))
    assert "orders for another customer" in lacking(ticket(managedvm=name), other)


def test_the_requester_is_spelt_as_the_list_spells_them():
    known = replace(KNOWN, listed=(("kunde-a", "A.Beispiel@kunde-a.example"),))
    assert recorded(known=known)["spec"]["requestedBy"] == "A.Beispiel@kunde-a.example"


def documented(made):
    meta = {
        "namespace": "kunde-a",
        "name": "op-ticket-10081",
        "creationTimestamp": f"{made:%Y-%m-%dT%H:%M:%SZ}",
    }
    return ChangeRequest.of({"metadata": meta, "spec": recorded()["spec"]})


def test_a_ticket_that_is_documented_is_left_alone_whatever_it_says_by_now():
    known = replace(KNOWN, documented=(documented(NOW + timedelta(seconds=5)),))
    for one in (TICKET, ticket(managedvm="web-99"), ticket(request_kind="CleanUp"), ticket(managedvm="")):
        assert plan(one, NAMES, known, NOW) is None


def test_a_record_that_is_older_than_the_ticket_is_that_of_another_one():
    known = replace(KNOWN, documented=(documented(NOW - timedelta(days=30)),))
    assert "its number is taken by kunde-a/op-ticket-10081" in lacking(known=known)


def test_a_ticket_whose_record_was_pruned_is_not_recorded_once_more():
    told = replace(TICKET, notes=frozenset({"ManagedVM kunde-a/op-ticket-10081: Done"}))
    assert lacking(told) == "its ChangeRequest is not there any more"
    other = replace(
        TICKET, notes=frozenset({"ManagedVM kunde-a/op-ticket-100812: Done", "ManagedVM: it names no VM"})
    )
    assert recorded(other)


def test_who_closes_a_ticket_that_says_what_it_lacks_has_decided():
    closed = replace(ticket(managedvm=""), state="closed")
    note = plan(closed, NAMES, KNOWN, NOW).note
    assert plan(replace(closed, notes=frozenset({note.subject})), NAMES, KNOWN, NOW) is None
    # One that was solved on the telephone is closed from the beginning, and is recorded all the same.
    assert recorded(replace(TICKET, state="closed"))


def test_what_we_opened_ourselves_and_what_was_merged_is_no_request():
    assert plan(replace(TICKET, is_ours=True), NAMES, KNOWN, NOW) is None
    assert plan(replace(TICKET, state="merged"), NAMES, KNOWN, NOW) is None


@examples(100)
@given(
    number=st.text(min_size=1, max_size=40),
    title=st.text(max_size=300),
    text=st.text(max_size=5000),
    channel=st.text(max_size=10),
    attributes=st.dictionaries(
        st.sampled_from(["managedvm", "request_kind", "wanted_at"]),
        st.text(max_size=300) | st.sampled_from(["web-01", "UpdateOrder", "2026-12-01T20:00:00Z"]),
    ),
)
def test_whatever_a_ticket_says_becomes_a_record_or_a_short_note(number, title, text, channel, attributes):
    given_ = replace(
        TICKET, number=number, title=title or "-", text=text, channel=channel, attributes=attributes
    )
    planned = plan(given_, NAMES, KNOWN, NOW)
    if isinstance(planned, Lacking):
        assert len(planned.reason) <= 256
        assert len(planned.note.subject) <= 160
    else:
        assert isinstance(planned, DocumentRequest)
        ChangeRequest.of({"metadata": {"name": "x"}, "spec": planned.body["spec"]})
