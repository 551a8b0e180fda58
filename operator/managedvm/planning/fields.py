"""What each field of a ManagedVM's spec is in terms of the contract: one table, complete by test.

A wish to change a Configuration field is billed after the initial configuration (clause 6.3) and needs a new
`spec.change`; an Order field is the provider's; an Operation field is free, and says why.
"""

from dataclasses import dataclass
from enum import Enum


class FieldClass(Enum):
    """What a change of the field means."""

    IDENTITY = "never changes (clause 1)"
    ORDER = "is written by the provider, with the verb update on managedvms/order (clauses 1 and 5.1)"
    CONFIGURATION = "each change is billed by effort and needs a new spec.change (clause 6.3)"
    OPERATION = "is free"


@dataclass(frozen=True, slots=True)
class Field:
    """One field, or all below it: its class, and for an Operation field why it is free."""

    path: str
    is_a: FieldClass
    because: str = ""


FIELDS: tuple[Field, ...] = (
    Field("customerRef", FieldClass.IDENTITY),
    Field("vm", FieldClass.IDENTITY),
    Field("orders", FieldClass.ORDER),
    Field("maintenance", FieldClass.ORDER),
    Field("resources", FieldClass.CONFIGURATION),
    Field("mode", FieldClass.OPERATION, "it says how far the operator goes, and changes nothing of the VM"),
    Field("suspend", FieldClass.OPERATION, "it stops the operator, and changes nothing of the VM"),
    Field(
        "restartPolicy",
        FieldClass.OPERATION,
        "it permits or forbids an interruption, and changes nothing by itself",
    ),
    Field("guest", FieldClass.OPERATION, "it says how the guest is reached, and changes nothing in it"),
    Field("change", FieldClass.OPERATION, "it is the order slip itself"),
    Field("deletionProtection", FieldClass.OPERATION, "it protects this object, not the VM"),
)
"""All fields of `ManagedVMSpec` by the path of their topmost part; what is below has the class of what is above."""


def class_of(path: str) -> FieldClass | None:
    """Return the class of a field such as `resources.disks.size`, or None when nobody has classed it."""
    return next((f.is_a for f in FIELDS if path == f.path or path.startswith(f"{f.path}.")), None)
