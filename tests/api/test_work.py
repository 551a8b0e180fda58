"""Clause 4: work is recorded when it is done, for one's own request and VM, in an open month, and taken back openly."""

import secrets
from datetime import timedelta

import pytest

from lab import wait_until
from managedvm.clock import utc_now
from tests.api.bodies import customer, reversal, work_entry
from tests.api.server import assert_done, assert_refused
from tests.api.tenancy import clear, settle

pytestmark = pytest.mark.lab

FOREVER = "2026-01-05T09:00:00Z"


@pytest.fixture
def record(tenant, name):
    """Record a person's work through the technician's role; keyword arguments replace fields, None removes one."""

    def recorded(role="technician", **spec):
        body = work_entry(tenant.namespace, name, tenant.user(role), **spec)
        return tenant.client(role).create(body)

    return recorded


def soon(seconds):
    return f"{utc_now() + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def test_work_is_told_by_its_end_or_by_its_minutes(record):
    assert_done(record(end=None, minutes=20))
    for wrong in ({"minutes": 20}, {"end": None}):
        assert_refused(record(**wrong), "end, minutes", "clause 4", "how many minutes it took")


@pytest.mark.parametrize("role", ["technician", "provider", "cluster-admin"])
@pytest.mark.parametrize(
    "work", [{"begin": soon(3000), "end": soon(3600)}, {"begin": soon(-60), "end": None, "minutes": 60}]
)
def test_nobody_records_work_that_is_yet_to_come(record, role, work):
    answer = record(role, **work)
    assert_refused(answer, "spec.begin, spec.end, spec.minutes", "yet to come", "clause 4", "when it is done")


def test_nobody_works_for_more_than_a_day_on_end(record, tenant, name):
    answer = record(end="2026-01-06T09:00:01Z")
    assert_refused(answer, "end", "24 hours", "clause 4", "one entry for each piece of work")
    assert_done(record(end="2026-01-06T09:00:00Z"))
    of_operator = work_entry(tenant.namespace, f"op-{name}", "operator", end="2026-01-16T09:00:00Z")
    assert_done(tenant.operator.create(of_operator))


@pytest.mark.parametrize("role", ["technician", "provider", "pipeline", "cluster-admin"])
def test_nobody_but_the_operator_says_what_work_costs(record, role):
    charge = {"billing": "Included", "clause": "3.2", "counted": "0s", "amount": "0.00", "currency": "EUR"}
    charge |= {"priceListRef": {"name": "standard"}, "explanation": "free"}
    assert_refused(record(role, charge=charge), "spec.charge", "clause 4", "leave it out")


class TestCounterEntries:
    @pytest.fixture
    def wrong(self, record):
        answer = record()
        assert_done(answer)
        return answer.body

    def test_a_counter_entry_names_what_it_takes_back(self, tenant, wrong):
        assert_done(tenant.technician.create(reversal(wrong, tenant.user("technician"))))

    def test_an_entry_is_taken_back_once(self, tenant, wrong):
        body = reversal(wrong, tenant.user("technician"))
        assert_done(tenant.technician.create(body))
        assert tenant.technician.create(body).code == 409
        body["metadata"]["name"] = "once-more"
        assert_refused(tenant.technician.create(body), "metadata.name", "taken back twice", "clause 4")

    def test_a_counter_entry_that_names_a_wrong_request_is_followed_by_another(self, tenant, wrong):
        me = tenant.user("technician")
        mistaken = reversal(wrong, me, changeRequestRef={"name": "another"})
        assert_done(tenant.technician.create(mistaken))
        assert tenant.technician.create(reversal(wrong, me)).code == 409
        assert_done(tenant.technician.create(reversal(wrong, me, version=2)))

    @pytest.mark.parametrize(
        "prefix", ["reversal-1-of-", "reversal-10-of-", "reversal-x-of-", "reversal-of-of-"]
    )
    def test_a_counter_entry_has_one_of_nine_names(self, tenant, wrong, prefix):
        body = reversal(wrong, tenant.user("technician"))
        body["metadata"]["name"] = f"{prefix}{wrong['metadata']['name']}"
        assert_refused(tenant.technician.create(body), "metadata.name", "reversal-2-of-", "clause 4")

    def test_a_record_whose_name_has_of_in_it_is_taken_back_too(self, tenant, name):
        made = tenant.technician.create(
            work_entry(tenant.namespace, f"{name}-of-it", tenant.user("technician"))
        )
        assert_done(made)
        for version in (1, 2):
            assert_done(
                tenant.technician.create(reversal(made.body, tenant.user("technician"), version=version))
            )

    def test_a_counter_entry_is_not_taken_back(self, tenant, wrong):
        first = tenant.technician.create(reversal(wrong, tenant.user("technician")))
        assert_done(first)
        answer = tenant.technician.create(reversal(first.body, tenant.user("technician")))
        assert_refused(answer, "spec.reverses", "is not taken back", "clause 4", "entry of its own")

    @pytest.mark.parametrize("prefix", ["reversal-of-", "reversal-9-of-"])
    def test_only_a_counter_entry_has_the_name_of_one(self, tenant, name, prefix):
        body = work_entry(tenant.namespace, f"{prefix}{name}", tenant.user("technician"))
        answer = tenant.technician.create(body)
        assert_refused(answer, "metadata.name", "clause 4", "choose another name")

    @pytest.mark.parametrize("own", [{"minutes": 5}, {"end": "2026-01-05T10:00:00Z"}, {"cause": "DDoS"}])
    def test_a_counter_entry_has_no_work_of_its_own(self, tenant, wrong, own):
        body = reversal(wrong, tenant.user("technician"))
        body["spec"] |= own
        assert_refused(tenant.technician.create(body), "end, minutes", "clause 4", "takes back")

    def test_the_operators_own_entry_can_be_taken_back_by_a_person(self, tenant, name):
        made = tenant.operator.create(work_entry(tenant.namespace, f"op-{name}", "operator"))
        assert_done(made)
        assert_done(tenant.technician.create(reversal(made.body, tenant.user("technician"))))


class TestClosedMonths:
    @pytest.fixture(scope="class")
    @classmethod
    def tenant(cls, admin):
        """A customer of its own: what is closed is never opened again."""
        one = settle(admin, f"closed-{secrets.token_hex(4)}")
        yield one
        clear(one)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def closed(cls, tenant):
        """The customer, whose January is closed."""
        body = customer(tenant.namespace, tenant.namespace)
        until = {"status": {"closedUntil": "2026-02-01T00:00:00+01:00"}}
        assert_done(tenant.admin.patch(body, until, "/status"))
        probe = work_entry(tenant.namespace, "probe", tenant.user("technician"))
        wait_until(lambda: not tenant.technician.create(probe, dryRun="All").ok, "the closing", seconds=20)
        return body

    @pytest.mark.parametrize("role", ["technician", "provider", "cluster-admin"])
    def test_no_work_is_taken_into_a_closed_month(self, record, role):
        for begin in ("2026-01-05T09:00:00Z", "2026-01-31T22:59:59Z"):
            answer = record(role, begin=begin, end=None, minutes=1)
            assert_refused(answer, "spec.begin", "settled until 2026-02-01T00:00:00+01:00", "clause 4")

    def test_the_next_month_is_open_from_its_first_instant(self, record):
        assert_done(record(begin="2026-01-31T23:00:00Z", end=None, minutes=1))

    def test_late_work_of_the_operator_is_let_in(self, tenant, name):
        assert_done(tenant.operator.create(work_entry(tenant.namespace, f"op-{name}", "operator")))

    def test_what_is_closed_is_corrected_in_an_open_month(self, tenant, name):
        made = tenant.operator.create(work_entry(tenant.namespace, f"op-{name}", "operator"))
        assert_done(made)
        me = tenant.user("technician")
        assert_refused(tenant.technician.create(reversal(made.body, me)), "settled until", "clause 4")
        assert_done(tenant.technician.create(reversal(made.body, me, "2026-02-05T10:00:00Z")))

    def test_another_customers_work_is_none_of_it(self, neighbour, name):
        body = work_entry(neighbour.namespace, name, neighbour.user("technician"))
        assert_done(neighbour.technician.create(body))

    @pytest.mark.parametrize("back", [None, "2026-01-31T22:59:59Z"])
    def test_nobody_opens_a_closed_month_again(self, tenant, closed, back):
        answer = tenant.admin.patch(closed, {"status": {"closedUntil": back}}, "/status")
        assert_refused(answer, "status.closedUntil", "cannot go back", "clause 4", "counter-entry")

    @pytest.mark.parametrize("role", ["provider", "technician", "pipeline", "operator"])
    def test_who_does_not_close_months_moves_nothing(self, tenant, closed, role):
        later = {"status": {"closedUntil": "2027-02-01T00:00:00Z"}}
        answer = tenant.client(role).patch(closed, later, "/status")
        assert_refused(answer, *(["verb close", "clause 4"] if role == "pipeline" else ["cannot patch"]))

    def test_the_next_month_is_closed_after_it(self, tenant, closed):
        later = {"status": {"closedUntil": "2026-03-01T00:00:00+01:00"}}
        assert_done(tenant.admin.patch(closed, later, "/status", dryRun="All"))


class TestStatus:
    @pytest.fixture
    def entry(self, record):
        answer = record()
        assert_done(answer)
        return answer.body

    def write(self, tenant, entry, status, role="operator"):
        return tenant.client(role).patch(entry, {"status": status}, "/status")

    @pytest.fixture
    def accepted(self, tenant, entry):
        answer = self.write(tenant, entry, {"charge": charge(), "conditions": [said("True")]})
        assert_done(answer)
        return answer.body

    def test_what_was_refused_may_be_accepted_later(self, tenant, entry):
        assert_done(self.write(tenant, entry, {"conditions": [said("False")]}))
        assert_done(self.write(tenant, entry, {"charge": charge(), "conditions": [said("True")]}))

    @pytest.mark.parametrize("role", ["pipeline", "cluster-admin"])
    def test_only_the_operator_accepts_work(self, tenant, entry, role):
        answer = self.write(tenant, entry, {"charge": charge(), "conditions": [said("True")]}, role)
        assert_refused(answer, "only the operator writes", "clause 4", "counter-entry")

    @pytest.mark.parametrize("change", [None, {"amount": "31.00"}, {"lines": []}])
    def test_a_price_is_written_once(self, tenant, accepted, change):
        assert_refused(self.write(tenant, accepted, {"charge": change}), "status.charge", "written once")

    def test_what_is_accepted_stays_accepted(self, tenant, accepted):
        answer = self.write(tenant, accepted, {"conditions": [said("False")]})
        assert_refused(answer, "status.charge", "priced when it is accepted", "clause 4")
        answer = self.write(tenant, accepted, {"conditions": None})
        assert_refused(answer, "status.c", "clause 4")

    def test_work_is_not_accepted_without_a_price(self, tenant, entry):
        answer = self.write(tenant, entry, {"conditions": [said("True")]})
        assert_refused(answer, "status.charge", "priced when it is accepted", "write both at once")

    def test_a_status_that_comes_with_the_record_is_dropped(self, tenant, name):
        body = work_entry(tenant.namespace, name, tenant.user("technician"))
        body["status"] = {"charge": charge(), "conditions": [said("True")]}
        answer = tenant.technician.create(body)
        assert_done(answer)
        assert "charge" not in answer.body["status"]


def charge():
    line = {"begin": FOREVER, "end": "2026-01-05T09:15:00Z", "counted": "15m", "hourlyRate": "120.00"}
    line |= {"rateFrom": "2026-01-01T00:00:00Z", "amount": "37.50"}
    line |= {"surcharge": "evening", "surchargePercent": "25"}
    amount = {"counted": "15m", "amount": "37.50", "currency": "EUR", "priceListRef": {"name": "standard"}}
    return {"billing": "Effort", "clause": "6.3", **amount, "lines": [line], "explanation": "15m at 120.00"}


def said(status):
    return {
        "type": "Accepted",
        "status": status,
        "reason": "Said",
        "message": "",
        "lastTransitionTime": FOREVER,
    }
