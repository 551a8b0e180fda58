"""How kopf is used: for events only, so that it writes nothing, holds nothing back and keeps nothing per object."""

from __future__ import annotations

import inspect

import kopf
import pytest

from managedvm.api.kinds import KINDS
from managedvm.handlers import configure, registry


class Told:
    """A process that notes what it is told."""

    def __init__(self):
        self.log = []

    async def start(self):
        self.log.append("start")

    async def stop(self):
        self.log.append("stop")

    async def saw(self, body, *, is_gone):
        self.log.append((body["metadata"]["name"], is_gone))


@pytest.fixture
def process():
    return Told()


@pytest.fixture
def handlers(process):
    return registry(process)


@pytest.fixture
def settings():
    settings = kopf.OperatorSettings()
    configure(settings)
    return settings


@pytest.mark.parametrize("kept_out", ["_spawning", "_changing", "_indexing", "_webhooks"])
def test_no_timer_daemon_change_handler_index_or_webhook_is_registered(handlers, kept_out):
    assert list(getattr(handlers, kept_out).get_all_handlers()) == []


def test_kopf_copies_no_object_to_compare_it(settings):
    storage = settings.persistence.diffbase_storage

    assert storage.build(body=kopf.Body({"spec": {"cpus": 2}})) == {}
    assert storage.fetch(body=kopf.Body({})) is None


def test_every_kind_of_ours_is_watched_but_closed_months(handlers):
    watched = {str(handler.selector.plural or handler.selector.any_name) for handler in watching(handlers)}

    assert {kind.KIND.plural for kind in KINDS} - watched == {"statements"}


def watching(handlers):
    return list(handlers._watching.get_all_handlers())


def test_no_watch_has_a_selector_since_leaving_one_looks_like_a_deletion(handlers):
    for handler in watching(handlers):
        assert not handler.labels
        assert not handler.annotations
        assert handler.field is None
        assert handler.when is None


def test_no_event_goes_through_kopfs_few_threads(handlers):
    assert all(inspect.iscoroutinefunction(handler.fn) for handler in watching(handlers))


@pytest.mark.parametrize(
    ("type_", "is_gone"),
    [(None, False), ("ADDED", False), ("MODIFIED", False), ("DELETED", True)],
    ids=["listed", "added", "modified", "deleted"],
)
async def test_each_event_is_handed_on_as_it_is(handlers, process, type_, is_gone):
    event = {"type": type_, "object": {"kind": "ManagedVM", "metadata": {"name": "web"}}}
    await watching(handlers)[0].fn(event=event, name="web", logger=None)

    assert process.log == [("web", is_gone)]


def test_kopf_elects_nobody_tells_nothing_and_follows_no_definitions(settings):
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled


def test_no_connection_of_kopf_can_hang_for_ever(settings):
    watching, networking = settings.watching, settings.networking

    assert watching.server_timeout < watching.client_timeout <= 300
    assert watching.inactivity_timeout <= 120
    assert watching.connect_timeout <= 10
    assert networking.request_timeout <= 30
    assert networking.connect_timeout <= 10


def test_a_list_comes_in_pages_and_leaves_nothing_behind_for_long(settings):
    assert settings.watching.chunk_size == 500
    assert settings.queueing.idle_timeout <= 1
