"""The CRDs, generated from the models: `managedvm crds --write` writes them, `--check` fails where they differ.

OpenAPI of pydantic is turned into the structural schema of apiextensions/v1: references inlined, titles dropped,
`anyOf: [X, null]` reduced to an optional X, and anything that a structural schema cannot say is an error here.
"""

from pathlib import Path
from typing import Any

import yaml

from managedvm.api.base import GROUP, VERSION, ApiModel, Column, Resource
from managedvm.api.kinds import KINDS

HEADER = "# Generated from operator/managedvm/api by `managedvm crds --write`. Do not edit.\n"

_DROPPED = frozenset({"title", "$defs", "discriminator", "examples", "readOnly", "$ref", "anyOf", "allOf"})


class UnrepresentableError(TypeError):
    """A model says something that a structural schema cannot."""


def structural(node: dict[str, Any], defs: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return the structural schema of one node of pydantic's JSON schema; raises UnrepresentableError."""
    node = _merged(node, defs, path)
    out = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in out:
        out["enum"] = [out.pop("const")]
    default = _without_empty(out.pop("default", None))
    if default not in (None, [], {}):
        out["default"] = default
    if "properties" in out:
        out["properties"] = {
            name: structural(child, defs, f"{path}.{name}") for name, child in out["properties"].items()
        }
        out.pop("additionalProperties", None)
    elif isinstance(out.get("additionalProperties"), dict):
        out["additionalProperties"] = structural(out["additionalProperties"], defs, f"{path}.*")
    if isinstance(out.get("items"), dict):
        out["items"] = structural(out["items"], defs, f"{path}[]")
    return out


def _without_empty(value: Any) -> Any:
    """Return a default without its absent parts: the API server knows no null, and an empty list says nothing."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], {})}
    return value


def _merged(node: dict[str, Any], defs: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the node with its reference and its optionality resolved; what the field says wins over its type."""
    if "anyOf" in node:
        some = [option for option in node["anyOf"] if option != {"type": "null"}]
        if len(some) != 1:
            raise UnrepresentableError(f"{path}: a union is not expressible in a structural schema")
        return _merged({**some[0], **{k: v for k, v in node.items() if k != "anyOf"}}, defs, path)
    if "$ref" in node:
        target = defs[node["$ref"].rsplit("/", 1)[1]]
        own = {k: v for k, v in node.items() if k != "$ref"}
        rules = target.get("x-kubernetes-validations", []) + own.get("x-kubernetes-validations", [])
        merged = {**target, **own}
        if rules:
            merged["x-kubernetes-validations"] = rules
        return _merged(merged, defs, path)
    return node


def schema_of(model: type[ApiModel]) -> dict[str, Any]:
    """Return the structural schema of a part of an object."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return structural(raw, raw.get("$defs", {}), model.__name__)


def _root_schema(resource: type[Resource]) -> dict[str, Any]:
    kind = resource.KIND
    fields = {"spec": resource.model_fields["spec"], "status": resource.model_fields.get("status")}
    properties: dict[str, Any] = {}
    for name, info in fields.items():
        if info is None:
            continue
        model = info.annotation
        if not (isinstance(model, type) and issubclass(model, ApiModel)):
            raise UnrepresentableError(f"{kind.kind}.{name} is not a model")
        properties[name] = {**schema_of(model), "description": info.description}
        if name == "status":
            # An object is born not ready: absent conditions would count as healthy (kstatus).
            properties[name]["default"] = _without_empty(model().to_json())
    schema: dict[str, Any] = {
        "type": "object",
        "description": (resource.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **properties,
        },
    }
    if kind.rules:
        schema["x-kubernetes-validations"] = [
            {"rule": rule.rule, "message": rule.message} for rule in kind.rules
        ]
    return schema


def _column(column: Column) -> dict[str, Any]:
    out: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        out["description"] = column.description
    if column.wide:
        out["priority"] = 1
    return out


def crd_of(resource: type[Resource]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind as plain data."""
    kind = resource.KIND
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root_schema(resource)},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if "status" in resource.model_fields:
        version["subresources"] = {"status": {}}
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "managedvm", "app.kubernetes.io/component": "crd"},
        },
        "spec": {
            "group": GROUP,
            "scope": kind.scope,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": list(kind.categories),
            },
            "versions": [version],
        },
    }


def rendered() -> dict[str, str]:
    """Return the text of each CRD file by its file name, and of the kustomization that lists them."""
    files = {
        f"{resource.KIND.plural}.yaml": HEADER + yaml.safe_dump(crd_of(resource), sort_keys=False, width=110)
        for resource in KINDS
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(files),
    }
    files["kustomization.yaml"] = HEADER + yaml.safe_dump(kustomization, sort_keys=False)
    return files


def stale(directory: Path) -> list[str]:
    """Return the names of the files in `directory` that differ from what the models say, or should not be there."""
    wanted = rendered()
    present = {path.name: path.read_text() for path in directory.glob("*.yaml")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def write(directory: Path) -> list[str]:
    """Write the CRDs into `directory`, remove what no model says, and return the names that changed."""
    changed = stale(directory)
    wanted = rendered()
    for name in changed:
        if name in wanted:
            (directory / name).write_text(wanted[name])
        else:
            (directory / name).unlink()
    return changed
