"""`managedvm statement`: close a month, show it, hand it out, and verify that nobody has changed what was closed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from managedvm import closing
from managedvm.api.base import API_VERSION
from managedvm.api.customer import CustomerStatus
from managedvm.api.statement import Statement
from managedvm.api.workentry import WorkEntry
from managedvm.cli.archives import Archives, held_in
from managedvm.cli.connection import Context, answer, api_server, fail
from managedvm.clock import utc_now
from managedvm.planning.bill import Bill, NotClosedError, bill
from managedvm.planning.statement import CannotCloseError
from managedvm.planning.verification import Ledger, verify
from managedvm.statements.archive import archive
from managedvm.statements.provider import NotALetterheadError, Provider, read_provider
from managedvm.statements.table import focus_csv, terminal
from managedvm.statements.words import Language
from managedvm.world.kube import HttpKube

_PLAIN_WIDTH = 140

statement_app = typer.Typer(no_args_is_help=True, help="Closed months: close, show, export, verify.")


class Format(StrEnum):
    """What a statement is exported as."""

    PDF = "pdf"
    EINVOICE = "einvoice"
    CSV = "csv"
    JSON = "json"


def _month(text: str) -> str:
    try:
        return f"{datetime.strptime(text, '%Y-%m'):%Y-%m}"  # noqa: DTZ007 - a month has no instant
    except ValueError:
        raise typer.BadParameter("write it as YYYY-MM") from None


Customer = Annotated[str, typer.Argument(help="The Customer.")]
Month = Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.", callback=_month)]
In = Annotated[Language, typer.Option("--language", help="Language of the document.")]


@statement_app.command()
def close(customer: Customer, month: Month, archives: Archives = None, context: Context = None) -> None:
    """Close a month: no more work of it is taken in, and what was accepted is written down for good."""
    held = held_in(archives)
    question = _close(customer, month, held, context)
    try:
        done = answer(question, missing=f"There is no Customer {customer}.")
    except CannotCloseError as error:
        fail(f"{month} of {customer} cannot be closed: {error}.")
    closed = bill(done.pages)
    news = "is closed" if done.written else "was closed already"
    typer.echo(
        f"{closed.name} {news}: {len(closed.lines)} lines, {closed.totals.gross} {closed.totals.currency}"
    )
    for entry in closed.pending:
        typer.echo(f"not billed: {entry.namespace}/{entry.name}: {entry.reason}")
    typer.echo(f"hash {closed.hash}")


@statement_app.command()
def show(
    customer: Customer,
    month: Month,
    language: In = Language.EN,
    archives: Archives = None,
    context: Context = None,
) -> None:
    """Show a closed month."""
    closed = _bill(answer(_pages(customer, month, held_in(archives), context), missing=""), customer, month)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    console.print(terminal(closed, language))


@statement_app.command()
def export(  # noqa: PLR0917 - typer makes an option of each
    customer: Customer,
    month: Month,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    form: Annotated[Format, typer.Option("--format", "-f", help="What to write.")] = Format.PDF,
    language: In = Language.EN,
    provider: Annotated[
        Path | None, typer.Option(help="YAML file with the provider's letterhead.", exists=True)
    ] = None,
    invoice: Annotated[str, typer.Option(help="Number of the invoice; the PDF is one then.")] = "",
    archives: Archives = None,
    context: Context = None,
) -> None:
    """Write a closed month to a file: PDF, electronic invoice, CSV, or the archive that verifies it for ever (JSON)."""
    held = held_in(archives)
    if form is Format.JSON:
        content = answer(_archive(customer, month, context), missing="")
    else:
        closed = _bill(answer(_pages(customer, month, held, context), missing=""), customer, month)
        content = _document(closed, form, language, _provider(provider), invoice)
    output.write_bytes(content)
    typer.echo(f"{output} written, {len(content)} bytes")


@statement_app.command(name="verify")
def verify_command(
    customer: Customer,
    archives: Archives = None,
    hashes: Annotated[
        list[str] | None,
        typer.Option("--hash", help="A hash that a document carries which was handed out; may be repeated."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at the archives only.")] = False,
    context: Context = None,
) -> None:
    """Find what was edited, deleted, inserted or reordered since the months were closed; silent where nothing was."""
    held = held_in(archives)
    live, settled = (Ledger(), None) if offline else answer(_ledger(customer, context), missing="")
    found = verify(live, _of(customer, held), settled=settled, hashes=hashes or ())
    for problem in found:
        typer.echo(f"{problem.fault}: {problem.where}: {problem.text}")
    if found:
        raise typer.Exit(1)


async def _close(customer: str, month: str, held: Ledger, context: str | None) -> closing.Closed:
    async with api_server(context, writes=True) as kube:
        return await closing.close(kube, customer, month, utc_now(), held.pages)


async def _pages(customer: str, month: str, held: Ledger, context: str | None) -> tuple[Statement, ...]:
    async with api_server(context) as kube:
        live = await closing.read_pages(kube, customer)
    pages = {page.metadata.name: page for page in (*held.pages, *live)}
    return tuple(p for p in pages.values() if p.spec.customer_ref.name == customer and p.spec.month == month)


def _of(customer: str, held: Ledger) -> Ledger:
    """Return archives as they are about one customer."""
    own = tuple(page for page in held.pages if page.spec.customer_ref.name == customer)
    others = tuple(page for page in held.pages if page.spec.customer_ref.name != customer)
    return replace(held, pages=own, others=others)


async def _ledger(customer: str, context: str | None) -> tuple[Ledger, CustomerStatus | None]:
    async with api_server(context) as kube:
        return await closing.read_ledger(kube, customer)


async def _archive(customer: str, month: str, context: str | None) -> bytes:
    async with api_server(context) as kube:
        pages = tuple(page for page in await closing.read_pages(kube, customer) if page.spec.month == month)
        closed = _bill(pages, customer, month)
        bodies = [
            await kube.get(Statement.KIND.kind, page.metadata.namespace, page.metadata.name) for page in pages
        ]
        records = await closing.read_month(kube, pages)
        missing = closed.covered - len(records)
        if missing:
            fail(
                f"{missing} of the {closed.covered} records of {closed.name} are not there, so no archive is written."
            )
        return archive(bodies, records, await _explains(kube, customer, pages, _priced_by(pages, records)))


def _priced_by(pages: tuple[Statement, ...], records: list[closing.Object]) -> set[str]:
    """Return the price lists that a month rests on: the customer's, and those that its work was priced by."""
    work = (WorkEntry.of(record) for record in records if record["kind"] == WorkEntry.KIND.kind)
    charges = (entry.charge for entry in work)
    return {page.spec.price_list_ref.name for page in pages} | {
        charge.price_list_ref.name for charge in charges if charge is not None
    }


async def _explains(
    kube: HttpKube, customer: str, pages: tuple[Statement, ...], named: Iterable[str]
) -> list[closing.Object]:
    """Return the customer, its people and its price lists: what a reader of the archive may ask for."""
    found = [
        {"apiVersion": API_VERSION, "kind": kind, **body}
        for kind, name in (("Customer", customer), *(("PriceList", name) for name in sorted(named)))
        for body in await kube.list(kind, "", field=f"metadata.name={name}")
    ]
    for namespace in sorted({record.namespace for page in pages for record in page.spec.records}):
        found += [
            {"apiVersion": API_VERSION, "kind": "CustomerContacts", **body}
            for body in await kube.list("CustomerContacts", namespace)
        ]
    return found


def _bill(pages: tuple[Statement, ...], customer: str, month: str) -> Bill:
    try:
        return bill(pages)
    except NotClosedError as error:
        fail(f"There is no statement of {customer} for {month}: {error}.")


def _provider(path: Path | None) -> Provider | None:
    if path is None:
        return None
    try:
        return read_provider(path.read_text())
    except NotALetterheadError as error:
        fail(f"{path}: {error}.")


def _document(
    closed: Bill, form: Format, language: Language, provider: Provider | None, invoice: str
) -> bytes:
    if form is Format.CSV:
        return focus_csv(closed).encode()
    try:
        return _printer(form)(closed, language, provider, invoice)
    except ImportError as error:
        fail(f"{error.name} is not installed: install managedvm[{form.value}].")


def _printer(form: Format) -> Callable[[Bill, Language, Provider | None, str], bytes]:
    """Return who draws; raises ImportError where the libraries for it are not installed, which an operator needs not."""
    from managedvm.statements.pdf import pdf  # noqa: PLC0415 - an extra, and large

    if form is Format.PDF:
        return lambda closed, language, provider, invoice: pdf(closed, language, provider, invoice=invoice)
    from managedvm.statements.einvoice import NotAnInvoiceError, einvoice  # noqa: PLC0415 - an extra, and large

    def electronic(closed: Bill, language: Language, provider: Provider | None, invoice: str) -> bytes:
        if provider is None or not invoice:
            fail("An electronic invoice needs --provider and --invoice.")
        try:
            return einvoice(closed, language, provider, invoice)
        except NotAnInvoiceError as error:
            fail(f"{closed.name} is no invoice: {error}.")

    return electronic
