"""Argo CD's view of our objects: the script as Argo CD runs it (Lua 5.1, its few libraries), case by case."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

CONTRIB = Path(__file__).parents[2] / "contrib" / "argocd"
SCRIPT = (CONTRIB / "health.lua").read_text()
CASES = yaml.safe_load((CONTRIB / "health_test.yaml").read_text())["tests"]
STATUSES = {"Healthy", "Progressing", "Degraded", "Suspended"}
# Argo CD opens no other library unless `useOpenLibs` is set.
OPEN = {
    "_G",
    "_VERSION",
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
}
OPEN |= {"rawset", "select", "setmetatable", "table", "tonumber", "tostring", "type", "unpack", "xpcall"}


def health(body: dict[str, Any]) -> dict[str, str]:
    """Return what the script says about an object."""
    runtime = LuaRuntime(unpack_returned_tuples=True)
    for name in set(runtime.globals()) - OPEN:
        runtime.globals()[name] = None
    runtime.globals().obj = runtime.table_from(body, recursive=True)
    said = runtime.execute(SCRIPT)
    return {"status": said.status, "message": said.message}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_health_is(case):
    assert health(case["object"]) == case["healthStatus"]


def test_the_cases_show_every_status_that_argo_cd_knows():
    assert {case["healthStatus"]["status"] for case in CASES} == STATUSES


@pytest.mark.parametrize("generation", [1, 2, 3])
@pytest.mark.parametrize("observed", [-1, 1, 2])
@pytest.mark.parametrize("ready", ["True", "False", "Unknown"])
def test_nothing_is_concluded_from_a_status_about_an_older_spec(generation, observed, ready):
    condition = {"type": "Ready", "status": ready, "reason": "R", "message": "m"}
    body = {"metadata": {"generation": generation}, "spec": {}}
    body["status"] = {"observedGeneration": observed, "conditions": [condition]}
    fresh = {"True": "Healthy", "False": "Degraded", "Unknown": "Progressing"}[ready]
    assert health(body)["status"] == (fresh if observed >= generation else "Progressing")


def test_the_values_hold_the_script_under_one_key_for_the_whole_group():
    values = yaml.safe_load((CONTRIB / "values.yaml").read_text())
    customizations = yaml.safe_load(values["configs"]["cm"]["resource.customizations"])
    assert customizations == {"managedvm.dev/*": {"health.lua": SCRIPT}}


def test_the_page_quotes_the_refusal_of_prune_as_it_is():
    quoted = next(
        line for line in (CONTRIB / "README.md").read_text().splitlines() if line.startswith("    spec.")
    )
    policies = yaml.safe_load_all((CONTRIB.parents[1] / "manifests/base/policies/managedvm.yaml").read_text())
    protection = next(
        body for body in policies if body["metadata"]["name"] == "managedvm-deletion-protection"
    )
    message = protection["spec"]["validations"][0]["message"]
    assert quoted.strip().removesuffix(" [...]") in message
