"""The policies as they stand in the tree."""

from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "manifests" / "base" / "policies"
VALIDATING = "ValidatingAdmissionPolicy"
MUTATING = "MutatingAdmissionPolicy"


def files() -> list[Path]:
    """Return the files that kustomize installs."""
    return [
        FOLDER / name for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    ]


def policies(kind: str) -> list[Object]:
    """Return all objects of one kind, policy or binding."""
    documents = [document for path in files() for document in yaml.safe_load_all(path.read_text())]
    return [document for document in documents if document["kind"] == kind]


def mutating_bindings() -> list[str]:
    """Return the names of the bindings of mutating policies."""
    return [body["metadata"]["name"] for body in policies(f"{MUTATING}Binding")]
