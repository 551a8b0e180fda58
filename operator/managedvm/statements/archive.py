"""The archive of a closed month: its pages, the records they rest on, and what explains them, as the API server held them.

With it a month is verified and explained after its records were pruned from the cluster.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import ValidationError

from managedvm.api.base import Resource
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.pricelist import PriceList
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.statement import Statement
from managedvm.api.workentry import WorkEntry
from managedvm.planning.ledger import key_of
from managedvm.planning.verification import Ledger

FORMAT = "managedvm.dev/archive/v1"

_RECORDS: dict[str, type[Resource]] = {
    kind.KIND.kind: kind for kind in (ChangeRequest, WorkEntry, RequestDecision)
}

Object = dict[str, Any]


class NotAnArchiveError(ValueError):
    """The file is no archive of ours, or one of its objects cannot be read."""


def archive(pages: Iterable[Object], records: Iterable[Object], explains: Iterable[Object]) -> bytes:
    """Return the archive of a month as JSON; `explains` are the customer, its people and its prices."""
    content = {
        "format": FORMAT,
        "statements": [_bare(body) for body in pages],
        "records": [_bare(body) for body in records],
        "explains": [_bare(body) for body in explains],
    }
    return orjson.dumps(
        content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    )


def read_archive(text: bytes) -> Ledger:
    """Return the pages, records and price lists of an archive.

    Raises:
        NotAnArchiveError: it is no archive, or it holds what cannot be read.
    """
    try:
        content = orjson.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise NotAnArchiveError(f"it is no archive: it does not say format {FORMAT}")
        pages = tuple(Statement.of(body) for body in content["statements"])
        records = [_RECORDS[body["kind"]].of(body) for body in content["records"]]
        prices = [PriceList.of(body) for body in content["explains"] if body["kind"] == PriceList.KIND.kind]
    except (orjson.JSONDecodeError, ValidationError, KeyError, TypeError) as error:
        raise NotAnArchiveError(f"it cannot be read: {error}") from error
    return Ledger(
        pages,
        {key_of(record): record for record in records},
        prices={one.metadata.name: one for one in prices},
    )


def merged(ledgers: Iterable[Ledger]) -> Ledger:
    """Return several archives as one; of a record that is in several, the copy of the last is taken."""
    pages: list[Statement] = []
    records: dict[Any, Resource] = {}
    prices: dict[str, PriceList] = {}
    for one in ledgers:
        pages += one.pages
        records.update(one.records)
        prices.update(one.prices)
    return Ledger(tuple(pages), records, prices=prices)


def _bare(body: Object) -> Object:
    """Return an object without who wrote which field, which says nothing about what it is."""
    meta = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": meta}
