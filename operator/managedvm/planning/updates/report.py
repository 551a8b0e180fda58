"""The report of a guest: sections of what its programs said, each with its length, so that no content looks like a section."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = re.compile(rb"section ([a-z-]+) (\d+) (\d+)\n")


@dataclass(frozen=True, slots=True)
class Section:
    """What one program said, and how it ended."""

    exit_code: int
    text: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines that are not empty."""
        return tuple(line for line in self.text.splitlines() if line.strip())


class ReportError(ValueError):
    """A report is not as our script writes it, or a program says something that is not understood."""


def sections(content: bytes) -> Mapping[str, Section]:
    """Return the sections of a report by name.

    Raises:
        ReportError: it is cut off, or not ours.
    """
    found: dict[str, Section] = {}
    at = 0
    while at < len(content):
        head = _HEAD.match(content, at)
        if head is None:
            raise ReportError(f"the report has no section at byte {at}")
        begin, length = head.end(), int(head[3])
        end = begin + length
        if content[end : end + 1] != b"\n":
            raise ReportError(f"section {head[1].decode()} of the report is cut off")
        found[head[1].decode()] = Section(int(head[2]), content[begin:end].decode("utf-8", "replace"))
        at = end + 1
    return found


def needed(report: Mapping[str, Section], name: str) -> Section:
    """Return a section without which nothing can be said.

    Raises:
        ReportError: it is missing, or its program failed.
    """
    section = report.get(name)
    if section is None or section.exit_code != 0:
        raise ReportError(f"{name} could not be read in the guest")
    return section


def said(report: Mapping[str, Section], name: str) -> tuple[str, ...]:
    """Return the lines of a section, none where it is missing."""
    return report[name].lines if name in report else ()


def system_of(report: Mapping[str, Section]) -> tuple[str, str]:
    """Return id and version of the operating system, as ("debian", "12"), from os-release.

    Raises:
        ReportError: it says neither.
    """
    pairs = (line.partition("=") for line in needed(report, "os-release").lines)
    values = {key: value.strip("\"'") for key, _, value in pairs}
    if not values.get("ID"):
        raise ReportError("os-release names no system")
    return values["ID"], values.get("VERSION_ID", "")
