"""Clauses 1 and 2: which order is in force, and what it gives."""

import pytest

from managedvm.api.order import Order, ServicePackage
from managedvm.planning.entitlement import entitle, next_order, order_in_force, services, shown
from managedvm.planning.findings import Finding, Truth
from managedvm.planning.reasons import Effect, Reason
from tests.factories import BASIC, NOW, PREMIUM, PROFESSIONAL, STANDARD, at, minutes, order, service_levels

INSTANT = minutes(1 / 60)


def orders(*bodies) -> tuple[Order, ...]:
    return tuple(Order.model_validate(body) for body in bodies)


def entitled(*bodies, now=NOW):
    return entitle(orders(*bodies), service_levels().get, now)


def reasons(findings: tuple[Finding, ...]) -> list[Reason]:
    return [finding.reason for finding in findings]


FIRST = order("A-1", until="2026-11-23T12:00:00Z")
SECOND = order("A-2", from_="2026-11-23T12:00:00Z")


@pytest.mark.parametrize(
    ("now", "reference"),
    [(NOW - INSTANT, "A-1"), (NOW, "A-2"), (NOW + INSTANT, "A-2")],
    ids=["a second before the change", "at the change", "a second after it"],
)
def test_an_order_holds_from_its_first_instant_and_no_more_at_its_last(now, reference):
    found = order_in_force(orders(FIRST, SECOND), now)
    assert found is not None
    assert found.reference == reference


def test_times_of_another_zone_are_the_same_instants():
    berlin = orders(order("A-1", from_="2026-11-23T13:00:00+01:00"))
    assert order_in_force(berlin, NOW) is not None
    assert order_in_force(berlin, NOW - INSTANT) is None


def test_between_two_orders_none_is_in_force():
    gap = orders(order("A-1", until="2026-11-01T00:00:00Z"), order("A-2", from_="2026-12-01T00:00:00Z"))
    assert order_in_force(gap, NOW) is None
    following = next_order(gap, NOW)
    assert following is not None
    assert following.reference == "A-2"


def test_an_order_that_starts_now_is_in_force_and_no_longer_next():
    assert next_order(orders(SECOND), NOW) is None


def test_before_its_first_order_a_vm_gets_nothing_and_status_says_when_it_starts_in_utc():
    found = entitled(order("A-1", from_="2026-12-01T00:00:00+01:00"))
    assert (found.level, found.package) == (None, None)
    assert reasons(found.findings) == [Reason.NOT_YET_IN_FORCE]
    assert Reason.NOT_YET_IN_FORCE.effect is Effect.NONE, "a pipeline would wait for months"
    assert "A-1 starts at 2026-11-30T23:00:00Z" in found.findings[0].message
    assert found.next_check == at("2026-11-30T23:00")


def test_after_its_last_order_a_vm_gets_nothing():
    found = entitled(
        order("A-1", until="2026-02-01T00:00:00Z"),
        order("A-2", from_="2026-03-01T00:00:00Z", until="2026-11-23T12:00:00Z"),
    )
    assert (found.level, found.package, found.next_check) == (None, None, None)
    assert reasons(found.findings) == [Reason.ORDER_ENDED]
    assert "A-2 ended at 2026-11-23T12:00:00Z" in found.findings[0].message


def test_an_unknown_service_level_gives_nothing_and_names_itself():
    found = entitled(order(level="platinum"))
    assert (found.level, found.package) == (None, None)
    assert reasons(found.findings) == [Reason.SERVICE_LEVEL_UNKNOWN]
    assert "'platinum'" in found.findings[0].message


def test_the_next_look_is_where_the_order_in_force_ends_or_another_starts():
    assert entitled(FIRST, SECOND, now=NOW - minutes(5)).next_check == NOW
    assert entitled(order("A-1")).next_check is None


@pytest.mark.parametrize("level", [PROFESSIONAL, PREMIUM])
def test_a_level_that_needs_a_package_says_that_it_is_missing(level):
    found = entitled(order(level=level, package=None))
    assert found.package is None
    assert found.level is not None
    finding = found.findings[-1]
    assert (finding.reason, finding.truth) == (Reason.PACKAGE_MISSING, Truth.FALSE)
    assert "only vSphere HA is kept" in finding.message


@pytest.mark.parametrize("level", [BASIC, STANDARD])
def test_a_level_that_needs_no_package_is_content_without_one(level):
    found = entitled(order(level=level, package=None))
    assert reasons(found.findings) == [Reason.IN_FORCE, Reason.NO_PACKAGE_BOOKED]


@pytest.mark.parametrize("package", list(ServicePackage))
def test_the_package_of_the_order_in_force_is_active(package):
    found = entitled(order(package=package.value))
    assert found.package is package
    assert reasons(found.findings) == [Reason.IN_FORCE, Reason.PACKAGE_ACTIVE]


INCLUDED = {
    "Basic": {
        "Provisioning",
        "Operation",
        "ServicesOnRequest",
        "UpdatesOnOrder",
        "HighAvailability",
        "PrecautionaryAction",
    },
    "Advanced": {
        "Provisioning",
        "Operation",
        "PatchManagement",
        "ServicesOnRequest",
        "UpdatesOnOrder",
        "HighAvailability",
        "PrecautionaryAction",
    },
    None: {"HighAvailability"},
}


@pytest.mark.parametrize("package", INCLUDED, ids=str)
def test_status_lists_what_each_package_includes(package):
    listed = services(entitled(order(package=package)))
    assert {service.name for service in listed if service.included} == INCLUDED[package]
    assert {service.clause for service in listed} <= {"3.1", "3.2", "3.3", "4", "5.1", "5.2"}


def test_without_an_order_in_force_no_service_is_included():
    assert not any(service.included for service in services(entitled(SECOND, now=NOW - minutes(5))))


def test_status_shows_an_order_as_it_was_written():
    (first,) = orders(FIRST)
    status = shown(first)
    assert status is not None
    assert status.to_json() == first.to_json()
    assert shown(None) is None
