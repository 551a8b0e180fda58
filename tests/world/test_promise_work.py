"""Clause 4: work is billed by the time that was really spent, at the rate of that time, once, and never twice at a time."""

import pytest

from lab import wait_until
from tests.api.bodies import (
    agreed_prices,
    change_request,
    contacts,
    custom,
    customer,
    price_list,
    request_decision,
    requester,
    reversal,
    work_entry,
)
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, PERSON, condition, instant, working_day

pytestmark = pytest.mark.lab

STAFF = "t.technik@provider.example"
CALL = working_day("09:00")
TWENTY_MINUTES = {"begin": working_day("10:00"), "end": working_day("10:20")}


@pytest.fixture
def technician(party):
    """Who works for no other test at the same time: an overlap reaches over all customers."""
    return f"{party.namespace}@provider.example"


@pytest.fixture
def order(party):
    """A VM under contract and a request for it that a listed person made by telephone before any work began."""
    assert_done(party.stage.api.create(contacts(party.namespace, requester(PERSON))))
    vm = party.vm().settled()

    def ask(name, kind="ConfigurationChange", by=PERSON, asked_at=CALL):
        asked = {"kind": kind, "channel": "Phone", "managedVMRef": {"name": vm.name}}
        asked |= {"askedAt": asked_at} if asked_at else {}
        body = change_request(party.namespace, name, by, **asked)
        assert_done(party.stage.api.create(body))
        return name

    return ask


@pytest.fixture
def record(party, technician):
    """Record work as the helpdesk does; keyword arguments replace fields, None removes one."""

    def recorded(name, of, **spec):
        fields = {"changeRequestRef": {"name": of}, **TWENTY_MINUTES, **spec}
        answer = party.stage.api.create(work_entry(party.namespace, name, technician, **fields))
        assert_done(answer)
        return answer.body

    return recorded


def shows(party, name, reason, namespace=None):
    """Wait until an entry is judged so, and return its status."""

    def found():
        answer = party.stage.api.read(custom("WorkEntry", name, namespace or party.namespace, {}))
        said = condition(answer.body, "Accepted")
        return answer.body["status"] if said and said["reason"] == reason else None

    return wait_until(found, f"work {name} to be {reason}", seconds=PATIENCE, every=0.02)


def said(status):
    return next(c for c in status["conditions"] if c["type"] == "Accepted")


def test_work_is_priced_by_the_quarter_of_an_hour_that_was_begun(party, order, record):
    record("work", order("ports"))
    status = shows(party, "work", "WorkAccepted")
    charge = status["charge"]
    assert (charge["billing"], charge["clause"]) == ("Effort", "6.3")
    assert (charge["counted"], charge["amount"], charge["currency"]) == ("30m", "60.00", "EUR")
    assert charge["priceListRef"] == {"name": "standard"}
    assert [line["rateFrom"] for line in charge["lines"]] == ["2026-01-01T00:00:00Z"]


def test_work_at_night_has_the_surcharge_of_the_night(party, order, record):
    record("work", order("ports"), begin=working_day("17:50"), end=None, minutes=30)
    lines = shows(party, "work", "WorkAccepted")["charge"]["lines"]
    assert [(line.get("surcharge"), line["counted"], line["amount"]) for line in lines] == [
        (None, "10m", "20.00"),
        ("evening", "20m", "50.00"),
    ]


def test_a_cause_that_the_work_finds_is_billed_by_its_own_clause(party, order, record):
    fault = order("down", kind="FaultReport")
    record("looking", fault)
    record("mending", fault, begin=working_day("11:00"), end=working_day("11:15"), cause="CustomerChange")
    looking, mending = (shows(party, name, "WorkAccepted")["charge"] for name in ("looking", "mending"))
    assert (looking["billing"], looking["amount"], looking["clause"]) == ("Included", "0.00", "4.1")
    assert (mending["billing"], mending["amount"], mending["clause"]) == ("Effort", "30.00", "6.1")


def test_another_price_list_prices_what_begins_under_it_and_nothing_before(party, order, record, stage):
    prices = price_list(f"prices-{party.namespace}")
    prices["spec"]["rates"][0]["hourly"] = "200.00"
    assert_done(stage.api.create(prices))
    request, turn = order("ports"), instant(2)
    record("before", request)
    before = shows(party, "before", "WorkAccepted")
    agreed = [
        *customer(party.namespace)["spec"]["priceLists"],
        agreed_prices(prices["metadata"]["name"], turn),
    ]
    assert_done(stage.api.patch(customer(party.namespace), {"spec": {"priceLists": agreed}}))
    wait_until(lambda: instant() > turn, "the new price list", seconds=PATIENCE)
    record("after", request, begin=turn, end=turn)
    record("late", request, begin=working_day("11:00"), end=working_day("11:15"))
    assert shows(party, "after", "WorkAccepted")["charge"]["amount"] == "50.00"
    assert shows(party, "late", "WorkAccepted")["charge"]["amount"] == "30.00"
    assert shows(party, "before", "WorkAccepted") == before


class TestOneThingAtATime:
    def test_an_overlap_is_documented_told_and_not_billed(self, party, order, record):
        request = order("ports")
        record("first", request)
        shows(party, "first", "WorkAccepted")
        record("second", request, begin=working_day("10:19"), end=working_day("10:40"))
        status = shows(party, "second", "Overlap")
        assert "charge" not in status
        assert [
            word
            for word in ("first", "clause 4", "managedvm work reverse")
            if word not in said(status)["message"]
        ] == []
        wait_until(lambda: self.told(party, "second") == ["Overlap"], "the Event", seconds=PATIENCE)

    def told(self, party, name):
        return [event["reason"] for event in party.events() if event["regarding"]["name"] == name]

    def test_an_overlap_reaches_over_customers_and_names_none(self, party, order, record, stage, technician):
        neighbour = stage.party()
        try:
            vm = neighbour.vm().settled()
            asked = {"managedVMRef": {"name": vm.name}, "askedAt": CALL}
            body = change_request(neighbour.namespace, "theirs", PERSON, **asked)
            assert_done(stage.api.create(body))
            work = {"changeRequestRef": {"name": "theirs"}, **TWENTY_MINUTES}
            assert_done(stage.api.create(work_entry(neighbour.namespace, "their-work", technician, **work)))
            shows(party, "their-work", "WorkAccepted", neighbour.namespace)
            record("work", order("ports"))
            message = said(shows(party, "work", "Overlap"))["message"]
            assert f"from {TWENTY_MINUTES['begin']} to {TWENTY_MINUTES['end']}, recorded elsewhere" in message
            assert (
                f"managedvm work list --person {technician} --day {TWENTY_MINUTES['begin'][:10]}" in message
            )
            assert [name for name in (neighbour.namespace, "their-work", "theirs") if name in message] == []
        finally:
            neighbour.close()

    def test_the_overlap_ends_with_a_counter_entry(self, party, order, record, stage, technician):
        request = order("ports")
        wrong = record("wrong", request)
        shows(party, "wrong", "WorkAccepted")
        record("right", request)
        shows(party, "right", "Overlap")
        assert_done(stage.api.create(reversal(wrong, technician)))
        assert shows(party, "right", "WorkAccepted")["charge"]["amount"] == "60.00"
        back = shows(party, "reversal-of-wrong", "WorkAccepted")["charge"]
        assert (back["amount"], back["counted"]) == ("-60.00", "-30m")
        assert shows(party, "wrong", "WorkAccepted")["charge"]["amount"] == "60.00"

    def test_what_was_not_billed_is_taken_back_for_nothing(self, party, order, record, stage, technician):
        request = order("ports")
        record("first", request)
        shows(party, "first", "WorkAccepted")
        twin = record("twin", request)
        shows(party, "twin", "Overlap")
        assert_done(stage.api.create(reversal(twin, technician)))
        assert "charge" not in shows(party, "twin", "TakenBack")
        assert shows(party, "reversal-of-twin", "WorkAccepted")["charge"]["amount"] == "0.00"

    def test_a_wrong_counter_entry_is_followed_by_the_right_one(
        self, party, order, record, stage, technician
    ):
        wrong = record("wrong", order("ports"))
        shows(party, "wrong", "WorkAccepted")
        mistaken = reversal(wrong, technician, changeRequestRef={"name": "another"})
        assert_done(stage.api.create(mistaken))
        shows(party, "reversal-of-wrong", "ForeignRecord")
        assert_done(stage.api.create(reversal(wrong, technician, version=2)))
        assert shows(party, "reversal-2-of-wrong", "WorkAccepted")["charge"]["amount"] == "-60.00"


class TestNobodyOrdered:
    def test_work_on_a_held_request_is_billed_once_it_is_released(self, party, order, record, stage):
        request = order("held", by="stranger@kunde.example")
        record("work", request)
        assert "charge" not in shows(party, "work", "RequestHeld")
        decision = {"decision": "Release", "decidedAs": "Staff", "changeRequestRef": {"name": request}}
        assert_done(stage.api.create(request_decision(party.namespace, "release-held", STAFF, **decision)))
        assert shows(party, "work", "WorkAccepted")["charge"]["amount"] == "60.00"

    def test_work_on_what_was_held_until_it_was_withdrawn_is_never_billed(self, party, order, record, stage):
        request = order("held", by="stranger@kunde.example")
        record("work", request)
        shows(party, "work", "RequestHeld")
        decision = {"decision": "Withdraw", "changeRequestRef": {"name": request}}
        assert_done(
            stage.api.create(
                request_decision(party.namespace, "withdraw-held", "stranger@kunde.example", **decision)
            )
        )
        status = shows(party, "work", "NotOrdered")
        assert "charge" not in status
        assert "nobody who may order" in said(status)["message"]

    def test_work_from_before_the_request_is_not_billed(self, party, order, record):
        record("work", order("ports", asked_at=None))
        status = shows(party, "work", "NotOrdered")
        assert "charge" not in status
        assert "spec.askedAt" in said(status)["message"]

    def test_of_a_fault_that_anybody_reports_only_what_is_billed_waits(self, party, order, record, stage):
        fault = order("down", kind="FaultReport", by="stranger@kunde.example")
        record("looking", fault)
        record("mending", fault, begin=working_day("11:00"), end=working_day("11:15"), cause="CustomerChange")
        assert shows(party, "looking", "WorkAccepted")["charge"]["amount"] == "0.00"
        message = said(shows(party, "mending", "RequestHeld"))["message"]
        assert f"managedvm request release {party.namespace}/{fault}" in message
        about = {"changeRequestRef": {"name": fault}}
        for what, by, role in (("Complete", STAFF, "Staff"), ("Release", PERSON, "Requester")):
            body = request_decision(
                party.namespace, f"{what}-down".lower(), by, decision=what, decidedAs=role, **about
            )
            assert_done(stage.api.create(body))
        assert shows(party, "mending", "WorkAccepted")["charge"]["amount"] == "30.00"

    def test_work_on_a_refused_request_is_not_billed(self, party, record, stage):
        vm = party.vm(**bare()).settled()
        body = change_request(party.namespace, "refused", PERSON, managedVMRef={"name": vm.name})
        assert_done(stage.api.create(body))
        record("work", "refused")
        status = shows(party, "work", "NotOrdered")
        assert "charge" not in status
        assert "clause 4" in said(status)["message"]

    def test_work_without_a_request_is_told_and_not_billed(self, party, record):
        record("work", "nowhere")
        assert "charge" not in shows(party, "work", "UnknownRecord")

    def test_work_on_another_vm_is_out_of_scope(self, party, order, record):
        record("work", order("ports"), managedVMRef={"name": "db-01"})
        message = said(shows(party, "work", "OutOfScopeVM"))["message"]
        assert "clause 1" in message


def bare():
    """Return a VM without a package."""
    return {"orders": [{"reference": "A-1", "serviceLevel": "standard", "from": "2026-01-01T00:00:00Z"}]}
