"""Clauses 1 and 4: what becomes of a request that a person wrote, and of the operator's own when its ManagedVM is gone."""

from datetime import timedelta

import pytest

from managedvm.api.changerequest import RequestedVM, RequestState
from managedvm.api.customer import Requests
from managedvm.api.order import Order
from managedvm.planning.entitlement import entitle
from managedvm.planning.findings import Truth
from managedvm.planning.observed import Unknown
from managedvm.planning.reasons import Reason
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.requests import MAY_COME_WITHIN, plan
from tests.factories import (
    NOW,
    OTHER_UUID,
    STANDARD,
    VCENTER_UUID,
    VM_UUID,
    change_request,
    order,
    persons_request,
    requester,
    service_levels,
)

OWN = RequestedVM(v_center_uuid=VCENTER_UUID, instance_uuid=VM_UUID)
OTHER = RequestedVM(v_center_uuid=VCENTER_UUID, instance_uuid=OTHER_UUID)


def observed(package="Basic", level=STANDARD, **read) -> ObservedRequest:
    orders = (Order.model_validate(order(level=level, package=package)),)
    fields = {
        "exists": True,
        "identity": OWN,
        "entitlement": entitle(orders, service_levels().get, NOW),
        "requesters": (requester(),),
        "policy": Requests(),
        "has_taken_effect": False,
    }
    return ObservedRequest(**{**fields, **read})


GONE = {"exists": False, "identity": None, "entitlement": None}


def outcome(request, found) -> tuple[RequestState, Reason]:
    action = plan(request, found, NOW)
    assert action is not None
    assert (action.name, action.before) == (request.metadata.name, request.status)
    assert action.resource_version == request.metadata.resource_version
    return action.after.state, action.finding.reason


def test_a_persons_request_is_documented_as_an_order():
    action = plan(persons_request(), observed(), NOW)
    assert action is not None
    assert (action.after.state, action.finding.reason) == (RequestState.ORDERED, Reason.DOCUMENTED)
    assert action.finding.truth is Truth.UNKNOWN
    assert action.after.assessment is not None
    assert action.after.assessment.clause == "6.3"


def test_a_request_of_an_unlisted_person_is_documented_and_held():
    action = plan(persons_request(by="somebody@else.example"), observed(), NOW)
    assert action is not None
    assert (action.after.state, action.finding.reason) == (RequestState.HELD, Reason.REQUEST_HELD)
    assert action.after.assessment is not None, "held is documented all the same"


def test_an_assessment_is_written_once():
    first = plan(persons_request(), observed(), NOW)
    assert first is not None
    again = plan(persons_request(status=first.after.to_json()), observed(), NOW.replace(year=2027))
    assert again is not None
    assert again.after.assessment == first.after.assessment
    assert again.after.authority == first.after.authority


@pytest.mark.parametrize("package", [None], ids=["no package"])
def test_a_request_without_an_active_package_is_refused(package):
    assert outcome(persons_request(), observed(package)) == (RequestState.REFUSED, Reason.NO_ACTIVE_PACKAGE)


def test_a_request_whose_level_cannot_be_read_waits_and_is_not_refused():
    assert plan(persons_request(), observed(level="unheard-of"), NOW) is None


def test_a_request_for_a_managedvm_that_does_not_come_is_refused():
    action = plan(persons_request(), observed(**GONE), NOW + MAY_COME_WITHIN)
    assert action is not None
    assert (action.after.state, action.finding.reason) == (RequestState.REFUSED, Reason.OUT_OF_SCOPE_VM)


def test_a_request_that_was_applied_before_its_managedvm_waits_for_it():
    action = plan(persons_request(), observed(**GONE), NOW + MAY_COME_WITHIN - timedelta(seconds=1))
    assert action is not None
    assert (action.after.state, action.finding.truth) == (RequestState.ORDERED, Truth.UNKNOWN)
    assert "refused at 2026-11-23T12:05:00Z" in action.finding.message


def test_what_was_documented_as_an_order_stays_one_while_its_managedvm_is_replaced():
    documented = plan(persons_request(), observed(), NOW)
    assert documented is not None
    known = persons_request(status=documented.after.to_json())
    assert plan(known, observed(**GONE), NOW + timedelta(minutes=10)) is None
    later = plan(known, observed(**GONE), NOW + timedelta(days=1))
    assert later is not None
    assert later.after.state is RequestState.ORDERED


def test_a_request_reaches_only_the_vm_of_its_managedvm():
    other = persons_request(vm=OTHER.to_json())
    assert outcome(other, observed()) == (RequestState.REFUSED, Reason.OUT_OF_SCOPE_VM)
    own = persons_request(vm=OWN.to_json())
    assert outcome(own, observed()) == (RequestState.ORDERED, Reason.DOCUMENTED)


def test_a_request_that_names_a_vm_waits_while_nobody_can_tell_which_one_is_meant():
    assert plan(persons_request(vm=OWN.to_json()), observed(identity=None), NOW) is None


@pytest.mark.parametrize("state", ["Done", "Withdrawn", "Refused"])
def test_what_has_come_to_its_end_stays_so(state):
    assert plan(persons_request(status={"state": state}), observed(**GONE), NOW) is None
    assert plan(change_request(state=state), observed(**GONE), NOW) is None


def test_the_operators_own_request_is_decided_with_its_managedvm():
    assert plan(change_request(), observed(), NOW) is None


@pytest.mark.parametrize("state", ["Ordered", "Held", "Scheduled", "InWork"])
def test_the_operators_own_request_is_withdrawn_when_its_managedvm_is_gone(state):
    action = plan(change_request(state=state), observed(**GONE), NOW)
    assert action is not None
    assert (action.after.state, action.finding.reason) == (RequestState.WITHDRAWN, Reason.TARGET_GONE)
    assert action.after.completed_at == NOW


def test_it_is_withdrawn_too_when_the_managedvm_of_that_name_has_another_vm_now():
    assert outcome(change_request(), observed(identity=OTHER)) == (RequestState.WITHDRAWN, Reason.TARGET_GONE)


@pytest.mark.parametrize("effect", [True, Unknown("its vCenter cannot be seen")], ids=["done", "unknown"])
def test_what_has_taken_effect_or_may_have_is_not_withdrawn(effect):
    assert plan(change_request(), observed(**GONE, has_taken_effect=effect), NOW) is None
