"""Values that are written as text: durations, and objects with what an older or newer operator does not know."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from managedvm.api.base import format_duration, parse_duration
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.managedvm import ManagedVM
from managedvm.api.pricelist import HourlyRate
from managedvm.api.workentry import WorkEntry
from tests.api.bodies import change_request, managed_vm, work_entry
from tests.examples import examples

WHOLE_SECONDS = st.integers(min_value=0, max_value=99_999 * 3600).map(
    lambda seconds: timedelta(seconds=seconds)
)


@examples(100)
@given(WHOLE_SECONDS)
def test_a_duration_reads_back_as_it_was_written(value):
    assert parse_duration(format_duration(value)) == value


@examples(100)
@given(WHOLE_SECONDS)
def test_a_duration_is_written_in_one_way_only(value):
    assert format_duration(parse_duration(format_duration(value))) == format_duration(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("0s", timedelta(0)),
        ("99999h", timedelta(hours=99_999)),
    ],
)
def test_a_duration_is_read(text, value):
    assert parse_duration(text) == value


@examples(100)
@given(st.text(max_size=20))
def test_any_other_text_is_refused_and_never_crashes(text):
    try:
        value = parse_duration(text)
    except ValueError:
        return
    assert isinstance(value, timedelta)


@pytest.mark.parametrize(
    "text", ["", "h", "5", "-5m", "1.5h", "1m1h", "5M", " 5m", "5m ", "999999999999999h", "\u0665m"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_refused_duration_names_its_field():
    rate = {"from": "2026-01-01T00:00:00Z", "hourly": "1.00", "increment": "15 minutes", "minimum": "15m"}
    with pytest.raises(ValidationError, match="increment"):
        HourlyRate.model_validate(rate)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (ManagedVM, managed_vm("kunde-a", "web-01", guest={"credentialsSecretRef": {"name": "guest"}})),
        (ChangeRequest, change_request("kunde-a", "r", "a@x", wantedAt="2026-01-01T00:00:00+01:00")),
        (WorkEntry, work_entry("kunde-a", "w", "a@x")),
    ],
    ids=lambda part: getattr(part, "__name__", "body"),
)
def test_a_namespaced_object_reads_back_as_it_was_written(model, body):
    once = model.of(body)
    assert model.of(once.to_json()) == once


@pytest.mark.parametrize(
    "until", ["2026-12-01T00:00:00.0000002Z", "2026-12-01T00:00:00.9Z", "2026-11-30T00:00:00Z"]
)
def test_a_freeze_without_a_length_is_no_spec(until):
    freeze = {"from": "2026-12-01T00:00:00.0000001Z", "until": until, "reason": "sale"}
    with pytest.raises(ValidationError, match="by a second at least"):
        ManagedVM.of(managed_vm("kunde-a", "web-01", maintenance={"freezes": [freeze]}))


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"memory": "25Ti"}, "25Ti is more than 24Ti"),
        (
            {"disks": [{"name": "a", "deviceNode": "SCSI(0:0)", "size": "8388608Ti"}]},
            "8388608Ti is more than 62Ti",
        ),
    ],
)
def test_a_size_that_no_vm_can_have_is_no_spec(resources, words):
    with pytest.raises(ValidationError, match=words):
        ManagedVM.of(managed_vm("kunde-a", "web-01", resources=resources))


def test_a_field_of_a_newer_version_is_passed_over():
    body = managed_vm("kunde-a", "web-01", somethingNew={"a": 1})
    assert ManagedVM.of(body) == ManagedVM.of(managed_vm("kunde-a", "web-01"))


def test_an_object_without_its_spec_is_an_error_and_not_an_empty_wish():
    body = managed_vm("kunde-a", "web-01")
    del body["spec"]
    with pytest.raises(ValidationError, match="spec"):
        ManagedVM.of(body)


def test_the_key_of_an_object_is_its_namespace_and_name():
    assert ManagedVM.of(managed_vm("kunde-a", "web-01")).key == "kunde-a/web-01"
