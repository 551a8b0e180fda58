"""Clause 4: what comes by telephone, mail or any other way is documented in the helpdesk and worked on, once, and none is lost."""

import threading

import pytest

from lab import pki, wait_until
from lab.install import NAMESPACE
from lab.zammad import Fault, Moment, Zammad, serve
from managedvm.world.helpdesk.webhook import PATH
from tests.api.bodies import change_request, contacts, helpdesk, requester, work_entry
from tests.api.server import assert_done, assert_refused
from tests.world.stage import PATIENCE, PERSON, condition, instant

pytestmark = pytest.mark.lab

SECRET = "helpdesk-of-the-test"
STAFF = "t.technik@provider.example"


class Desk:
    """The provider's helpdesk, and what the operator made of it."""

    def __init__(self, stage, served, replica):
        self.api = stage.api
        self.served, self.server, self.replica = served, served.zammad, replica

    @property
    def webhook(self):
        return f"http://127.0.0.1:{self.replica.webhook_port}{PATH}"

    def object(self):
        return self.api.read(helpdesk()).body

    def held(self):
        return [one["number"] for one in self.object()["status"].get("heldTickets", ())]

    def says(self, kind, reason):
        return self.until(
            lambda: (condition(self.object(), kind) or {}).get("reason") == reason, f"{kind} to be {reason}"
        )

    def until(self, check, what, seconds=PATIENCE):
        return wait_until(check, what, seconds=seconds, every=0.05)

    def subjects(self, ticket):
        """Return what our notes in a ticket are about, sorted."""
        return sorted(note["subject"].split(": ", 1)[1] for note in self.server.notes(ticket))

    def wrote(self, party):
        """Return the tickets that were opened for requests of a customer."""
        return self.server.opened(f"[{party.namespace}/")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    authority = pki.new_authority(tmp_path_factory.mktemp("helpdesk"), "the helpdesk's authority")
    with serve(Zammad(), authority.server("zammad", hosts=("127.0.0.1",))) as one:
        yield one, authority.bundle.read_text()


@pytest.fixture(scope="module")
def desk(stage, kube, replica, served):
    """A helpdesk that is there for this module alone, and is reached."""
    here, ca = served
    values = {"token": here.zammad.token, "webhookSecret": here.zammad.webhook_secret, "ca.crt": ca}
    meta = {"name": SECRET, "namespace": NAMESPACE}
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": values})
    spec = {"credentialsSecretRef": {"name": SECRET}, "pollInterval": "2s", "searchLag": "3s"}
    assert_done(stage.api.create(helpdesk(url=here.url, **spec)))
    made = Desk(stage, here, replica)
    made.says("Reachable", "HelpdeskReachable")
    yield made
    replica.start()
    assert_done(stage.api.delete(helpdesk()))
    kube.delete("secret", SECRET, namespace=NAMESPACE)


@pytest.fixture
def vm(party):
    """A VM under contract, whose customer lists one person."""
    assert_done(party.stage.api.create(contacts(party.namespace, requester(PERSON))))
    return party.vm().settled()


@pytest.fixture(autouse=True)
def whole(desk):
    """Begin with a helpdesk that works and an operator that lives."""
    desk.server.faults.clear()
    desk.served.up()
    desk.replica.start()
    desk.says("Reachable", "HelpdeskReachable")


def record(vm, name):
    answer = vm.api.read(
        {"kind": "ChangeRequest", "metadata": {"namespace": vm.party.namespace, "name": name}}
    )
    return answer.body if answer.ok else None


def ticketed(desk, vm, name):
    """Wait until the ticket of a request is there and knows all that is new, and return the request."""

    def found():
        body = record(vm, name)
        status = (body or {}).get("status", {})
        return body if (status.get("ticket") or {}).get("told") == status.get("state", "") else None

    return desk.until(found, f"the ticket of {name}", seconds=90)


def ask(vm, name, **spec):
    wish = {"kind": "SupportQuestion", "channel": "Phone", "managedVMRef": {"name": vm.name}}
    wish |= {"askedAt": instant(-7200)}
    assert_done(vm.api.create(change_request(vm.party.namespace, name, PERSON, **(wish | spec))))


def work(vm, name):
    times = {"begin": instant(-3600), "end": instant(-1200)}
    of = {"changeRequestRef": {"name": name}}
    assert_done(vm.api.create(work_entry(vm.party.namespace, f"{name}-work", STAFF, **of, **times)))


def test_a_ticket_is_one_request_however_often_and_in_whatever_order_it_is_told_of(desk, vm):
    where = {"managedvm": f"{vm.party.namespace}/{vm.name}"}
    first, second = (
        desk.server.write_in(PERSON, title, channel="phone", **where) for title in ("One", "Two")
    )
    answers = [desk.server.deliver(desk.webhook, one["id"]) for one in (second, first, second, first, second)]
    assert answers == [202] * 5
    names = [f"op-ticket-{one['number']}" for one in (first, second)]
    for name in names:
        body = ticketed(desk, vm, name)
        assert (body["spec"]["channel"], body["spec"]["requestedBy"]) == ("Phone", PERSON)
        assert body["spec"]["askedAt"] <= body["metadata"]["creationTimestamp"]
        assert body["status"]["state"] == "Ordered"

    desk.replica.restart()
    for one in (first, second, first):
        desk.until(lambda one=one: desk.server.deliver(desk.webhook, one["id"]) == 202, "an active replica")
    desk.server.change(first["id"], state="open")
    vm.look_again()
    assert sorted(r["metadata"]["name"] for r in vm.party.records("ChangeRequest")) == sorted(names)
    assert [desk.subjects(one["id"]) for one in (first, second)] == [["Ordered"], ["Ordered"]]
    assert desk.wrote(vm.party) == []


def test_a_forged_delivery_is_refused_and_the_ticket_is_found_all_the_same(desk, vm):
    ticket = desk.server.write_in(PERSON, "Slow", managedvm=f"{vm.party.namespace}/{vm.name}")
    assert desk.server.deliver(desk.webhook, ticket["id"], secret="guessed") == 401
    ticketed(desk, vm, f"op-ticket-{ticket['number']}")


def test_nobody_else_writes_in_the_name_of_the_helpdesk(vm):
    named = change_request(vm.party.namespace, "op-ticket-1", PERSON)
    assert_refused(vm.api.create(named), "metadata.name", "clause 4")
    forged = change_request(vm.party.namespace, "ticket-1", PERSON, origin="Helpdesk", ticket="1")
    assert_refused(vm.api.create(forged), "spec.origin", "clause 4")


def test_a_ticket_without_a_vm_is_noted_once_and_taken_in_when_it_names_one(desk, vm):
    ticket = desk.server.write_in("stranger@else.example", "Help")
    for _ in range(3):
        desk.server.deliver(desk.webhook, ticket["id"])
    desk.says("TicketsDocumented", "TicketsHeld")
    desk.replica.restart()
    desk.says("TicketsDocumented", "TicketsHeld")
    assert desk.subjects(ticket["id"]) == ["it names no VM"]
    assert ticket["number"] in desk.held()

    where = {"managedvm": f"{vm.party.namespace}/{vm.name}", "request_kind": "SupportQuestion"}
    desk.server.change(ticket["id"], **where)
    body = ticketed(desk, vm, f"op-ticket-{ticket['number']}")
    assert body["status"]["state"] == "Held"
    desk.until(lambda: ticket["number"] not in desk.held(), "the ticket to wait no longer")
    assert desk.subjects(ticket["id"]) == ["Held", "it names no VM"]


def test_what_a_person_enters_has_a_ticket_before_its_work_is_billed(desk, vm):
    desk.served.down()
    ask(vm, "question")
    work(vm, "question")
    vm.order("in-an-outage", resources={"cpus": 3})
    # A helpdesk that is down holds up no change, and no record of it.
    vm.request("CPUs", "Done")
    assert record(vm, "question")["status"].get("ticket", {}).get("number") is None
    (entry,) = [e for e in vm.party.records("WorkEntry") if e["metadata"]["name"] == "question-work"]
    assert "charge" not in entry.get("status", {})

    desk.served.up()
    ticketed(desk, vm, "question")

    def is_told():
        return all("ticketedAt" in e.get("status", {}) for e in vm.party.records("WorkEntry"))

    desk.until(is_told, "all work to be in its ticket", seconds=60)
    tickets = {ticket["title"]: ticket["id"] for ticket in desk.wrote(vm.party)}
    assert len(tickets) == 2
    question = next(id_ for title, id_ in tickets.items() if "SupportQuestion" in title)
    assert desk.server.minutes(question) == ["40.00"]
    billed = [e for e in vm.party.records("WorkEntry") if e["metadata"]["name"] == "question-work"]
    assert billed[0]["status"]["charge"]["counted"] == "45m"


def test_a_change_that_is_typed_in_git_gets_one_ticket(desk, vm):
    vm.order("more-memory", resources={"memory": "6Gi"})
    name = vm.request("Memory", "Done")["metadata"]["name"]
    body = ticketed(desk, vm, name)
    (ticket,) = desk.wrote(vm.party)
    assert body["status"]["ticket"]["number"] == ticket["number"]
    assert "Memory 4Gi to 6Gi" in desk.server.notes(ticket["id"])[0]["body"]
    desk.until(lambda: f"work {name}-work" in desk.subjects(ticket["id"]), "its work to be told")


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("call", ["POST tickets", "POST ticket_articles"])
def test_a_kill_at_any_call_to_the_helpdesk_doubles_nothing_and_loses_nothing(desk, vm, call, moment):
    killed = threading.Event()

    def kill():
        desk.replica.kill()
        killed.set()

    desk.server.faults.append(Fault(call, moment, struck=kill))
    ask(vm, "question")
    work(vm, "question")
    assert killed.wait(60), "the call did not come"
    desk.replica.start()
    ticketed(desk, vm, "question")

    def is_told():
        return all("ticketedAt" in e.get("status", {}) for e in vm.party.records("WorkEntry"))

    desk.until(is_told, "its work to be told", seconds=90)
    (ticket,) = desk.wrote(vm.party)
    subjects = desk.subjects(ticket["id"])
    assert len(set(subjects)) == len(subjects)
    assert {"InWork", "work question-work"} <= set(subjects)
    assert desk.server.minutes(ticket["id"]) == ["40.00"]


def test_an_outage_is_told_and_over_it_nothing_is_lost_or_doubled(desk, vm):
    desk.served.down()
    where = {"managedvm": f"{vm.party.namespace}/{vm.name}"}
    tickets = [desk.server.write_in(PERSON, f"Ticket {number}", **where) for number in range(3)]
    for number in range(3):
        ask(vm, f"question-{number}")
    desk.until(
        lambda: condition(desk.object(), "Reachable")["reason"] == "HelpdeskUnreachable",
        "it to be told",
        seconds=90,
    )
    desk.replica.restart()
    desk.served.up()
    desk.says("Reachable", "HelpdeskReachable")
    names = [f"op-ticket-{one['number']}" for one in tickets] + [f"question-{n}" for n in range(3)]
    for name in names:
        ticketed(desk, vm, name)
    assert len(desk.wrote(vm.party)) == 3
    assert sorted(r["metadata"]["name"] for r in vm.party.records("ChangeRequest")) == sorted(names)
