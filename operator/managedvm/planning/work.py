"""Whether work that a person recorded is accepted, and then what it costs; decided once (clause 4).

What is not accepted is documented and not billed, and says how it is put right. What was taken back by a counter-entry is
never accepted later, and a counter-entry waits until that is settled: so the two always come to nothing together.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from managedvm.api.base import ObjectMeta
from managedvm.api.changerequest import FINAL_STATES, Billing, ChangeRequest, RequestState
from managedvm.api.workentry import Charge, WorkEntry, WorkEntrySpec
from managedvm.planning.assessment import assess_work
from managedvm.planning.charges import nothing_to_take_back, persons_charge, taken_back
from managedvm.planning.clauses import Clause
from managedvm.planning.decisions import Decisions
from managedvm.planning.findings import Aspect, Finding, Truth, fails, holds, some, unknown
from managedvm.planning.money import NoRateError, PriceBook
from managedvm.planning.names import reversal_name
from managedvm.planning.reasons import Reason
from managedvm.planning.standing import orders
from managedvm.planning.wallclock import as_utc, shown

SETTLES_WITHIN = timedelta(seconds=15)
"""How long an entry waits for other records before a person is told: a pipeline applies them at about the same time."""


@dataclass(frozen=True, slots=True)
class ObservedWork:
    """All that was read for one entry.

    `decisions` are those about its request. `others` are the entries of the same person, in all namespaces, that may
    touch the same time and were not taken back. `original` is what this one takes back, where it is a counter-entry, and
    `reversal` the counter-entry that counts: to this one, or to the original.
    `awaits_ticket` tells that the request is still to get its ticket in the helpdesk.
    """

    request: ChangeRequest | None
    prices: PriceBook | None
    decisions: Decisions = field(default_factory=Decisions)
    others: tuple[WorkEntry, ...] = ()
    reversal: WorkEntry | None = None
    original: WorkEntry | None = None
    missing_policies: tuple[str, ...] = ()
    awaits_ticket: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of an entry: nothing yet without a finding, and a charge with the finding that it is accepted."""

    finding: Finding | None = None
    charge: Charge | None = None
    next_check: datetime | None = None


def judge(entry: WorkEntry, observed: ObservedWork, now: datetime) -> Judgement:
    """Return what is to be said of an entry that is not accepted yet."""
    if observed.missing_policies:
        words = f"Not decided: policy {some(observed.missing_policies)}. Apply manifests/base/policies"
        return Judgement(unknown(Aspect.ACCEPTED, Reason.POLICY_BINDING_MISSING, words, Clause.DOCUMENTED))
    if entry.spec.reverses is not None:
        return _judge_reversal(entry, observed, now)
    if is_taken_back(entry, observed.reversal):
        words = f"Taken back by {observed.reversal.metadata.name}" if observed.reversal else ""
        return _refused(Reason.TAKEN_BACK, words, Clause.DOCUMENTED)
    if observed.request is None:
        return _waits(entry, entry.spec.change_request_ref.name, "ChangeRequest", now)
    return (
        _out_of_place(entry, observed.request)
        or _not_ordered(entry, observed.request, observed.decisions, now)
        or _overlapping(entry, observed.others, now)
        or _without_ticket(entry, observed, now)
        or _priced(entry, observed.request, observed.prices)
    )


def objection(spec: WorkEntrySpec, request: ChangeRequest, now: datetime) -> Finding | None:
    """Return why work that is about to be recorded would not be accepted, as far as its request alone tells; else None.

    Work on a held request is worth recording: it is billed once the request is released.
    """
    entry = WorkEntry(metadata=ObjectMeta(name="", creation_timestamp=now), spec=spec)
    judged = _out_of_place(entry, request) or _not_ordered(entry, request, Decisions(), now)
    finding = judged.finding if judged else None
    if finding is None or finding.truth is not Truth.FALSE or finding.reason is Reason.REQUEST_HELD:
        return None
    return finding


def is_taken_back(entry: WorkEntry, reversal: WorkEntry | None) -> bool:
    """Return whether a counter-entry takes this entry back; one of another request takes nothing back."""
    return (
        reversal is not None
        and reversal.spec.reverses is not None
        and reversal.spec.reverses.name == entry.metadata.name
        and reversal.spec.change_request_ref == entry.spec.change_request_ref
    )


def overlap(one: WorkEntry, other: WorkEntry) -> bool:
    """Return whether two entries claim the same time; one that ends when the other begins does not."""
    return one.spec.begin < other.spec.until and other.spec.begin < one.spec.until


def is_accepted(entry: WorkEntry) -> bool:
    """Return whether an entry is accepted, which is final; the operator's own always is."""
    return entry.charge is not None


def days_of(person: str, begin: datetime, until: datetime) -> tuple[tuple[str, date], ...]:
    """Return under what work is found that may touch the same time: the person and each day of it (UTC)."""
    first, last = as_utc(begin).date(), as_utc(until).date()
    who = person.casefold()
    return tuple((who, first + timedelta(days=number)) for number in range((last - first).days + 1))


def _judge_reversal(entry: WorkEntry, observed: ObservedWork, now: datetime) -> Judgement:
    named = entry.spec.reverses.name if entry.spec.reverses else ""
    original = observed.original
    if original is None:
        return _waits(entry, named, "WorkEntry", now)
    void = _takes_nothing_back(entry, original, observed.reversal)
    if void is not None:
        return void
    if original.charge is not None:
        return _accepted(f"Takes {named} back", taken_back(original.charge, named))
    if not _has_said(original, Reason.TAKEN_BACK):
        # Its own pass says so first, else it might be accepted meanwhile.
        return _pending(entry, f"{named} is judged first", now)
    if observed.prices is None:
        return _refused(Reason.PRICE_UNKNOWN, _NO_LIST, _PRICE)
    return _accepted(f"Takes {named} back", nothing_to_take_back(observed.prices, named))


def _takes_nothing_back(entry: WorkEntry, original: WorkEntry, counts: WorkEntry | None) -> Judgement | None:
    """Return why a counter-entry takes nothing back; None for the one that `counts`, and for one under the first name.

    A later name is for where the earlier ones are there and name a wrong request. Records never change, so once that is
    so it stays so, and no two counter-entries of a record ever count.
    """
    named = original.metadata.name
    if not is_taken_back(original, entry):
        of = original.spec.change_request_ref.name
        words = (
            f"{named} is work on request {of} and not on {entry.spec.change_request_ref.name}, so this takes nothing back. "
            f"Take it back with another counter-entry that names {of} (managedvm work reverse)"
        )
        return _refused(Reason.FOREIGN_RECORD, words, Clause.DIRECTLY_ATTACHED_VM)
    if entry.metadata.name == reversal_name(named):
        return None
    if counts is None:
        words = (
            f"A counter-entry of this name counts only where those before it, from {reversal_name(named)} on, are there and "
            "name a wrong request. Take the record back under the first name that is free (managedvm work reverse)"
        )
        return _refused(Reason.UNKNOWN_RECORD, words, Clause.DOCUMENTED)
    if counts.metadata.name != entry.metadata.name:
        words = f"{named} is taken back already, by {counts.metadata.name}; nothing is taken back twice"
        return _refused(Reason.TAKEN_BACK, words, Clause.DOCUMENTED)
    return None


def _pending(entry: WorkEntry, why: str, now: datetime) -> Judgement:
    """Return that it cannot be told yet; in words only when that lasts."""
    until = (entry.metadata.creation_timestamp or now) + SETTLES_WITHIN
    if now < until:
        return Judgement(next_check=until)
    return Judgement(
        unknown(Aspect.ACCEPTED, Reason.WORK_PENDING, f"Not decided yet: {why}", Clause.DOCUMENTED)
    )


def _waits(entry: WorkEntry, name: str, kind: str, now: datetime) -> Judgement:
    if now < (entry.metadata.creation_timestamp or now) + SETTLES_WITHIN:
        return _pending(entry, name, now)
    words = (
        f"There is no {kind} {name} in this namespace. Record the work on the request that it was done for, and take this "
        "entry back"
    )
    return _refused(Reason.UNKNOWN_RECORD, words, Clause.DOCUMENTED)


def _out_of_place(entry: WorkEntry, request: ChangeRequest) -> Judgement | None:
    """Return why work is none of this request, in time or place; the API server has refused most of it already."""
    named, meant = entry.spec.managed_vm_ref, request.spec.managed_vm_ref
    if named is not None and named != meant:
        words = (
            f"Request {request.metadata.name} is for ManagedVM {meant.name} and not for {named.name}. Take this entry back, "
            "and record the work on a request for the VM that was worked on"
        )
        return _refused(Reason.OUT_OF_SCOPE_VM, words, Clause.DIRECTLY_ATTACHED_VM)
    recorded_at = entry.metadata.creation_timestamp
    if recorded_at is not None and entry.spec.until > recorded_at:
        words = f"It ends at {shown(entry.spec.until)}, after it was recorded. Take it back, and record it when it is done"
        return _refused(Reason.FUTURE_WORK, words, Clause.OPTIONAL_SERVICES)
    return None


def _not_ordered(
    entry: WorkEntry, request: ChangeRequest, said: Decisions, now: datetime
) -> Judgement | None:
    """Return why nobody has ordered this work, or that this is still to be decided; None when it is ordered."""
    status, name = request.status, request.metadata.name
    if status.state is RequestState.REFUSED:
        words = (
            f"Request {name} was refused, so nobody has ordered the work. Record it on a request that stands"
        )
        return _refused(Reason.NOT_ORDERED, words, Clause.OPTIONAL_SERVICES)
    is_decided = status.assessment is not None and status.authority is not None
    if status.state not in FINAL_STATES:
        if not is_decided:
            return _pending(entry, f"whether request {name} is an order is decided first", now)
        if said.withdrawal is not None:
            return _pending(entry, f"the withdrawal of request {name} is settled first", now)
    return _outside_of_order(entry, request) or _by_nobody_who_may(entry, request, said)


def _outside_of_order(entry: WorkEntry, request: ChangeRequest) -> Judgement | None:
    """Return that work was done before it was asked for, or when that was over; None when it was done in between."""
    status, name, asked_at = request.status, request.metadata.name, request.asked_at
    begin, until = entry.spec.begin, entry.spec.until
    if asked_at is not None and begin < asked_at:
        words = (
            f"It begins at {shown(begin)}, before request {name} was asked at {shown(asked_at)}: nobody had ordered it yet. "
            "Take this entry back; where somebody had asked earlier, by telephone say, record it on a request that says when "
            "(spec.askedAt)"
        )
        return _refused(Reason.NOT_ORDERED, words, Clause.OPTIONAL_SERVICES)
    ended_at = status.completed_at if status.state in FINAL_STATES else None
    if ended_at is not None and ended_at <= begin:
        words = (
            f"Request {name} came to its end at {shown(ended_at)}, before this work began. Take this entry back, and record "
            "the work on a new request"
        )
        return _refused(Reason.NOT_ORDERED, words, Clause.OPTIONAL_SERVICES)
    if status.state is RequestState.WITHDRAWN and ended_at is not None and ended_at < until:
        words = (
            f"It ends at {shown(until)}, and request {name} was withdrawn at {shown(ended_at)}: what was done later nobody "
            "wanted. Take this entry back, and record the work until then"
        )
        return _refused(Reason.NOT_ORDERED, words, Clause.OPTIONAL_SERVICES)
    return None


def _by_nobody_who_may(entry: WorkEntry, request: ChangeRequest, said: Decisions) -> Judgement | None:
    """Return that work waits for somebody who may order it, or never had one; None where there was one.

    A fault is taken in from anybody, and its removal is included; what its cause makes billable is ordered like anything.
    """
    status, name, known = request.status, request.metadata.name, request.status.authority
    is_released = status.release is not None or said.release is not None
    if is_released or (known is not None and orders(known)):
        return None
    is_taken_in = known is not None and known.may_proceed
    if is_taken_in and assess_work(request.spec.kind, entry.spec.cause).billing is Billing.INCLUDED:
        return None
    if status.state is RequestState.WITHDRAWN and not is_taken_in:
        words = (
            f"Request {name} was withdrawn, and until then nobody who may order had ordered or released it: this work is "
            "documented and not billed"
        )
        return _refused(Reason.NOT_ORDERED, words, Clause.AUTHORISED_REQUESTERS)
    way = f"an authorised requester or the provider's staff releases it (managedvm request release {request.key})"
    if is_taken_in:
        words = (
            f"The cause {entry.spec.cause} is billed by effort, and {request.spec.requested_by}, who reported the fault, may "
            f"not order that: it waits until {way}; then this work is billed"
        )
    else:
        words = f"Request {name} is held until {way}; then this work is billed"
    return _refused(Reason.REQUEST_HELD, words, Clause.AUTHORISED_REQUESTERS)


def _overlapping(entry: WorkEntry, others: Iterable[WorkEntry], now: datetime) -> Judgement | None:
    """Return that the person has other work at the same time, or that this is still to be decided; else None."""
    rivals = [other for other in others if overlap(entry, other)]
    standing = sorted((other for other in rivals if is_accepted(other)), key=_order)
    if not standing:
        earlier = [other for other in rivals if not _is_decided(other) and _order(other) < _order(entry)]
        # Who came first is judged first.
        return _pending(entry, f"other work of {entry.spec.performed_by} is", now) if earlier else None
    first, who = standing[0], entry.spec.performed_by
    what = f"recorded as {first.metadata.name}"
    if first.metadata.namespace != entry.metadata.namespace:
        # This is read in the customer's namespace: what was done for others is told by its time and nothing else.
        day = as_utc(first.spec.begin).date()
        what = f"recorded elsewhere (staff finds it: managedvm work list --person {who} --day {day})"
    words = (
        f"{who} has other accepted work from {shown(first.spec.begin)} to {shown(first.spec.until)}, {what}, and nobody does "
        "two things at once. Take the wrong one of the two back (managedvm work reverse), and record what was really done"
    )
    return _refused(Reason.OVERLAP, words, Clause.OPTIONAL_SERVICES)


def _without_ticket(entry: WorkEntry, observed: ObservedWork, now: datetime) -> Judgement | None:
    """Return that nothing is billed before its request is in the helpdesk, whose ticket the bill names; else None."""
    if not observed.awaits_ticket:
        return None
    until = (entry.metadata.creation_timestamp or now) + SETTLES_WITHIN
    if now < until:
        return Judgement(next_check=until)
    words = f"Request {entry.spec.change_request_ref.name} has no ticket in the helpdesk yet; see the object Helpdesk"
    return Judgement(unknown(Aspect.ACCEPTED, Reason.TICKET_MISSING, words, Clause.DOCUMENTED))


def _priced(entry: WorkEntry, request: ChangeRequest, prices: PriceBook | None) -> Judgement:
    verdict = assess_work(request.spec.kind, entry.spec.cause)
    if prices is None:
        return _refused(Reason.PRICE_UNKNOWN, _NO_LIST, _PRICE)
    try:
        charge = persons_charge(prices, verdict, entry.spec.begin, entry.spec.until)
    except NoRateError as error:
        return _refused(Reason.PRICE_UNKNOWN, f"{error}. Add a rate", _PRICE)
    return _accepted(f"{charge.billing}, {charge.amount} {charge.currency}", charge, verdict.clause)


_PRICE = Clause.OPTIONAL_SERVICES

_NO_LIST = (
    "The customer has agreed on no PriceList for this time, or the one it names is not there. Add an entry to "
    "spec.priceLists of the Customer, or create the list"
)


def _accepted(words: str, charge: Charge, clause: Clause = Clause.DOCUMENTED) -> Judgement:
    return Judgement(holds(Aspect.ACCEPTED, Reason.WORK_ACCEPTED, words, clause), charge)


def _refused(reason: Reason, words: str, clause: Clause) -> Judgement:
    return Judgement(fails(Aspect.ACCEPTED, reason, words, clause))


def _order(entry: WorkEntry) -> tuple[bool, datetime, str, str]:
    """Return what entries are ordered by: who came first stands."""
    meta = entry.metadata
    created = meta.creation_timestamp
    return created is None, created or entry.spec.begin, meta.namespace, meta.name


def _is_decided(entry: WorkEntry) -> bool:
    return any(
        said.type == Aspect.ACCEPTED and said.status != Truth.UNKNOWN.value
        for said in entry.status.conditions
    )


def _has_said(entry: WorkEntry, reason: Reason) -> bool:
    return any(
        said.type == Aspect.ACCEPTED and said.reason == reason.word for said in entry.status.conditions
    )
