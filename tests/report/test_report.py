"""The one pen: conditions, patches and notices."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.base import Condition, Status
from managedvm.api.changerequest import ChangeRequestStatus, RequestState
from managedvm.planning.actions import AdvanceRequest
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, fails, holds, unknown
from managedvm.planning.reasons import Reason
from managedvm.report import advanced_status, merge_patch, notices, repairs, reported, status_patch
from tests.examples import examples
from tests.factories import NOW

FOUND = holds(Aspect.VM_FOUND, Reason.VM_FOUND, "it is there", Clause.AS_ORDERED)
DRIFT = fails(Aspect.HIGH_AVAILABILITY_CONFIGURED, Reason.HA_DRIFT, "it is not", Clause.HIGH_AVAILABILITY)
REPAIRING = fails(Aspect.HIGH_AVAILABILITY_CONFIGURED, Reason.HA_REPAIRING, "soon", Clause.HIGH_AVAILABILITY)
AWAY = unknown(Aspect.VM_FOUND, Reason.VCENTER_UNREACHABLE, "nobody knows")
SUSPENDED = fails(Aspect.CHANGES_PERMITTED, Reason.SUSPENDED, "suspended")
LATER = NOW + timedelta(minutes=5)


def by_type(status):
    return {condition.type: condition for condition in status.conditions}


def report(*findings, before=Status(), generation=1, now=NOW):  # noqa: B008 - a frozen value
    return reported(Status(), before.conditions, findings, generation, now)


def test_what_is_as_promised_is_ready():
    ready = by_type(report(FOUND))["Ready"]

    assert (ready.status, ready.reason) == ("True", "AsPromised")


def test_what_a_person_must_mend_is_stalled_and_not_ready():
    found = by_type(report(FOUND, DRIFT))

    assert (found["Ready"].status, found["Ready"].reason) == ("False", "HighAvailabilityDrift")
    assert found["Stalled"].status == "True"
    assert "Reconciling" not in found


def test_what_time_will_mend_is_reconciling():
    found = by_type(report(REPAIRING))

    assert (found["Ready"].status, found["Reconciling"].status) == ("False", "True")
    assert "Stalled" not in found


def test_the_worst_finding_speaks_for_ready():
    assert by_type(report(REPAIRING, DRIFT))["Ready"].reason == "HighAvailabilityDrift"


def test_several_findings_of_one_aspect_are_all_told_and_the_worst_decides():
    condition = by_type(report(REPAIRING, DRIFT))["HighAvailabilityConfigured"]

    assert condition.reason == "HighAvailabilityDrift"
    assert condition.message == "it is not (clause 5.2). soon (clause 5.2)"


def test_a_message_names_its_clause():
    assert by_type(report(FOUND))["VMFound"].message == "it is there (clause 1)"


def test_a_transition_time_moves_with_the_status_only():
    before = report(FOUND)
    other_words = holds(Aspect.VM_FOUND, Reason.VM_FOUND, "it is elsewhere", Clause.AS_ORDERED)

    assert by_type(report(other_words, before=before, now=LATER))["VMFound"].last_transition_time == NOW
    assert by_type(report(AWAY, before=before, now=LATER))["VMFound"].last_transition_time == LATER


def test_an_outage_leaves_what_was_known():
    before = report(FOUND, DRIFT)

    found = by_type(report(AWAY, before=before, now=LATER))

    assert found["HighAvailabilityConfigured"] == by_type(before)["HighAvailabilityConfigured"]
    assert (found["Ready"].status, found["Ready"].reason) == ("Unknown", "VCenterUnreachable")


def test_a_healthy_view_forgets_what_is_no_longer_said():
    assert "HighAvailabilityConfigured" not in by_type(report(FOUND, before=report(FOUND, DRIFT)))


def test_suspended_is_unknown_and_keeps_what_was_known():
    found = by_type(report(SUSPENDED, before=report(FOUND)))

    assert (found["Ready"].status, found["Ready"].reason) == ("Unknown", "Suspended")
    assert found["VMFound"].status == "True"


def test_the_observed_generation_moves_on_failure_too():
    status = report(DRIFT, generation=7)

    assert status.observed_generation == 7
    assert {condition.observed_generation for condition in status.conditions} == {7}


def test_a_long_message_is_cut_where_the_api_server_would_refuse_it():
    finding = holds(Aspect.VM_FOUND, Reason.VM_FOUND, "x" * 3000)

    assert len(by_type(report(finding))["VMFound"].message) == 1024


def test_an_unchanged_status_is_not_written():
    status = report(FOUND, DRIFT)

    assert status_patch(status, report(FOUND, DRIFT, before=status, now=LATER)) is None


def test_the_first_look_tells_only_what_a_person_must_know():
    assert notices(Status(), report(FOUND)) == ()
    assert [n.reason for n in notices(Status(), report(FOUND, DRIFT))] == ["HighAvailabilityDrift"]


def test_a_change_is_told_once_and_not_again_by_ready():
    before = report(FOUND, DRIFT)
    mended = holds(Aspect.HIGH_AVAILABILITY_CONFIGURED, Reason.HA_AS_PROMISED, "right again")
    after = report(FOUND, mended, before=before, now=LATER)

    told = notices(before, after)

    assert [(n.type, n.reason) for n in told] == [("Normal", "HighAvailabilityAsPromised")]
    assert notices(after, after) == ()


def test_a_repair_is_told_where_the_promise_held_before():
    held = report(holds(Aspect.HIGH_AVAILABILITY_CONFIGURED, Reason.HA_AS_PROMISED, "fine"))

    assert [n.reason for n in repairs(held, (REPAIRING,))] == ["HighAvailabilityRepairing"]
    assert repairs(Status(), (REPAIRING,)) == ()


def advance(after, finding, before=None):
    return AdvanceRequest(
        "kunde-a", "op-x", "1", before or ChangeRequestStatus(), after, finding, Clause.DOCUMENTED
    )


def test_a_request_advances_with_its_condition():
    done = ChangeRequestStatus(state=RequestState.DONE, completed_at=NOW)
    action = advance(done, holds(Aspect.SUCCEEDED, Reason.DONE, "done"))

    patch = advanced_status(action, NOW)

    assert patch["state"] == "Done"
    assert patch["completedAt"] == "2026-11-23T12:00:00Z"
    assert [(c["type"], c["status"]) for c in patch["conditions"]] == [("Succeeded", "True")]


def test_a_request_that_says_nothing_new_is_not_written():
    held = ChangeRequestStatus(state=RequestState.HELD)
    finding = unknown(Aspect.SUCCEEDED, Reason.REQUEST_HELD, "held")
    first = advanced_status(advance(held, finding), NOW)
    stored = held.model_copy(
        update={
            "conditions": tuple(Condition.model_validate(c) for c in first["conditions"]),
            "observed_generation": 1,
        }
    )

    assert advanced_status(advance(held, finding, before=stored), LATER) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
# A merge patch cannot say null, and our statuses never do.
objects = st.dictionaries(st.sampled_from("abcd"), json_values.filter(lambda v: v is not None), max_size=4)


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def patched(target, patch):
    """RFC 7396, written from the RFC."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


@examples(100)
@given(objects, objects)
def test_a_merge_patch_leads_from_one_object_to_the_other(before, after):
    before, after = without_nulls(before), without_nulls(after)

    assert patched(before, merge_patch(before, after)) == after


@examples(100)
@given(objects)
def test_equal_objects_need_no_patch(same):
    assert merge_patch(same, same) == {}


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.word)
def test_every_reason_can_be_reported(reason):
    status = report(fails(Aspect.RESOURCES_AS_AGREED, reason, "why"))

    assert by_type(status)["ResourcesAsAgreed"].reason == reason.word
