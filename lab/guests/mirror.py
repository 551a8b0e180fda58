"""Where packages come from: what this machine's own apt is configured with, read at run time and written nowhere."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass

from lab.errors import LabError
from lab.guests import host

_FIELDS = ("SITE", "RELEASE", "COMPONENT", "ORIGIN", "ARCHITECTURE")
_PROXIES = ("Acquire::http::Proxy", "Acquire::https::Proxy")


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite of the distribution with its components, as one line of sources.list has it."""

    site: str
    release: str
    components: tuple[str, ...]

    def line(self) -> str:
        """Return the line of sources.list."""
        return f"deb {self.site} {self.release} {' '.join(self.components)}"


@dataclass(frozen=True, slots=True)
class Mirror:
    """The distribution that this machine runs, as its apt reaches it."""

    codename: str
    architecture: str
    suites: tuple[Suite, ...]
    proxies: tuple[tuple[str, str], ...]

    @property
    def base(self) -> Suite:
        """The release itself, without updates."""
        return next(suite for suite in self.suites if suite.release == self.codename)

    def sources(self) -> str:
        """Return a sources.list for the guest."""
        return "".join(f"{suite.line()}\n" for suite in self.suites)

    def apt_configuration(self) -> str:
        """Return the guest's apt configuration; empty where this machine uses no proxy."""
        return "".join(f'{name} "{value}";\n' for name, value in self.proxies)

    def environment(self) -> dict[str, str]:
        """Return the variables by which debootstrap's downloader finds the same proxies."""
        return {f"{name.split('::')[1]}_proxy": value for name, value in self.proxies}


def read() -> Mirror:
    """Return the distribution as this machine's apt has it.

    Raises:
        LabError: apt knows no mirror of the release that this machine runs.
    """
    release = platform.freedesktop_os_release()
    codename, name = release.get("VERSION_CODENAME", ""), release.get("ID", "")
    listing = _index_targets()
    if not listing.strip():
        host.apt("update")
        listing = _index_targets()
    architecture = _said("dpkg", "--print-architecture").strip()
    suites = suites_of(listing, codename, name, architecture)
    if not any(suite.release == codename for suite in suites):
        raise LabError(f"apt on this machine has no mirror of {name} {codename or 'of an unnamed release'}")
    dump = _said("apt-config", "dump", *_PROXIES)
    return Mirror(codename, architecture, suites, proxies_of(dump))


def suites_of(listing: str, codename: str, distribution: str, architecture: str) -> tuple[Suite, ...]:
    """Return the suites of one release of one distribution; third parties are left out by their origin."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in listing.splitlines():
        site, release, component, origin, of_architecture = line.split("|")
        if origin.casefold() != distribution.casefold() or of_architecture != architecture:
            continue
        if release == codename or release.startswith(f"{codename}-"):
            found.setdefault((site, release), []).append(component)
    return tuple(Suite(site, release, tuple(parts)) for (site, release), parts in found.items())


def proxies_of(dump: str) -> tuple[tuple[str, str], ...]:
    """Return the proxies in the output of `apt-config dump`, as (option, URL); DIRECT is none."""
    pairs = [line.rstrip(";").split(" ", 1) for line in dump.splitlines() if " " in line]
    values = {name: value.strip('"') for name, value in pairs}
    return tuple(
        (name, values[name]) for name in _PROXIES if values.get(name, "") not in ("", "DIRECT", "false")
    )


def _index_targets() -> str:
    layout = "|".join(f"$({field})" for field in _FIELDS)
    return host.apt("indextargets", "--format", layout, "Created-By: Packages")


def _said(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{argv[0]} failed: {done.stderr.strip()}")
    return done.stdout
