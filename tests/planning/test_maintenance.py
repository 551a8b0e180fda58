"""Clause 5.1: the windows of a VM are those of its level, or those that were agreed for it alone."""

from managedvm.planning.calendar import Announcement, Interval
from managedvm.planning.maintenance import maintenance_calendar
from tests.factories import BASIC, NOW, PREMIUM, PROFESSIONAL, STANDARD, at, managed_vm, service_level

AGREED = {
    "timeZone": "Europe/Lisbon",
    "windows": [{"days": ["Wed"], "start": "22:00", "end": "02:00"}],
    "agreedBy": "Anna Beispiel",
    "agreedAt": "2026-01-01T09:00:00Z",
}


def calendar(level, **maintenance):
    return maintenance_calendar(
        service_level(level).maintenance, managed_vm(maintenance=maintenance).spec.maintenance
    )


def next_window(level, **maintenance) -> Interval:
    found = calendar(level, **maintenance)
    assert found is not None
    opening = found.next_opening(NOW)
    assert opening is not None
    return opening


def test_each_level_has_its_own_windows_in_its_own_zone():
    assert next_window(BASIC) == Interval(at("2026-11-23T20:00"), at("2026-11-24T07:00"))
    assert next_window(STANDARD) == Interval(at("2026-11-24T04:00"), at("2026-11-24T06:00"))
    assert next_window(PROFESSIONAL) == Interval(at("2026-11-28T04:00"), at("2026-11-28T06:00"))


def test_premium_has_no_window_before_one_was_agreed():
    assert calendar(PREMIUM) is None
    assert next_window(PREMIUM, agreed=AGREED) == Interval(at("2026-11-25T22:00"), at("2026-11-26T02:00"))


def test_what_was_agreed_for_the_vm_takes_the_place_of_the_levels_windows():
    assert next_window(STANDARD, agreed=AGREED).begin == at("2026-11-25T22:00")


def test_a_freeze_applies_to_either():
    freeze = {"from": "2026-11-24T00:00:00Z", "until": "2026-11-26T00:00:00Z", "reason": "sale"}
    assert next_window(STANDARD, freezes=[freeze]).begin == at("2026-11-26T04:00")
    assert next_window(PREMIUM, agreed=AGREED, freezes=[freeze]).begin == at("2026-11-26T00:00")


def test_professional_and_premium_announce_their_maintenance():
    announced = {
        level: calendar(level, agreed=AGREED).announcement
        for level in (BASIC, STANDARD, PROFESSIONAL, PREMIUM)
    }
    assert announced == {BASIC: None, STANDARD: None, PROFESSIONAL: Announcement(5), PREMIUM: Announcement(5)}
