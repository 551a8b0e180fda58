"""The archive of a month: what verifies it when its records are no longer in the cluster."""

import json
from dataclasses import replace

import pytest

from managedvm.planning.bill import NotClosedError, bill
from managedvm.planning.verification import verify
from managedvm.statements.archive import NotAnArchiveError, archive, merged, read_archive
from tests.bookkeeping import ledger


def body(record):
    return {
        "kind": record.KIND.kind,
        "apiVersion": "managedvm.dev/v1alpha1",
        **json.loads(record.model_dump_json(by_alias=True, exclude_none=True)),
    }


def archived(known):
    records = [body(record) for record in ledger(known).records.values()]
    pages = [body(page) for page in known.pages]
    pages[0]["metadata"]["managedFields"] = [{"manager": "x"}]
    return archive(pages, records, [body(known.customer)])


def test_a_month_is_verified_with_nothing_but_its_archive(known):
    held = merged([read_archive(archived(known))])

    assert verify(ledger(replace(known, work=(), requests={}, pages=())), held) == ()
    assert {key.name for key in held.records} >= {"work-1", "chg-1"}


def test_an_archive_leaves_out_who_wrote_which_field(known):
    assert b"managedFields" not in archived(known)


@pytest.mark.parametrize("text", [b"", b"{}", b'{"format":"managedvm.dev/archive/v1"}', b'["x"]'])
def test_what_is_no_archive_is_refused(text):
    with pytest.raises(NotAnArchiveError):
        read_archive(text)


def test_an_archive_with_an_object_that_cannot_be_read_is_refused(known):
    content = json.loads(archived(known))
    content["records"][0]["spec"] = {}

    with pytest.raises(NotAnArchiveError, match="cannot be read"):
        read_archive(json.dumps(content).encode())


def test_pages_that_are_not_all_there_are_no_bill(known):
    page = known.pages[0]
    part = page.model_copy(update={"spec": page.spec.model_copy(update={"pages": None, "totals": None})})

    for pages in ((), (part,)):
        with pytest.raises(NotClosedError):
            bill(pages)
