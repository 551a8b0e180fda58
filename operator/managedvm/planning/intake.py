"""What becomes of a ticket (clause 4): one ChangeRequest, however often it is told of; or a note that says what it lacks.

A ticket is never dropped. Where it does not say which VM it is about there is no namespace in which a record could be made:
then the ticket itself is the documentation, it is counted, and looked at again when it changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from managedvm.api.base import LONGEST_TEXT, LocalReference
from managedvm.api.changerequest import (
    ChangeRequest,
    ChangeRequestSpec,
    Channel,
    RecordOrigin,
    RequestKind,
)
from managedvm.api.helpdesk import TicketAttributes
from managedvm.planning.correspondence import was_documented
from managedvm.planning.findings import shortened, some
from managedvm.planning.helpdesk import AddNote, DocumentRequest, Ticket
from managedvm.planning.names import ticket_request_name
from managedvm.planning.records import request_body

CLOCKS_DIFFER = timedelta(minutes=5)
"""How much younger than its record a ticket may be by the clocks of helpdesk and API server."""

LONGEST_BACK = timedelta(days=31) - timedelta(minutes=1)
"""How old a ticket may be to date its order: admission takes 31 days back, by the API server's clock."""

DEFAULT_KIND = RequestKind.FAULT_REPORT
"""What a ticket asks for that does not say so: it is reacted to, and its kind alone bills nothing (clause 4.1)."""

_MERGED = "merged"
"""The state of a ticket that has become part of another one, which stands for both."""

_CLOSED = "closed"

_CHANNELS = {
    "phone": Channel.PHONE,
    "email": Channel.EMAIL,
    "web": Channel.HELPDESK,
    "note": Channel.HELPDESK,
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known here about a ticket.

    `vms` are all ManagedVMs of the name that it gives, as (namespace, name); `listed` says in which namespaces the
    customer's list names its customer, and how it spells the address; `documented` are requests of its number.
    """

    vms: tuple[tuple[str, str], ...] = ()
    listed: tuple[tuple[str, str], ...] = ()
    documented: tuple[ChangeRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class Lacking:
    """Why a ticket is not taken in, in short and as a note for who can put it right."""

    reason: str
    note: AddNote


def named_vm(ticket: Ticket, attributes: TicketAttributes) -> tuple[str, str]:
    """Return namespace and name of the ManagedVM that a ticket names; each is empty where it names none."""
    text = ticket.attributes.get(attributes.managed_vm, "").strip()
    namespace, _, name = text.rpartition("/")
    return namespace, name


def plan(
    ticket: Ticket, attributes: TicketAttributes, known: Known, now: datetime
) -> DocumentRequest | Lacking | None:
    """Return the record of a ticket, or what it lacks; None where there is nothing to do.

    Who closes a ticket that says what it lacks has decided about it.
    """
    planned = _planned(ticket, attributes, known, now)
    is_decided = isinstance(planned, Lacking) and planned.note.subject in ticket.notes
    return None if is_decided and ticket.state == _CLOSED else planned


def _planned(
    ticket: Ticket, attributes: TicketAttributes, known: Known, now: datetime
) -> DocumentRequest | Lacking | None:
    if ticket.is_ours or ticket.state == _MERGED:
        return None
    if known.documented:
        return _of_another_ticket(ticket, known.documented)
    if was_documented(ticket.number, ticket.notes):
        return _lacks(
            ticket,
            "its ChangeRequest is not there any more",
            "Notes in it say that it was documented, and the record was exported and pruned since. Open another ticket for "
            "what is asked for now.",
        )
    return _recorded(ticket, attributes, known, now)


def _recorded(
    ticket: Ticket, attributes: TicketAttributes, known: Known, now: datetime
) -> DocumentRequest | Lacking:
    """Return the record of a ticket that has none, or what it lacks first."""
    where = _where(ticket, attributes, known)
    if isinstance(where, Lacking):
        return where
    kind = _kind(ticket, attributes)
    if isinstance(kind, Lacking):
        return kind
    wanted = _wanted(ticket, attributes, kind)
    if isinstance(wanted, Lacking):
        return wanted
    namespace, name = where
    spec = ChangeRequestSpec(
        kind=kind,
        managed_vm_ref=LocalReference(name=name),
        requested_by=dict(known.listed).get(namespace, ticket.customer),
        channel=_CHANNELS.get(ticket.channel, Channel.OTHER),
        asked_at=_asked_at(ticket, now),
        origin=RecordOrigin.HELPDESK,
        ticket=ticket.number,
        description=shortened("\n\n".join(filter(None, (ticket.title, ticket.text))), LONGEST_TEXT),
        wanted_at=wanted,
    )
    return DocumentRequest(request_body(namespace, ticket_request_name(ticket.number), spec))


def _asked_at(ticket: Ticket, now: datetime) -> datetime | None:
    """Return since when it is ordered: since the ticket; None, so since its record, where that is of long ago or to come."""
    asked_at = ticket.created_at.replace(microsecond=0)
    return asked_at if now - LONGEST_BACK <= asked_at <= now else None


def cannot_record(ticket: Ticket, why: str) -> Lacking:
    """Return that the API server has refused the record of a ticket."""
    return _lacks(
        ticket, "it cannot be recorded", f"The API server refuses its ChangeRequest: {shortened(why, 512)}."
    )


def _of_another_ticket(ticket: Ticket, documented: Iterable[ChangeRequest]) -> Lacking | None:
    """Return None for a ticket that is documented; a record that is older than the ticket is another one's."""
    for request in documented:
        made = request.metadata.creation_timestamp
        if made is None or ticket.created_at <= made + CLOCKS_DIFFER:
            return None
    names = some([request.key for request in documented])
    return _lacks(
        ticket,
        f"its number is taken by {names}",
        f"{names} documents an older ticket of this number, as after numbers began anew. Open another ticket.",
    )


def _where(ticket: Ticket, attributes: TicketAttributes, known: Known) -> tuple[str, str] | Lacking:
    """Return the ManagedVM that is meant; one of several namespaces only where the customer is known in just one."""
    namespace, name = named_vm(ticket, attributes)
    field = attributes.managed_vm
    if not name:
        return _lacks(
            ticket,
            "it names no VM",
            f"Set the attribute {field} to the name of the ManagedVM that it is about, or to namespace/name.",
        )
    fitting = [vm for vm in known.vms if namespace in ("", vm[0]) and vm[1] == name]
    if len(fitting) > 1:
        listed = dict(known.listed)
        fitting = [vm for vm in fitting if vm[0] in listed] or fitting
    match fitting:
        case [vm] if known.listed and vm[0] not in dict(known.listed):
            return _lacks(
                ticket,
                f"{shortened(ticket.customer, 64)} orders for another customer",
                f"It names a VM in namespace {vm[0]}, whose list does not name that address, and the list of "
                f"{some([namespace for namespace, _ in known.listed])} does (clause 1). Correct the attribute {field}, or "
                "enter the ChangeRequest with kubectl.",
            )
        case [vm]:
            return vm
        case []:
            named = shortened(f"{namespace}/{name}" if namespace else name, 64)
            return _lacks(
                ticket,
                f"there is no ManagedVM {named}",
                f"Correct the attribute {field}, or declare that ManagedVM; it is then taken in.",
            )
        case _:
            return _lacks(
                ticket,
                f"several VMs are named {shortened(name, 64)}",
                f"Set the attribute {field} to namespace/name.",
            )


def _kind(ticket: Ticket, attributes: TicketAttributes) -> RequestKind | Lacking:
    field = attributes.request_kind
    text = ticket.attributes.get(field, "").strip()
    if not text:
        return DEFAULT_KIND
    if text == RequestKind.SOFTWARE_INSTALLATION:
        return _lacks(
            ticket,
            "a SoftwareInstallation says where the software comes from",
            "A ticket cannot say that (clause 6.2). Enter the ChangeRequest with kubectl, with spec.software, and set "
            f"{field} here to SupportQuestion or leave it empty.",
        )
    if text not in set(RequestKind):
        kinds = ", ".join(kind for kind in RequestKind if kind is not RequestKind.SOFTWARE_INSTALLATION)
        return _lacks(
            ticket,
            f"{shortened(text, 64)} is no kind of request",
            f"Set the attribute {field} to one of {kinds}.",
        )
    return RequestKind(text)


def _wanted(ticket: Ticket, attributes: TicketAttributes, kind: RequestKind) -> datetime | Lacking | None:
    field = attributes.wanted_at
    text = ticket.attributes.get(field, "").strip()
    if not text and kind is RequestKind.UPDATE_APPOINTMENT:
        return _lacks(ticket, "an UpdateAppointment names a time", f"Set the attribute {field} (clause 5.1).")
    if not text:
        return None
    try:
        wanted = datetime.fromisoformat(text)
    except ValueError:
        wanted = None
    if wanted is None or wanted.tzinfo is None:
        return _lacks(
            ticket,
            f"{shortened(text, 64)} is no instant",
            f"Make the attribute {field} one of type Datetime, or write for example 2026-11-23T12:00:00Z.",
        )
    return wanted


def _lacks(ticket: Ticket, reason: str, way_out: str) -> Lacking:
    text = f"This ticket is not taken in as a ChangeRequest: {reason}. {way_out} (clause 4)"
    return Lacking(shortened(reason), AddNote(ticket.id, f"ManagedVM: {shortened(reason, 120)}", text))
