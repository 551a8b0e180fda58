"""What decides about tickets and about what they have to know, read from what is held in memory."""

from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime
from typing import Any

from managedvm.api.changerequest import ChangeRequest, RequestState
from managedvm.api.customercontacts import SINGLETON as CONTACTS
from managedvm.api.customercontacts import CustomerContacts
from managedvm.api.helpdesk import SINGLETON, Helpdesk, TicketAttributes
from managedvm.api.workentry import WorkEntry
from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.planning.correspondence import news
from managedvm.planning.helpdesk import Ticket
from managedvm.planning.intake import Known, named_vm
from managedvm.world.work import is_settled

HELPDESK = Helpdesk.KIND.kind

UNTOLD = "untold"
"""Under this the indexes have what the helpdesk does not know yet."""


def untold_request(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return under what a request is found of which there is something new that its ticket does not have."""
    status = body.get("status") or {}
    if not status.get("conditions"):
        return ()
    begin = (status.get("slot") or {}).get("begin")
    new = news(RequestState(status["state"]), datetime.fromisoformat(begin) if begin else None)
    return () if (status.get("ticket") or {}).get("told") == new else (UNTOLD,)


def untold_work(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return under what accepted work is found that its ticket does not have."""
    return (UNTOLD,) if is_settled(body) and "ticketedAt" not in (body.get("status") or {}) else ()


def of_ticket(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return the number of the ticket that a request was made of."""
    spec = body["spec"]
    return (spec["ticket"],) if spec.get("origin") == "Helpdesk" and "ticket" in spec else ()


def helpdesk(store: Store) -> Helpdesk | None:
    """Return the Helpdesk, None where the provider has none."""
    body = store.get(HELPDESK, "", SINGLETON)
    return Helpdesk.of(body) if body else None


def untold(store: Store) -> Iterator[ObjectKey]:
    """Yield the requests whose tickets do not know everything yet."""
    for body in store.by_index("ChangeRequest", UNTOLD, UNTOLD):
        yield ObjectKey("ChangeRequest", body["metadata"]["namespace"], body["metadata"]["name"])
    for body in store.by_index("WorkEntry", UNTOLD, UNTOLD):
        yield request_worked_on(body)


def request_worked_on(body: dict[str, Any]) -> ObjectKey:
    """Return the request of a piece of work."""
    return ObjectKey("ChangeRequest", body["metadata"]["namespace"], body["spec"]["changeRequestRef"]["name"])


def work_to_tell(store: Store, request: ChangeRequest) -> list[tuple[dict[str, Any], WorkEntry]]:
    """Return the accepted work on a request that its ticket does not have, in the order in which it was recorded."""
    where = (request.metadata.namespace, request.metadata.name)
    bodies = [body for body in store.by_index("WorkEntry", "request", where) if untold_work(body)]
    bodies.sort(key=lambda body: (body["metadata"].get("creationTimestamp", ""), body["metadata"]["name"]))
    return [(body, WorkEntry.of(body)) for body in bodies]


def known(store: Store, ticket: Ticket, attributes: TicketAttributes) -> Known:
    """Return what is known here about a ticket."""
    _, name = named_vm(ticket, attributes)
    vms = (key for key in store.keys("ManagedVM") if key.name == name)
    bodies = store.by_index("ChangeRequest", "ticket", ticket.number)
    return Known(
        vms=tuple((key.namespace, key.name) for key in vms),
        listed=tuple(_listed(store, ticket.customer)),
        documented=tuple(ChangeRequest.of(body) for body in bodies),
    )


def addresses(store: Store, namespace: str) -> list[str]:
    """Return the addresses on the list of a namespace's customer."""
    body = store.get("CustomerContacts", namespace, CONTACTS)
    return [one.email for one in CustomerContacts.of(body).spec.requesters] if body else []


def _listed(store: Store, address: str) -> Iterator[tuple[str, str]]:
    """Yield the namespaces whose list names an address, and how it is spelt there."""
    for key in store.keys("CustomerContacts"):
        spelt = next((a for a in addresses(store, key.namespace) if a.casefold() == address.casefold()), None)
        if spelt is not None:
            yield key.namespace, spelt
