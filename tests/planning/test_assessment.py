"""Clauses 3.2 to 6.5: which request is included and which is billed by effort, and what a cause makes of the work."""

from itertools import takewhile
from pathlib import Path

import pytest

from managedvm.api.changerequest import Billing, RequestKind
from managedvm.api.workentry import Cause
from managedvm.planning.assessment import assess, assess_work

PAGE = Path(__file__).parents[2] / "docs" / "requests.md"
INCLUDED, EFFORT = Billing.INCLUDED, Billing.EFFORT

BY_KIND = {
    "SupportQuestion": ("4.1", EFFORT),
    "FaultReport": ("4.1", INCLUDED),
    "ConfigurationChange": ("6.3", EFFORT),
    "UpdateOrder": ("5.1", INCLUDED),
    "UpdateAppointment": ("5.1", INCLUDED),
    "DDoSMitigation": ("6.1", EFFORT),
    "SecurityCheck": ("6.1", EFFORT),
    "MalwareRemoval": ("6.1", EFFORT),
    "SoftwareInstallation": ("6.2", EFFORT),
    "CapacityAdvice": ("6.4", INCLUDED),
    "CleanUp": ("6.4", EFFORT),
    "SuitabilityReview": ("6.5", EFFORT),
    "Restore": ("3.2", INCLUDED),
}
"""The contract, read once more: kind, clause, billing."""

CUSTOMERS = {
    "CustomerChange": "6.1",
    "DDoS": "6.1",
    "Malware": "6.1",
    "SecurityCheck": "6.1",
    "Overuse": "6.4",
    "CustomerSoftware": "6.1",
}
"""Causes that are the customer's matter, with the clause that bills them."""


def found(verdict):
    return verdict.clause.number, verdict.billing


def test_every_kind_is_assessed():
    assert {kind.value for kind in RequestKind} == set(BY_KIND)


@pytest.mark.parametrize("kind", RequestKind)
def test_a_request_is_assessed_by_its_kind(kind):
    assert found(assess(kind)) == BY_KIND[kind]


@pytest.mark.parametrize("kind", RequestKind)
def test_work_that_found_no_cause_is_what_its_request_is(kind):
    assert assess_work(kind, None) == assess(kind)


@pytest.mark.parametrize("cause", CUSTOMERS)
@pytest.mark.parametrize("kind", ["FaultReport", "Restore", "UpdateOrder", "UpdateAppointment"])
def test_included_work_is_billed_once_its_cause_is_the_customers(kind, cause):
    assert found(assess_work(RequestKind(kind), Cause(cause))) == (CUSTOMERS[cause], EFFORT)


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize(
    "kind", ["DDoSMitigation", "SecurityCheck", "MalwareRemoval", "SoftwareInstallation", "SuitabilityReview"]
)
def test_what_is_billed_in_any_case_stays_billed_whatever_its_cause(kind, cause):
    assert assess_work(RequestKind(kind), cause).billing is EFFORT


def test_individual_software_is_billed_by_its_own_clause():
    work = assess_work(RequestKind.SOFTWARE_INSTALLATION, Cause.CUSTOMER_SOFTWARE)
    assert found(work) == ("6.2", EFFORT)


@pytest.mark.parametrize("kind", ["FaultReport", "SupportQuestion", "ConfigurationChange", "CleanUp"])
def test_what_the_provider_has_caused_it_mends_at_its_own_cost(kind):
    assert found(assess_work(RequestKind(kind), Cause.PROVIDER)) == ("4.1", INCLUDED)


def test_looking_at_overuse_is_free_and_cleaning_it_up_is_not():
    assert assess_work(RequestKind.CAPACITY_ADVICE, Cause.OVERUSE).billing is INCLUDED
    assert found(assess_work(RequestKind.CLEAN_UP, Cause.OVERUSE)) == ("6.4", EFFORT)
    assert found(assess_work(RequestKind.FAULT_REPORT, Cause.OVERUSE)) == ("6.4", EFFORT)


@pytest.mark.parametrize("kind", RequestKind)
@pytest.mark.parametrize("cause", [None, *Cause])
def test_every_verdict_says_why_in_a_sentence_that_fits_the_record(kind, cause):
    reason = assess_work(kind, cause).reason
    assert reason.endswith(".")
    assert len(reason) <= 256


def test_no_result_of_an_update_claims_compatibility():
    for kind in (RequestKind.UPDATE_ORDER, RequestKind.UPDATE_APPOINTMENT):
        assert "not checked" in assess(kind).reason


def rows(heading):
    """Return the table of the page that begins with this heading, its rows as cells."""
    lines = PAGE.read_text().partition(f"| {heading} | clause | billing |")[2].splitlines()[2:]
    table = takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table]


def test_the_page_says_of_each_kind_what_the_table_says():
    wanted = [[kind.value, assess(kind).clause.number, assess(kind).billing.value] for kind in RequestKind]
    assert rows("kind") == wanted


def test_the_page_says_of_each_cause_what_the_table_makes_of_it():
    work = {cause: assess_work(RequestKind.CONFIGURATION_CHANGE, cause) for cause in Cause}
    wanted = [[cause.value, verdict.clause.number, verdict.billing.value] for cause, verdict in work.items()]
    assert [row[:3] for row in rows("cause")] == wanted
