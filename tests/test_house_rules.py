"""The rules of the house that no linter knows: sizes, open ends, and one truth per fact."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from managedvm.api.base import ApiModel
from managedvm.api.managedvm import ManagedVMSpec
from managedvm.api.policies import REQUIRED_POLICIES, binding_of
from managedvm.planning.fields import FIELDS, FieldClass, class_of
from managedvm.planning.reasons import Reason

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for folder in ("operator", "lab", "tests", "bench") for path in (ROOT / folder).rglob("*.py")
) + sorted((ROOT / "lab").rglob("*.go"))
PYTHON = [path for path in SOURCES if path.suffix == ".py"]
OPEN_ENDS = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error")))


def shown(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_a_file_can_be_seen_whole(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", PYTHON, ids=shown)
def test_a_function_can_be_seen_whole(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)]

    too_long = [node.name for node in nodes if node.end_lineno - node.lineno >= 60]

    assert too_long == []


@pytest.mark.parametrize("path", SOURCES, ids=shown)
def test_nothing_is_left_open(path):
    assert OPEN_ENDS.findall(path.read_text()) == []


def test_the_operator_folder_does_not_shadow_the_standard_library():
    assert not (ROOT / "operator" / "__init__.py").exists()


def leaves(model, prefix=""):
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        inner = [m for m in _models(info.annotation) if m is not model]
        if inner:
            for part in inner:
                yield from leaves(part, f"{path}.")
        else:
            yield path


def _models(annotation):
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models(argument)]


def test_every_field_of_a_managed_vm_is_classed():
    assert [path for path in leaves(ManagedVMSpec) if class_of(path) is None] == []


def test_every_classed_field_exists():
    known = set(leaves(ManagedVMSpec))

    assert [f.path for f in FIELDS if not any(p == f.path or p.startswith(f"{f.path}.") for p in known)] == []


def test_every_free_field_says_why_it_is_free():
    assert [f.path for f in FIELDS if (f.is_a is FieldClass.OPERATION) != bool(f.because)] == []


def test_the_policy_asks_for_an_order_slip_just_where_a_field_is_configuration():
    text = (ROOT / "manifests" / "base" / "policies" / "managedvm.yaml").read_text()
    asked = {f.path for f in FIELDS if f.is_a is FieldClass.CONFIGURATION}

    assert asked == {"resources"}
    assert "object.spec.?resources == oldObject.spec.?resources || variables.changeIsNew" in text


def test_the_operator_expects_just_the_policies_and_bindings_that_ship():
    bodies = [
        body
        for path in (ROOT / "manifests" / "base" / "policies").glob("*.yaml")
        for body in yaml.safe_load_all(path.read_text())
        if body["kind"] != "Kustomization"
    ]
    for kind, wanted in REQUIRED_POLICIES.items():
        assert {body["metadata"]["name"] for body in bodies if body["kind"] == kind} == set(wanted)
        bound = {
            body["metadata"]["name"]: body["spec"].get("paramRef")
            for body in bodies
            if body["kind"] == binding_of(kind)
        }
        assert bound == wanted
    known = {each for kind in REQUIRED_POLICIES for each in (kind, binding_of(kind))}
    assert {body["kind"] for body in bodies} == known


def test_every_reason_is_one_word_and_has_a_sentence():
    words = [reason.word for reason in Reason]

    assert len(set(words)) == len(words)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", word) for word in words)
    assert all(reason.meaning.endswith(".") for reason in Reason)


def test_the_table_of_reasons_is_current():
    table = (ROOT / "docs" / "reasons.md").read_text()
    wanted = [
        f"| `{r.word}` | {r.effect.name.title()} | {r.meaning} |"
        for r in sorted(Reason, key=lambda r: r.word)
    ]

    assert [line for line in table.splitlines() if line.startswith("| `")] == wanted


def test_the_readme_links_to_files_that_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "lab").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{shown(page)} links to {target}"
