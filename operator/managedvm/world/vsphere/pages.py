"""A page of the update stream, read from XML by the C parser. Knows the shape of updates and no meaning."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

_VIM = "{urn:vim25}"
_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


class Kind(StrEnum):
    """What happened to an object within a filter."""

    ENTER = "enter"
    MODIFY = "modify"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Update:
    """What is new about one object: property paths and their new values as XML, None where a property became unset.

    An ENTER carries all properties that are set, a LEAVE none.
    """

    kind: Kind
    type: str
    moref: str
    values: Mapping[str, Element | None]


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to WaitForUpdatesEx. After a `truncated` page the next one is there already."""

    version: str
    truncated: bool
    updates: tuple[Update, ...]


def parse(envelope: bytes) -> Page | None:
    """Return the page in a SOAP envelope, None when nothing happened within the time of waiting.

    Raises:
        xml.etree.ElementTree.ParseError: the envelope is cut off or no XML.
    """
    root = ET.fromstring(envelope)  # noqa: S314 - from the vCenter we have authenticated; expat bounds entities
    answer = root.find(f"{_BODY}/{_VIM}WaitForUpdatesExResponse/{_VIM}returnval")
    if answer is None:
        return None
    return Page(
        version=text(answer, "version") or "",
        truncated=flag(answer, "truncated") or False,
        updates=tuple(
            _update(element)
            for filter_update in children(answer, "filterSet")
            for element in children(filter_update, "objectSet")
        ),
    )


def _update(element: Element) -> Update:
    values: dict[str, Element | None] = {}
    kind, target = Kind.MODIFY, None
    for part in element:
        if part.tag == f"{_VIM}changeSet":
            values[text(part, "name") or ""] = child(part, "val")
        elif part.tag == f"{_VIM}kind":
            kind = Kind(part.text or "")
        elif part.tag == f"{_VIM}obj":
            target = part
    if target is None or not target.text:
        raise ET.ParseError("an update of no object")
    return Update(kind, target.get("type", ""), target.text, values)


def child(element: Element, name: str) -> Element | None:
    """Return the first child of that name."""
    return element.find(_VIM + name)


def children(element: Element | None, name: str = "") -> Iterator[Element]:
    """Iterate over the children, of that name if one is given; an unset list has none."""
    if element is None:
        return iter(())
    return element.iterfind(_VIM + name) if name else iter(element)


def type_of(element: Element) -> str:
    """Return the type that a value names, such as `VirtualDisk`; empty where it is the declared one."""
    return element.get(_TYPE, "").rpartition(":")[2]


def text(element: Element | None, name: str = "") -> str | None:
    """Return the text of an element, or of its child of that name; None where there is none."""
    if name and element is not None:
        element = child(element, name)
    return None if element is None else element.text or ""


def number(element: Element | None, name: str = "") -> int | None:
    """Return the same as a number."""
    found = text(element, name)
    return int(found) if found else None


def flag(element: Element | None, name: str = "") -> bool | None:
    """Return the same as a boolean."""
    found = text(element, name)
    return None if found is None else found in ("true", "1")
