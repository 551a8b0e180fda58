"""How far the inventory can be trusted. Only a healthy one knows what is not there."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Healthy:
    """All that the account may see is held, and changes arrive."""

    vcenter_uuid: str
    product: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Filling:
    """What is held is being compared with the server; something missing may still come."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No changes arrive. What is held is as it was at `since`; `reason` is one word, `message` for a person."""

    reason: str
    message: str
    since: datetime


InventoryHealth = Healthy | Filling | Unreachable
