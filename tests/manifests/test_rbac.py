"""The roles: each right has its reason, and each role is a column of the documentation."""

import re

import pytest

from lab.paths import ROOT
from tests.manifests.files import RBAC, bodies

FILES = [path for path in RBAC.glob("*.yaml") if path.name != "kustomization.yaml"]
RULE = re.compile(r"^ *- apiGroups:")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_right_has_its_reason(path):
    lines = path.read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if RULE.match(line)]

    assert len(rules) == sum(len(body.get("rules", [])) for body in bodies(path))
    assert [lines[number] for number in rules if not re.match(r"^# .+[.!]$", lines[number - 1])] == []


def test_every_role_is_a_column_of_each_table_of_the_documentation():
    roles = [body["metadata"]["labels"]["managedvm.dev/role"] for body in bodies(RBAC / "people.yaml")]
    headers = [
        {cell.strip() for cell in line.strip("|").split("|")} - {""}
        for line in (ROOT / "docs" / "authority.md").read_text().splitlines()
        if line.startswith("| |") and line.strip("| ")
    ]

    assert headers
    # The others are our ServiceAccount and two that a cluster has without us.
    assert [header for header in headers if header != {*roles, "operator", "pipeline", "cluster-admin"}] == []


def test_only_the_archiver_may_prune():
    may = {
        body["metadata"]["name"]
        for path in FILES
        for body in bodies(path)
        for rule in body.get("rules", [])
        if {"prune", "*"} & set(rule["verbs"])
    }

    assert may == {"managedvm-archiver"}


def test_no_rule_for_people_reaches_another_group():
    groups = {
        group
        for body in bodies(RBAC / "people.yaml")
        for rule in body["rules"]
        for group in rule["apiGroups"]
    }

    assert groups == {"managedvm.dev"}
