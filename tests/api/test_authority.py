"""The authority matrix, tried cell by cell against a real API server, and its page compared with it."""

from pathlib import Path

import pytest

from tests.api.authority_attempts import ACTS, LABEL, Attempt, verdict
from tests.api.authority_matrix import Verdict, render, table
from tests.api.bodies import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "authority.md"
CELLS = table()
NAMESPACED = {"ManagedVM", "ChangeRequest", "RequestDecision", "WorkEntry", "Statement", "CustomerContacts"}


def test_the_page_says_what_the_table_says():
    assert PAGE.read_text() == render(), "python -m tests.api.authority_matrix > docs/authority.md"


def test_every_act_of_the_table_can_be_tried():
    assert {act for _, act, _ in CELLS} == set(ACTS)


@pytest.fixture
def attempt(tenant, name, kind, identity):
    """Give the attempt of a cell, and clear what it leaves: a list of people has one name, it must be free again."""
    yield Attempt(tenant, identity, name)
    where = {"namespace": tenant.namespace} if kind in NAMESPACED else {}
    of_kind = {"kind": kind if kind in KINDS else "Namespace", "metadata": where}
    for body in tenant.admin.list(of_kind, labelSelector=f"{LABEL}={name}"):
        _remove(tenant.admin, {**body, "kind": of_kind["kind"]})


def _remove(admin, body):
    if body["kind"] == "ManagedVM":
        admin.patch(body, {"spec": {"deletionProtection": False}})
    if body["kind"] not in {"ChangeRequest", "RequestDecision", "WorkEntry", "Statement", "Namespace"}:
        admin.patch(body, {"metadata": {"finalizers": []}})
    admin.delete(body)


@pytest.mark.lab
@pytest.mark.parametrize(("kind", "act", "identity"), CELLS, ids=lambda part: part.replace(" ", "-"))
def test_each_cell_is_as_the_table_says(attempt, kind, act, identity):
    expected = {CELLS[kind, act, identity]}
    if expected == {Verdict.ABSENT} and identity not in {"pipeline", "cluster-admin"}:
        # RBAC speaks first; that there is no such part is seen by who has every right.
        expected = {Verdict.NO_RIGHT}
    answer = ACTS[act](attempt, kind)
    assert {verdict(answer)} == expected, (answer.code, answer.message)
