"""The books of customer kunde-a for tests: requests, work with its charge, prices, and months that are closed.

An API server in a few lines stands behind: `Books` are what is there, `close` writes page by page as the command does.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from managedvm.api.base import format_duration
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.customer import Customer, CustomerStatus
from managedvm.api.pricelist import PriceList
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.statement import Statement, Totals
from managedvm.api.workentry import WorkEntry
from managedvm.planning.ledger import key_of
from managedvm.planning.money import format_minor
from managedvm.planning.statement import Books, next_page, period, reference_to
from managedvm.planning.verification import Ledger
from tests.factories import at

BERLIN = "Europe/Berlin"
RATE = 12000
TECHNICIAN = "t.muster@provider.example"
ACCEPTED = {
    "type": "Accepted",
    "status": "True",
    "reason": "Accepted",
    "message": "",
    "lastTransitionTime": "2026-10-01T00:00:00Z",
}


def customer(*namespaces: str, **status: Any) -> Customer:
    spec = {
        "customerNumber": "K-1017",
        "displayName": "Kunde A GmbH",
        "address": {
            "street": "Beispielstraße 12",
            "postalCode": "10115",
            "city": "Berlin",
            "country": "DE",
        },
        "vatID": "DE123456789",
        "namespaces": list(namespaces or ("kunde-a",)),
        "priceLists": [{"name": "standard", "from": "2026-01-01T00:00:00Z"}],
    }
    meta = {"name": "kunde-a", "resourceVersion": "1"}
    return Customer.of({"metadata": meta, "spec": spec, "status": status})


def prices(**spec: Any) -> PriceList:
    rate = {"from": "2026-01-01T00:00:00Z", "hourly": "120.00", "increment": "15m", "minimum": "15m"}
    vat = {"from": "2007-01-01T00:00:00Z", "percent": "19"}
    fields = {"currency": "EUR", "vat": [vat], "automatedWork": "Increment", "timeZone": BERLIN}
    meta = {"name": spec.pop("name", "standard")}
    return PriceList.of({"metadata": meta, "spec": {**fields, "rates": [rate], **spec}})


def request(name: str = "chg-1", *, asked: str = "2026-10-05T08:00", **spec: Any) -> ChangeRequest:
    """Return a request that the operator has assessed; keyword arguments are fields of its spec as in YAML."""
    fields = {
        "kind": "ConfigurationChange",
        "managedVMRef": {"name": "web-01"},
        "requestedBy": "a.beispiel@kunde-a.example",
        "channel": "Email",
        "ticket": "4711",
        "description": "Please add a virtual host.",
        **spec,
    }
    meta = {"namespace": fields.pop("namespace", "kunde-a"), "name": name, "creationTimestamp": at(asked)}
    assessed = {
        "clause": "6.3",
        "billing": "Effort",
        "reason": "A change is billed.",
        "assessedAt": at(asked),
    }
    entry = {"email": fields["requestedBy"], "from": "2026-01-01T00:00:00Z"}
    authority = {"decidedAt": at(asked), "mayProceed": True, "entry": entry, "explanation": "He is listed."}
    status = {"state": "Done", "assessment": assessed, "authority": authority}
    return ChangeRequest.of({"metadata": meta, "spec": fields, "status": fields.pop("status", status)})


def released(name: str, asked: str) -> tuple[ChangeRequest, RequestDecision]:
    """Return a request that was held, and the decision that released it."""
    held = {"decidedAt": at(asked), "mayProceed": False, "explanation": "She is not listed."}
    release = {
        "releasedAt": at(asked),
        "releasedBy": "a.beispiel@kunde-a.example",
        "explanation": "Confirmed.",
    }
    release |= {"decisionRef": {"name": f"{name}-release"}}
    status = request(asked=asked).status.to_json() | {
        "state": "Released",
        "authority": held,
        "release": release,
    }
    meta = {"namespace": "kunde-a", "name": f"{name}-release", "creationTimestamp": at(asked)}
    spec = {"changeRequestRef": {"name": name}, "decision": "Release", "decidedAs": "Requester"}
    spec |= {"decidedBy": "a.beispiel@kunde-a.example", "reason": "Yes, please."}
    decision = RequestDecision.of({"metadata": meta, "spec": spec})
    return request(name, asked=asked, requestedBy="c@x", status=status), decision


def charge(begin: datetime, end: datetime, hourly: int = RATE, sign: int = 1, **more: Any) -> dict[str, Any]:
    """Return a charge at one rate; without a price where `billing` is Included."""
    seconds = int((end - begin).total_seconds())
    amount = sign * ((hourly * seconds * 2 + 3600) // 7200)
    counted = format_duration(sign * (end - begin))
    line = {"begin": begin, "end": end, "counted": counted, "hourlyRate": format_minor(hourly)}
    line |= {"rateFrom": "2026-01-01T00:00:00Z", "amount": format_minor(amount)}
    included = more.get("billing") == "Included"
    return {
        "billing": "Effort",
        "clause": "6.3",
        "counted": "0s" if included else counted,
        "amount": "0.00" if included else format_minor(amount),
        "currency": "EUR",
        "priceListRef": {"name": "standard"},
        "lines": [] if included else [line],
        "explanation": "The time is rounded up.",
        **more,
    }


def work(
    name: str = "work-1",
    begin: str = "2026-10-06T09:00",
    minutes: float = 45,
    *,
    on: str = "chg-1",
    namespace: str = "kunde-a",
    recorded: str | None = None,
    by: str = TECHNICIAN,
    accepted: bool = True,
    **more: Any,
) -> WorkEntry:
    """Return work that is accepted and priced unless told otherwise; `charge=` replaces fields of its charge."""
    start = at(begin)
    end = start + timedelta(minutes=minutes)
    written = at(recorded) if recorded else end + timedelta(hours=1)
    spec = {"changeRequestRef": {"name": on}, "performedBy": by, "begin": start, "end": end}
    spec |= {"activity": "Added the virtual host and tried it."}
    cost = charge(start, end, **more.pop("charge", {}))
    meta = {"namespace": namespace, "name": name, "creationTimestamp": written}
    status = {"conditions": [ACCEPTED], "charge": cost} if accepted else {}
    return WorkEntry.of({"metadata": meta, "spec": {**spec, **more}, "status": status})


def reversal(of: WorkEntry, begin: str, **more: Any) -> WorkEntry:
    """Return the counter-entry that takes an entry back."""
    spec = {
        "changeRequestRef": {"name": of.spec.change_request_ref.name},
        "performedBy": TECHNICIAN,
        "begin": at(begin),
        "activity": "The time was entered twice.",
        "reverses": {"name": of.metadata.name},
    }
    back = charge(of.spec.begin, of.spec.until, sign=-1)
    meta = {
        "namespace": of.metadata.namespace,
        "name": f"reversal-of-{of.metadata.name}",
        "creationTimestamp": at(begin) + timedelta(minutes=1),
    }
    status = {"conditions": [ACCEPTED], "charge": back, **more}
    return WorkEntry.of({"metadata": meta, "spec": spec, "status": status})


def books(*records: WorkEntry | ChangeRequest, pages: Iterable[Statement] = (), **parts: Any) -> Books:
    """Return the books with these records; chg-1 is there unless another request is given."""
    asked = [record for record in records if isinstance(record, ChangeRequest)] or [request()]
    entries = tuple(record for record in records if isinstance(record, WorkEntry))
    found = {(r.metadata.namespace, r.metadata.name): r for r in asked}
    parts = {"customer": customer(), "prices": {"standard": prices()}, **parts}
    return Books(pages=tuple(pages), requests=found, work=entries, **parts)


def written(page: Statement, when: datetime | None = None) -> Statement:
    """Return a page as the API server gives it back."""
    moment = when or page.spec.until + timedelta(hours=6)
    body = page.to_json()
    return Statement.of(
        {**body, "metadata": {**body["metadata"], "creationTimestamp": moment, "resourceVersion": "7"}}
    )


def close(known: Books, month: str) -> Books:
    """Return the books after a month was closed, page by page."""
    while (page := next_page(known, month)) is not None:
        known = replace(known, pages=(*known.pages, written(page)))
    return known


def totals(known: Books, month: str = "2026-10") -> Totals:
    """Return what a closed month comes to."""
    return next(page.spec.totals for page in known.chain if page.spec.month == month and page.spec.totals)


def ledger(known: Books) -> Ledger:
    """Return what `verify` looks at."""
    records = (*known.requests.values(), *known.work, *known.decisions)
    return Ledger(known.pages, {key_of(record): record for record in records}, prices=known.prices)


def settled(until: str, last: Statement | None = None) -> CustomerStatus:
    """Return what the Customer says once months are closed until the end of one, and by which page last."""
    return CustomerStatus(closed_until=end_of(until), last_statement=reference_to(last) if last else None)


def end_of(month: str) -> datetime:
    return period(month, BERLIN).until
