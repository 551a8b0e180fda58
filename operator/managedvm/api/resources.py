"""The size of a VM: what is agreed of its CPUs, memory and disks, and what it has."""

from typing import Annotated

from pydantic import AfterValidator, Field

from managedvm.api.base import ApiModel, Quantity, list_map

LARGEST_DISK = "62Ti"
MOST_MEMORY = "24Ti"
"""The configuration maximums of vSphere 8; more is a slip of the pen."""


def _at_most(largest: str) -> AfterValidator:
    """Return the check of a `Quantity` that it is no larger; the API server's own is written beside it in CEL."""

    def check(size: str) -> str:
        if _mebibytes(size) > _mebibytes(largest):
            raise ValueError(f"{size} is more than {largest}")
        return size

    return AfterValidator(check)


def _mebibytes(size: str) -> int:
    return int(size[:-2]) << {"Mi": 0, "Gi": 10, "Ti": 20}[size[-2:]]


class Disk(ApiModel):
    """A virtual disk, addressed by its controller and unit."""

    name: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = (
        Field(description="What the disk is for. Example: system.")
    )
    device_node: Annotated[
        str, Field(max_length=12, pattern=r"^(SCSI|SATA|NVME|IDE)\([0-9]:[0-9]{1,2}\)$")
    ] = Field(
        description="Virtual device node as vSphere shows it: controller type, bus and unit. Example: SCSI(0:0)."
    )
    size: Annotated[
        Quantity,
        _at_most(LARGEST_DISK),
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": f"quantity(self).compareTo(quantity('{LARGEST_DISK}')) <= 0",
                        "message": f"size: a virtual disk is at most {LARGEST_DISK}, as vSphere says, and never shrinks again "
                        "(clause 6.3); write for example 40Gi",
                    }
                ]
            }
        ),
    ] = Field(
        description="Size of the virtual disk; it can only grow, and the file system in it is not grown. Example: 40Gi."
    )


class Resources(ApiModel):
    """The size of the VM (clause 6.3: after the initial configuration each change is billed)."""

    cpus: Annotated[int, Field(ge=1, le=768)] | None = Field(
        default=None, description="Number of virtual CPUs."
    )
    memory: (
        Annotated[
            Quantity,
            _at_most(MOST_MEMORY),
            Field(
                json_schema_extra={
                    "x-kubernetes-validations": [
                        {
                            "rule": f"quantity(self).compareTo(quantity('{MOST_MEMORY}')) <= 0",
                            "message": f"memory: a VM has at most {MOST_MEMORY}, as vSphere says (clause 6.3); write for "
                            "example 8Gi",
                        },
                        {
                            "rule": "isQuantity(self) && quantity(self).isInteger() && "
                            "quantity(self).asInteger() % 4194304 == 0",
                            "message": "memory must be a multiple of 4Mi, as vSphere requires (clause 6.3)",
                        },
                    ]
                }
            ),
        ]
        | None
    ) = Field(default=None, description="Memory. Example: 8Gi.")
    disks: Annotated[
        tuple[Disk, ...],
        Field(
            max_length=16,
            json_schema_extra={
                **list_map("name"),
                "x-kubernetes-validations": [
                    {
                        "rule": "self.all(a, self.exists_one(b, a.deviceNode == b.deviceNode))",
                        "message": "two disks cannot have the same deviceNode (clause 6.3: a disk is addressed by "
                        "controller and unit)",
                    }
                ],
            },
        ),
    ] = Field(default=(), description="Disks whose size is agreed; other disks of the VM are left alone.")


class ResourceValues(ApiModel):
    """A size of the VM as it is or was."""

    cpus: Annotated[int, Field(ge=0, le=4096)] = Field(description="Number of virtual CPUs.")
    memory: Annotated[str, Field(max_length=16)] = Field(description="Memory.")
    disks: Annotated[dict[str, Annotated[str, Field(max_length=16)]], Field(max_length=64)] = Field(
        default={}, description="Size of each disk by its device node."
    )
