"""What there is to update in one guest, as frozen values: what is pending, what is ours to update, and what is in the way.

Only packages from allowed origins are (clause 5.1: the operating system and the standard applications that came with it).
All other software is the customer's: it is listed with a reason, and never touched.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Source:
    """Where a version of a package can be had: the origin that its repository states, the suite, and its security mark."""

    origin: str
    suite: str = ""
    is_security: bool = False


@dataclass(frozen=True, slots=True)
class Covered:
    """The package is ours to update."""


@dataclass(frozen=True, slots=True)
class NotCovered:
    """The package is the customer's, for this reason."""

    reason: str


Scope = Covered | NotCovered


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package. `candidate` is the version that an update would bring, the installed one where there is none.

    `sources` are those of the candidate; `is_security` says that it or a version between repairs a security fault;
    `phased` is the share of machines, in percent, that its distributor lets have it so far.
    """

    name: str
    installed: str
    candidate: str
    sources: tuple[Source, ...] = ()
    is_security: bool = False
    is_held: bool = False
    phased: int | None = None
    scope: Scope = field(default_factory=Covered)

    @property
    def is_pending(self) -> bool:
        """Whether there is another version than the installed one."""
        return self.candidate != self.installed


@dataclass(frozen=True, slots=True)
class UpdateInventory:
    """What was found in one guest.

    `broken` are packages that are not whole, with their state; nothing is updated before they are repaired. `conflicts`
    are services of the guest that install updates by themselves. `is_current` is false where the lists of packages
    could not be fetched, so that there may be more than is told.
    """

    system: str
    packages: tuple[Package, ...]
    broken: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    needs_reboot: bool = False
    is_current: bool = True

    @property
    def pending(self) -> tuple[Package, ...]:
        """What an update would bring: covered, newer, and not held."""
        return tuple(
            p for p in self.packages if p.is_pending and not p.is_held and isinstance(p.scope, Covered)
        )

    @property
    def held(self) -> tuple[Package, ...]:
        """What somebody keeps at its version."""
        return tuple(p for p in self.packages if p.is_held)

    @property
    def not_covered(self) -> tuple[Package, ...]:
        """The customer's own software."""
        return tuple(p for p in self.packages if isinstance(p.scope, NotCovered))


def scope_of(known: Collection[Source], candidate: Collection[Source], allowed: Collection[str]) -> Scope:
    """Return whose a package is.

    Args:
        known: The sources of all its versions.
        candidate: The sources of the version that an update would bring.
        allowed: The origins that packages are updated from, or patterns of them, as `rhel-*-baseos-rpms`.
    """
    if not known:
        return NotCovered("it is in no repository: somebody installed it by hand")
    strange = sorted({source.origin or "an origin without a name" for source in candidate or known})
    if any(fnmatchcase(source.origin, one) for source in candidate or known for one in allowed):
        return Covered()
    return NotCovered(f"it comes from {', '.join(strange)}")
