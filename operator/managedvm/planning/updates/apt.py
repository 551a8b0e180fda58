"""Debian and Ubuntu: what dpkg has, what apt would bring, and from where.

`apt-cache policy` is read and not the simulation of an upgrade: it tells of every version where it comes from, so that a
security fault that was repaired two versions ago still counts, and a package that is kept back is not forgotten.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from managedvm.planning.updates.inventory import Package, Source, UpdateInventory, scope_of
from managedvm.planning.updates.report import ReportError, Section, needed, said, system_of

ORIGINS = frozenset({"Debian", "Ubuntu"})
"""The origins of the operating system and what comes with it."""

_NAME = re.compile(r"(\S+):$")
_FIELD = re.compile(r"  (Installed|Candidate): (\S+)$")
_VERSION = re.compile(r" (?:\*\*\*|   ) (\S+) -?\d+(?: \(phased (\d+)%\))?$")
_SOURCE = re.compile(r" {7,8} *-?\d+ (\S.*)$")
_FILE = re.compile(r" *-?\d+ (\S.*)$")
_RELEASE = re.compile(r" {5}release (.*)$")
_STATUS_FILE = "/var/lib/dpkg/status"
_WHOLE, _CONFIGURATION_ONLY = "i", ("n", "c")


@dataclass(frozen=True, slots=True)
class _Version:
    version: str
    phased: int | None
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Policy:
    candidate: str
    versions: tuple[_Version, ...]


def read(report: Mapping[str, Section], allowed: Collection[str] = ORIGINS) -> UpdateInventory:
    """Return the inventory of a guest with apt.

    Args:
        report: What the script found.
        allowed: The origins that packages are updated from, as their Release files name them.

    Raises:
        ReportError: something is missing, or not understood.
    """
    sources = _sources(needed(report, "sources").lines)
    policies = _policies(needed(report, "policy").lines)
    held = frozenset(name.removesuffix(f":{_native(report)}") for name in said(report, "holds"))
    packages, broken = [], []
    for line in needed(report, "installed").lines:
        status, _, rest = line.partition("\t")
        name, _, version = rest.partition("\t")
        name = name.removesuffix(f":{_native(report)}")
        if status[1:2] in _CONFIGURATION_ONLY:
            continue
        if status[1:2] != _WHOLE or status[2:3].strip():
            broken.append(f"{name} is {status.strip()}")
        packages.append(_package(name, version, policies.get(name), sources, held, allowed))
    return UpdateInventory(
        system=" ".join(system_of(report)).strip(),
        packages=tuple(packages),
        broken=(*broken, *_interrupted(report)),
        conflicts=said(report, "conflicts"),
        needs_reboot=bool(said(report, "reboot")),
        is_current="refresh" in report and report["refresh"].exit_code == 0,
    )


def _package(  # noqa: PLR0917 - private, and all of it decides
    name: str,
    installed: str,
    policy: _Policy | None,
    sources: Mapping[str, Source],
    held: Collection[str],
    allowed: Collection[str],
) -> Package:
    if policy is None:
        raise ReportError(f"apt-cache says nothing of {name}, which dpkg has")
    by_version = {v.version: _of(v.files, sources) for v in policy.versions}
    # The table begins with the newest: what stands above the installed version is newer. apt goes back to no older one.
    versions = [v.version for v in policy.versions]
    newer = versions[: versions.index(installed)] if installed in versions else versions
    candidate = policy.candidate if policy.candidate in newer else installed
    is_pending = candidate != installed
    repaired = [source for version in newer for source in by_version[version]]
    known = [source for found in by_version.values() for source in found]
    brought = by_version.get(candidate, ())
    return Package(
        name=name,
        installed=installed,
        candidate=candidate,
        sources=tuple(brought),
        is_security=is_pending and any(source.is_security for source in repaired),
        is_held=name in held,
        phased=next((v.phased for v in policy.versions if v.version == candidate), None),
        scope=scope_of(known, brought, allowed),
    )


def _of(files: tuple[str, ...], sources: Mapping[str, Source]) -> tuple[Source, ...]:
    """Return the sources behind a version's index files; what dpkg itself knows is none."""
    missing = [file for file in files if file != _STATUS_FILE and file not in sources]
    if missing:
        raise ReportError(f"apt-cache names no release for {missing[0]}")
    return tuple(dict.fromkeys(sources[file] for file in files if file != _STATUS_FILE))


def _sources(lines: tuple[str, ...]) -> dict[str, Source]:
    """Return the source that each index file of `apt-cache policy` belongs to."""
    found: dict[str, Source] = {}
    file = ""
    for line in lines:
        if line.startswith("Pinned packages"):
            break
        release, named = _RELEASE.match(line), _FILE.match(line)
        if release is not None and file:
            pairs = (part.partition("=") for part in release[1].split(","))
            fields = {key: value for key, _, value in pairs}
            suite, label = fields.get("n", "") or fields.get("a", ""), fields.get("l", "")
            suites = (fields.get("a", ""), fields.get("n", ""))
            is_security = any(s.endswith("-security") for s in suites) or label == "Debian-Security"
            found[file] = Source(fields.get("o", ""), suite, is_security)
        elif named is not None:
            file = named[1]
            found[file] = Source("")
    return found


def _policies(lines: tuple[str, ...]) -> dict[str, _Policy]:
    """Return what `apt-cache policy` says of each package.

    Raises:
        ReportError: a line is none that apt has ever written.
    """
    found: dict[str, _Policy] = {}
    name, candidate = "", "(none)"
    for line in lines:
        if (begun := _NAME.match(line)) is not None:
            name, candidate = begun[1], "(none)"
            found[name] = _Policy(candidate, ())
        elif (told := _FIELD.match(line)) is not None:
            candidate = told[2] if told[1] == "Candidate" else candidate
            found[name] = _Policy(candidate, found[name].versions)
        elif (version := _VERSION.match(line)) is not None:
            phased = int(version[2]) if version[2] else None
            one = _Version(version[1], phased, ())
            found[name] = _Policy(candidate, (*found[name].versions, one))
        elif (source := _SOURCE.match(line)) is not None and found.get(name) and found[name].versions:
            *before, last = found[name].versions
            longer = _Version(last.version, last.phased, (*last.files, source[1]))
            found[name] = _Policy(candidate, (*before, longer))
        elif line.strip() != "Version table:" and not line.startswith("  Package pin:"):
            raise ReportError(
                f"apt-cache says of {name or 'no package'} what is not understood: {line[:80]!r}"
            )
    return found


def _native(report: Mapping[str, Section]) -> str:
    return needed(report, "architecture").text.strip()


def _interrupted(report: Mapping[str, Section]) -> tuple[str, ...]:
    return ("dpkg was interrupted; `dpkg --configure -a` goes on",) if said(report, "interrupted") else ()
