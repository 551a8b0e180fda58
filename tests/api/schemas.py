"""Walking the schemas of our kinds."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from managedvm.api.crds import crd_of
from managedvm.api.kinds import KINDS

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One node of a schema below spec or status, with its path such as `ManagedVM.spec.orders[].from`."""

    path: str
    schema: Object

    @property
    def is_named(self) -> bool:
        """Whether it is a property; items of lists and values of maps are described by their container."""
        return not self.path.endswith(("[]", ".*"))


def fields() -> list[Field]:
    """Return every field of every kind."""
    found = []
    for kind in KINDS:
        root = root_schema(crd_of(kind))
        for part in ("spec", "status"):
            if part in root["properties"]:
                found += _walk(f"{kind.KIND.kind}.{part}", root["properties"][part])
    return found


def root_schema(crd: Object) -> Object:
    """Return the schema of a CRD's one version."""
    (version,) = crd["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]


def at(schema: Object, path: str) -> Object:
    """Return the node of a root schema at a JSON path such as `.spec.vm.vCenterRef.name`."""
    for step in path.strip(".").split("."):
        schema = schema["properties"][step]
    return schema


def _walk(path: str, schema: Object) -> Iterator[Field]:
    yield Field(path, schema)
    for name, child in schema.get("properties", {}).items():
        yield from _walk(f"{path}.{name}", child)
    if "items" in schema:
        yield from _walk(f"{path}[]", schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _walk(f"{path}.*", schema["additionalProperties"])
