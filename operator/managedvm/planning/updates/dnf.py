"""The family of RHEL: what rpm has and what dnf 4 would bring, by repository and advisory."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping

from managedvm.planning.updates.inventory import Package, Source, UpdateInventory, scope_of
from managedvm.planning.updates.report import ReportError, Section, needed, said, system_of

ORIGINS = frozenset(
    {
        "baseos",
        "appstream",
        "extras",
        "crb",
        "rhel-*-baseos-rpms",
        "rhel-*-appstream-rpms",
        "rhui-rhel-*-baseos-*",
        "rhui-rhel-*-appstream-*",
    }
)
"""The repositories of the operating system and what comes with it, by their ids or patterns of them."""

_ADVISORY = re.compile(r"\S+ +\S*Sec\. +(\S+)")
_NEVRA = re.compile(r"(?P<name>.+)-(?:\d+:)?[^-:]+-[^-]+\.(?P<arch>[^.]+)")
_LOCK = re.compile(r"(?P<name>[^!].*)-(?:\d+:)?[^-:]+-[^-]+")
_REBOOT = "Reboot is required"


def read(report: Mapping[str, Section], allowed: Collection[str] = ORIGINS) -> UpdateInventory:
    """Return the inventory of a guest with dnf.

    Args:
        report: What the script found.
        allowed: The repositories that packages are updated from, by id or pattern.

    Raises:
        ReportError: something is missing, or not understood.
    """
    repositories: dict[str, list[str]] = defaultdict(list)
    for name, arch, repository in _rows(needed(report, "available"), 3):
        repositories[f"{name}.{arch}"].append(repository)
    upgrades = {
        f"{name}.{arch}": (evr, repository)
        for name, arch, evr, repository in _rows(needed(report, "upgrades"), 4)
    }
    repaired, locked = _repaired(needed(report, "advisories")), _locked(said(report, "locks"))
    packages = []
    for name, arch, installed in _rows(needed(report, "installed"), 3):
        key = f"{name}.{arch}"
        candidate, repository = upgrades.get(key, (installed, ""))
        known = [Source(one) for one in dict.fromkeys(repositories[key])]
        is_security = key in repaired
        brought = (Source(repository, is_security=is_security),) if repository else ()
        packages.append(
            Package(
                name=name,
                installed=_shown(installed),
                candidate=_shown(candidate),
                sources=brought or tuple(known),
                is_security=is_security and bool(brought),
                is_held=name in locked,
                scope=scope_of([*known, *brought], brought, allowed),
            )
        )
    checked = report.get("check")
    return UpdateInventory(
        system=" ".join(system_of(report)).strip(),
        packages=tuple(packages),
        broken=checked.lines if checked is not None and checked.exit_code != 0 else (),
        conflicts=said(report, "conflicts"),
        needs_reboot=any(_REBOOT in line for line in said(report, "restarts")),
        is_current="refresh" in report and report["refresh"].exit_code == 0,
    )


def _rows(section: Section, fields: int) -> list[list[str]]:
    """Return the lines of a query as their fields.

    Raises:
        ReportError: a line has another number of them.
    """
    rows = [line.split("\t") for line in section.lines]
    for row in rows:
        if len(row) != fields or not all(row):
            raise ReportError(f"dnf says what is not understood: {row!r:.80}")
    return rows


def _repaired(section: Section) -> frozenset[str]:
    """Return the packages, as `name.arch`, for which there is a newer version that repairs a security fault."""
    found = set()
    for line in section.lines:
        advisory = _ADVISORY.fullmatch(line.strip())
        nevra = _NEVRA.fullmatch(advisory[1]) if advisory else None
        if nevra is None:
            raise ReportError(f"dnf says of an advisory what is not understood: {line[:80]!r}")
        found.add(f"{nevra['name']}.{nevra['arch']}")
    return frozenset(found)


def _locked(lines: tuple[str, ...]) -> frozenset[str]:
    """Return the packages that `versionlock` keeps at a version; what it excludes (`!`) is not among them."""
    locks = (_LOCK.fullmatch(line.strip()) for line in lines)
    return frozenset(lock["name"] for lock in locks if lock is not None)


def _shown(evr: str) -> str:
    """Return a version as rpm writes it: without an epoch of 0."""
    return evr.removeprefix("0:")
