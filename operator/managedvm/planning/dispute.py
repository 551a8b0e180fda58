"""`explain-charge`: how a charge came about, from the order to the line of the statement, each step with its evidence."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from managedvm.api.base import APPLIED_BY
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.statement import Statement
from managedvm.api.workentry import Charge, ChargeLine, WorkEntry
from managedvm.planning.helpdesk import number_of
from managedvm.planning.statementlines import lines_made
from managedvm.planning.wallclock import shown


@dataclass(frozen=True, slots=True)
class Fact:
    """One step: what it is about, the clause that it follows from or nothing, and the fact."""

    about: str
    clause: str
    text: str


def explain_request(request: ChangeRequest, decisions: Iterable[RequestDecision]) -> tuple[Fact, ...]:
    """Return who ordered, through what, by which authority at that time, and what the contract makes of it."""
    return (*_ordered(request), *_authorised(request, decisions), *_assessed(request))


def explain_entry(
    entry: WorkEntry, request: ChangeRequest | None, pages: Iterable[Statement]
) -> tuple[Fact, ...]:
    """Return what was done, what it costs and why, and in which lines of which statement it is."""
    return (*_worked(entry), *_priced(entry), *_billed(entry, request, pages))


def _ordered(request: ChangeRequest) -> Iterator[Fact]:
    spec, meta = request.spec, request.metadata
    what = (
        f"{spec.change.aspect} {spec.change.before} to {spec.change.after}"
        if spec.change
        else spec.description
    )
    when = shown(request.asked_at) if request.asked_at else "a time that is not known"
    number = number_of(request)
    ticket = f", ticket {number}" if number else ""
    text = f"{spec.requested_by} asked through {spec.channel} at {when}{ticket} for {spec.managed_vm_ref.name}: {what}"
    yield Fact("Ordered", "4", text)
    written = spec.applied_by or meta.annotations.get(APPLIED_BY)
    if written and written != spec.requested_by:
        yield Fact("Entered by", "4", f"{written} wrote the request down")
    if spec.asked_at is not None and meta.creation_timestamp is not None:
        yield Fact("Entered", "4", f"The request was written down at {shown(meta.creation_timestamp)}")


def _authorised(request: ChangeRequest, decisions: Iterable[RequestDecision]) -> Iterator[Fact]:
    status = request.status
    if status.authority is None:
        yield Fact("Authorised", "4", "The operator has not decided yet whether the requester could order")
    else:
        by = status.authority.entry
        entry = f" (entry {by.email} from {shown(by.from_)})" if by else ""
        text = f"At {shown(status.authority.decided_at)}: {status.authority.explanation}{entry}"
        yield Fact("Authorised", "4", text)
    if status.release is not None:
        yield Fact("Released", "4", f"At {shown(status.release.released_at)}: {status.release.explanation}")
    for decision in decisions:
        made = decision.metadata.creation_timestamp
        when = f" at {shown(made)}" if made else ""
        spec = decision.spec
        yield Fact(
            "Decided", "4", f"{spec.decided_by} as {spec.decided_as}{when}: {spec.decision}. {spec.reason}"
        )


def _assessed(request: ChangeRequest) -> Iterator[Fact]:
    verdict = request.status.assessment
    if verdict is not None:
        yield Fact(
            "Assessed", verdict.clause, f"A {request.spec.kind} is {verdict.billing}: {verdict.reason}"
        )


def _worked(entry: WorkEntry) -> Iterator[Fact]:
    spec, recorded = entry.spec, entry.metadata.creation_timestamp
    if spec.reverses is not None:
        yield Fact(
            "Taken back", "4", f"{entry.metadata.name} takes {spec.reverses.name} back: {spec.activity}"
        )
    else:
        cause = f"; the cause found was {spec.cause}" if spec.cause else ""
        when = f"from {shown(spec.begin)} to {shown(spec.until)}"
        yield Fact("Worked", "4", f"{spec.performed_by} {when}: {spec.activity}{cause}")
    if recorded is not None:
        yield Fact("Recorded", "4", f"{entry.metadata.name} was written at {shown(recorded)}")


def _priced(entry: WorkEntry) -> Iterator[Fact]:
    charge = entry.charge
    if charge is None:
        verdict = next((c for c in entry.status.conditions if c.type == "Accepted"), None)
        text = verdict.message if verdict else "The operator has not looked at it yet"
        yield Fact("Not accepted", "4", text)
        return
    for line in charge.lines:
        yield Fact("Rate", charge.clause, _rate(charge, line))
    yield Fact(
        "Price", charge.clause, f"{charge.amount} {charge.currency} ({charge.billing}): {charge.explanation}"
    )


def _rate(charge: Charge, line: ChargeLine) -> str:
    more = f" with {line.surcharge_percent} % for {line.surcharge}" if line.surcharge_percent else ""
    counted = line.to_json()["counted"]
    return (
        f"{counted} from {shown(line.begin)} at {line.hourly_rate} an hour{more} is {line.amount}; the rate is that of "
        f"price list {charge.price_list_ref.name} since {shown(line.rate_from)}"
    )


def _billed(entry: WorkEntry, request: ChangeRequest | None, pages: Iterable[Statement]) -> Iterator[Fact]:
    mine = entry.metadata.namespace, entry.metadata.name
    found = False
    for page in pages:
        lines = [line for line in page.spec.lines if (line.namespace, line.work_entry_ref.name) == mine]
        for line in lines:
            found = True
            text = f"{page.metadata.name} line {line.number}: {line.amount}, in the page with hash {page.spec.hash}"
            yield Fact("Billed", line.clause, text)
        if lines and request is not None and len(lines) != lines_made(entry):
            yield Fact(
                "Billed", "4", "The statement has another number of lines than the record makes: verify it"
            )
    if not found:
        yield Fact(
            "Not billed yet", "4", "No statement has it; it is in the one of the month that is closed next"
        )
