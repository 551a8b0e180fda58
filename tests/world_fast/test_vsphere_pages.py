"""Reading pages of the update stream: what is in them, and what is no page at all."""

import xml.etree.ElementTree as ET

import pytest

from managedvm.world.vsphere.changes import Gone, PlaceChange, TaskChange, changes_of
from managedvm.world.vsphere.pages import Kind, parse, text
from tests.world_fast.updates import envelope, folder, update


def test_an_empty_answer_is_no_page():
    assert parse(envelope()) is None


def test_a_page_says_its_version_and_whether_more_is_there():
    page = parse(envelope(folder("f", "n", "p"), version="17", truncated=True))
    assert (page.version, page.truncated) == ("17", True)
    assert not parse(envelope(folder("f", "n", "p"))).truncated


def test_an_update_has_its_values_by_path_and_none_where_a_property_became_unset():
    (found,) = parse(envelope(update("modify", "VirtualMachine", "vm-1", name="web", guest__ip=None))).updates
    assert (found.kind, found.type, found.moref) == (Kind.MODIFY, "VirtualMachine", "vm-1")
    assert text(found.values["name"]) == "web"
    assert found.values["guest.ip"] is None


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>busy</html", id="cut off"),
        pytest.param(envelope("<objectSet><kind>enter</kind></objectSet>"), id="an update of no object"),
    ],
)
def test_what_is_no_page_is_told(broken):
    with pytest.raises(ET.ParseError):
        parse(broken)


def test_objects_of_unknown_types_are_passed_over():
    page = parse(
        envelope(
            update("enter", "Datastore", "ds-1", name="x"),
            update("leave", "VirtualMachine", "vm-1"),
            folder("dc", "Berlin", "root", what="Datacenter"),
            update("leave", "Task", "task-1"),
        )
    )
    assert changes_of(page) == (
        Gone("VirtualMachine", "vm-1"),
        PlaceChange("dc", {"name": "Berlin", "parent": "root"}),
        TaskChange("task-1", {}),
    )
