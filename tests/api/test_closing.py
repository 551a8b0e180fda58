"""Clause 4, on a real API server, by who may: a month is closed once, verified, exported, pruned and still explained."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes import aio as kubernetes

from lab import wait_until
from managedvm.api.base import API_VERSION
from managedvm.clock import utc_now
from managedvm.closing import close, read_books, read_ledger
from managedvm.planning import statement
from managedvm.planning.verification import Fault, verify
from managedvm.world.kube import HttpKube
from tests.api.bodies import change_request, customer, work_entry
from tests.api.server import assert_done, assert_refused
from tests.api.tenancy import clear, settle

pytestmark = pytest.mark.lab

JANUARY, FEBRUARY = "2026-01", "2026-02"
PROGRAM = Path(sys.executable).parent / "managedvm"
ENTRIES = 7


class CrashedError(Exception):
    """The process is no more."""


class Dying:
    """The API server's port for a process that dies before its n-th write, or right after it."""

    def __init__(self, kube, dies_at, *, after):
        self.kube, self.dies_at, self.after, self.writes = kube, dies_at, after, 0

    def __getattr__(self, name):
        call = getattr(self.kube, name)
        return self._dying(call) if name in {"create", "patch_status"} else call

    def _dying(self, call):
        async def write(*args):
            self.writes += 1
            if self.writes == self.dies_at and not self.after:
                raise CrashedError
            answer = await call(*args)
            if self.writes == self.dies_at:
                raise CrashedError
            return answer

        return write


@asynccontextmanager
async def port(kubeconfig, user):
    """Give the API server as a user sees it, through the port that the command uses."""
    configuration = kubernetes.client.Configuration()
    await kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    client = kubernetes.client.ApiClient(configuration)
    client.set_default_header("Impersonate-User", user)
    kube = HttpKube(client, may_act=lambda: True)
    try:
        yield kube
    finally:
        await kube.close()


@pytest.fixture
def books(admin, tenant, name):
    """A customer of its own with accepted work in January 2026, as technician and operator would have written it."""
    party = settle(admin, f"{name}-{tenant.namespace}"[:50].rstrip("-"))
    request = party.technician.create(
        change_request(party.namespace, "request", "chef@kunde.example", channel="Email")
    )
    assert_done(request)
    now = f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"
    assessed = {"clause": "6.3", "billing": "Effort", "reason": "A change is billed.", "assessedAt": now}
    authority = {"decidedAt": now, "mayProceed": True, "explanation": "Nobody is listed."}
    status = {"state": "Scheduled", "assessment": assessed, "authority": authority}
    assert_done(party.operator.patch(request.body, {"status": status}, "/status"))
    for number in range(ENTRIES):
        accepted(
            party,
            f"work-{number}",
            f"2026-01-05T{number + 8:02}:00:00Z",
            f"2026-01-05T{number + 8:02}:45:00Z",
            now,
        )
    yield party
    clear(party)


def accepted(party, name, begin, end, now):
    """Record work as the technician, and accept it as the operator."""
    entry = work_entry(party.namespace, name, party.user("technician"), begin=begin, end=end)
    made = party.technician.create(entry)
    assert_done(made)
    line = {"begin": begin, "end": end, "counted": "45m", "hourlyRate": "120.00", "amount": "90.00"}
    charge = {
        "billing": "Effort",
        "clause": "6.3",
        "counted": "45m",
        "amount": "90.00",
        "currency": "EUR",
        "priceListRef": {"name": "standard"},
        "lines": [{**line, "rateFrom": "2026-01-01T00:00:00Z"}],
        "explanation": "The time is rounded up.",
    }
    verdict = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": now,
    }
    assert_done(
        party.operator.patch(made.body, {"status": {"conditions": [verdict], "charge": charge}}, "/status")
    )


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(statement, "LINES_PER_PAGE", 3)


def closing(lab, party, month, dies_at=0, *, after=False):
    """Close a month as the accountant; the process dies at its n-th write where that is said."""

    async def run():
        async with port(lab.kubeconfig, party.user("accountant")) as kube:
            return await close(Dying(kube, dies_at, after=after), party.namespace, month, utc_now())

    return asyncio.run(run())


def checked(lab, party):
    """Return what an auditor finds."""

    async def run():
        async with port(lab.kubeconfig, party.user("auditor")) as kube:
            live, known = await read_ledger(kube, party.namespace)
        return verify(live, settled=known)

    return asyncio.run(run())


@pytest.mark.usefixtures("small_pages")
def test_a_close_that_died_at_any_write_is_finished_by_the_next(lab, books):
    now = f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"
    for number, (write, after) in enumerate(itertools.product((1, 2, 3, 4, 5), (False, True)), start=1):
        month = f"2026-{number:02}"
        for entry in range(ENTRIES) if number > 1 else ():
            begin, end = (f"{month}-05T{entry + 8:02}:{minute}:00Z" for minute in ("00", "45"))
            accepted(books, f"work-{number}-{entry}", begin, end, now)
        with pytest.raises(CrashedError):
            closing(lab, books, month, write, after=after)

        done = closing(lab, books, month)

        assert [page.spec.page for page in done.pages] == [1, 2, 3], (write, after)
        billed = [line.begin.hour for page in done.pages for line in page.spec.lines]
        assert billed == list(range(8, 8 + ENTRIES)), (write, after)
        assert done.pages[-1].spec.totals.gross == "749.70", (write, after)
        assert closing(lab, books, month).written == 0
    assert checked(lab, books) == ()


def test_a_closed_month_takes_no_more_work_and_the_next_one_does(lab, books):
    closing(lab, books, JANUARY)
    late = work_entry(books.namespace, "late", books.user("technician"))

    wait_until(
        lambda: books.technician.create(late, dryRun="All").code == 403, "the month to be closed", seconds=30
    )

    assert_refused(books.technician.create(late), "spec.begin", "clause 4", "settled until")
    times = {"begin": "2026-02-03T08:00:00Z", "end": "2026-02-03T08:45:00Z"}
    now = f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"
    accepted(books, "february", times["begin"], times["end"], now)
    done = closing(lab, books, FEBRUARY)
    assert [line.work_entry_ref.name for line in done.pages[0].spec.lines] == ["february"]
    assert checked(lab, books) == ()


def test_who_prunes_without_an_archive_is_found_out(lab, books):
    closing(lab, books, JANUARY)
    gone = {"kind": "WorkEntry", "metadata": {"namespace": books.namespace, "name": "work-3"}}
    assert_done(books.archiver.delete(gone))

    (found,) = checked(lab, books)

    assert (found.fault, found.where) == (Fault.DELETED, f"WorkEntry {books.namespace}/work-3")


@pytest.fixture
def typed(lab, tmp_path):
    """Run the command with the lab's kubeconfig."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(lab.kubeconfig)}

    def run(*words, code=0):
        said = subprocess.run(  # noqa: S603 - our own program
            [PROGRAM, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert said.returncode == code, said.stdout + said.stderr
        return said.stdout + said.stderr

    return run


def test_a_month_is_closed_shown_handed_out_verified_and_explained_by_command(books, typed, tmp_path):
    customer = books.namespace
    closed = typed("statement", "close", customer, JANUARY)
    assert f"{customer}-2026-01 is closed: 7 lines, 749.70 EUR" in closed
    assert "was closed already" in typed("statement", "close", customer, JANUARY)
    assert "Gesamtbetrag" in typed("statement", "show", customer, JANUARY, "--language", "de")
    typed("statement", "export", customer, JANUARY, "-o", "month.pdf")
    assert (tmp_path / "month.pdf").read_bytes().startswith(b"%PDF")
    typed("statement", "export", customer, JANUARY, "-f", "csv", "-o", "month.csv")
    assert len((tmp_path / "month.csv").read_text().splitlines()) == 1 + ENTRIES
    assert typed("statement", "verify", customer) == ""
    digest = closed.split("hash ")[1].strip()
    assert typed("statement", "verify", customer, "--hash", digest) == ""
    assert "was replaced" in typed("statement", "verify", customer, "--hash", "0" * 64, code=1)
    explained = typed("explain-charge", f"{customer}/{customer}-2026-01:3")
    for words in (
        "chef@kunde.example asked through Email",
        "Nobody is listed.",
        "clause 6.3",
        "work-2",
        "45m",
        "line 3: 90.00",
        digest,
    ):
        assert words in explained.replace("\n", " "), words
    assert "work-6" in typed("explain-charge", f"{customer}/request")
    assert "There is no" in typed("explain-charge", f"{customer}/{customer}-2026-01:99", code=1)


def test_a_month_that_was_exported_may_be_pruned_and_is_verified_with_its_archive(books, typed, tmp_path):
    customer = books.namespace
    typed("statement", "close", customer, JANUARY)
    typed("statement", "export", customer, JANUARY, "-f", "json", "-o", "january.json")
    prune(books, "WorkEntry", "ChangeRequest")
    said = typed("statement", "verify", customer, code=1)
    assert said.startswith("Deleted: 2026-01: none of its 8 records is there: give the archive")
    assert typed("statement", "verify", customer, "--archive", "january.json") == ""
    assert typed("statement", "verify", customer, "--archive", "january.json", "--offline") == ""
    assert "work-2" in typed(
        "explain-charge", f"{customer}/{customer}-2026-01:3", "--archive", "january.json"
    )
    assert "are not there, so no archive is written" in typed(
        "statement", "export", customer, JANUARY, "-f", "json", "-o", "again.json", code=1
    )
    edited = json.loads((tmp_path / "january.json").read_text())
    edited["records"][1]["spec"]["performedBy"] = "somebody@else"
    (tmp_path / "edited.json").write_text(json.dumps(edited))
    assert "Edited: " in typed("statement", "verify", customer, "--archive", "edited.json", code=1)
    typed("statement", "close", customer, FEBRUARY, "--archive", "january.json")
    assert typed("statement", "verify", customer, "--archive", "january.json") == ""


def prune(party, *kinds):
    for kind in kinds:
        for body in party.archiver.list({"kind": kind, "metadata": {"namespace": party.namespace}}):
            assert_done(party.archiver.delete({"kind": kind, **body}))


def test_a_chain_that_was_pruned_whole_is_not_begun_anew(books, typed):
    customer = books.namespace
    typed("statement", "close", customer, JANUARY)
    typed("statement", "export", customer, JANUARY, "-f", "json", "-o", "january.json")
    prune(books, "Statement")
    for month in (JANUARY, FEBRUARY):
        said = typed("statement", "close", customer, month, code=1)
        assert f"{customer}-2026-01 with hash" in said
        assert "(--archive)" in said
    assert f"Deleted: {customer}-2026-01: it was written last" in typed(
        "statement", "verify", customer, code=1
    )
    prune(books, "WorkEntry", "ChangeRequest")
    typed("statement", "close", customer, FEBRUARY, "--archive", "january.json")
    assert typed("statement", "verify", customer, "--archive", "january.json") == ""


def test_a_namespace_that_became_another_customers_is_not_billed_again(admin, books, typed, name):
    first, second = books.namespace, f"{name}-{books.namespace}"[:50].rstrip("-")
    typed("statement", "close", first, JANUARY)
    away = {"spec": {"namespaces": [f"{name}-elsewhere"]}}
    assert_done(admin.patch({"kind": "Customer", "metadata": {"name": first}}, away))
    other = customer(second, books.namespace)
    wait_until(lambda: admin.create(other).ok, "the policy to see the move", seconds=20)
    try:
        assert f"{second}-2026-01 is closed: 0 lines, 0.00 EUR" in typed(
            "statement", "close", second, JANUARY
        )
        assert typed("statement", "verify", second) == ""
        assert typed("statement", "verify", first) == ""
    finally:
        assert_done(admin.delete(other))


def test_what_cannot_be_done_is_said(books, typed):
    customer = books.namespace
    assert "2099-01 is not over" in typed("statement", "close", customer, "2099-01", code=1)
    assert f"There is no statement of {customer} for 2026-01" in typed(
        "statement", "show", customer, JANUARY, code=1
    )
    assert "There is no Customer nobody" in typed("statement", "close", "nobody", JANUARY, code=1)
    assert "YYYY-MM" in typed("statement", "show", customer, "January", code=2)
    typed("statement", "close", customer, JANUARY)
    assert "does not follow" in typed("statement", "close", customer, "2026-03", code=1)


def test_a_page_as_large_as_they_get_is_taken_by_the_api_server(lab, books):
    """The longest texts in as many lines as a page takes: etcd and the rules of the kind bear it."""

    def many(entry):
        spec = entry.spec.model_copy(update={"activity": "ü" * 256, "performed_by": "é" * 254})
        names = (f"work-{number:04}-{'x' * 200}" for number in range(500))
        copies = (entry.metadata.model_copy(update={"name": name}) for name in names)
        return tuple(entry.model_copy(update={"spec": spec, "metadata": meta}) for meta in copies)

    async def run():
        async with port(lab.kubeconfig, books.user("accountant")) as kube:
            known = await read_books(kube, books.namespace)
            page = statement.next_page(replace(known, work=many(known.work[0])), JANUARY)
            body = {"apiVersion": API_VERSION, "kind": "Statement", **page.to_json()}
            assert len(json.dumps(body)) > 0.9 * statement.BYTES_PER_PAGE
            return await kube.create(body)

    assert asyncio.run(run())["spec"]["page"] == 1
