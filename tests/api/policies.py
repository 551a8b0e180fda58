"""The policies as they stand in the tree."""

from pathlib import Path
from typing import Any

import yaml

from managedvm.api.policies import MUTATING

Object = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "manifests" / "base" / "policies"


def files() -> list[Path]:
    """Return the files that kustomize installs."""
    return [
        FOLDER / name for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    ]


def shipped() -> list[Object]:
    """Return all policies and bindings."""
    return [document for path in files() for document in yaml.safe_load_all(path.read_text())]


def policies(kind: str) -> list[Object]:
    """Return all objects of one kind, policy or binding."""
    return [document for document in shipped() if document["kind"] == kind]


def mutating_bindings() -> list[str]:
    """Return the names of the bindings of mutating policies."""
    return [body["metadata"]["name"] for body in policies(f"{MUTATING}Binding")]
