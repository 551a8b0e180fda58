"""What we keep on the server for the update stream: one collector, views of objects and tasks, histories of events.

They live as long as the session. A stream that has lost it makes new ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pyVmomi import vim, vmodl

from managedvm.world.vsphere.connection import Session, guarded
from managedvm.world.vsphere.facts import (
    EVENT_PROPERTIES,
    POWER_EVENTS,
    PROPERTIES,
    RESTART_EVENTS,
    TASK_PROPERTIES,
)
from managedvm.world.vsphere.faults import named
from managedvm.world.vsphere.pages import Page, parse

_Collector = vmodl.query.PropertyCollector

_TYPES = {
    "VirtualMachine": vim.VirtualMachine,
    "Folder": vim.Folder,
    "Datacenter": vim.Datacenter,
    "HostSystem": vim.HostSystem,
    "ClusterComputeResource": vim.ClusterComputeResource,
}

_EVENTS_PER_PAGE = 1000
"""The most that vCenter allows: only the page with the newest events is streamed."""


@dataclass(frozen=True, slots=True)
class About:
    """Who the server is: its UUID, its product name and version, and the reference of its root folder."""

    vcenter_uuid: str
    product: str
    root: str


class Collector:
    """The server's side of one stream. Every method raises a ManagedVMError when it did not succeed."""

    def __init__(self, session: Session, look_back: timedelta) -> None:
        """Make the filters; events of the last `look_back`, by the server's own clock, come with the first fill."""
        self._stub = session.stub
        content = session.content
        self.about = About(
            vcenter_uuid=content.about.instanceUuid,
            product=content.about.fullName,
            root=named(content.rootFolder)[1],
        )
        self._collector: Any = guarded(content.propertyCollector.CreatePropertyCollector)
        view = guarded(
            lambda: content.viewManager.CreateContainerView(
                container=content.rootFolder, type=list(_TYPES.values()), recursive=True
            )
        )
        self._filter(
            _through(view, vim.view.ContainerView),
            {_TYPES[name]: paths for name, paths in PROPERTIES.items()},
        )
        self._tasks: Any = guarded(lambda: content.viewManager.CreateListView(None))
        self._filter(_through(self._tasks, vim.view.ListView), {vim.Task: TASK_PROPERTIES})
        # Two pages, so that many changes of power do not push restarts out.
        for events in (RESTART_EVENTS, POWER_EVENTS):
            history = self._history(content.eventManager, look_back, events)
            self._filter(
                _Collector.ObjectSpec(obj=history), {vim.event.EventHistoryCollector: EVENT_PROPERTIES}
            )

    def next_page(self, version: str, seconds: int) -> Page | None:
        """Return what is new since `version`, waiting for it up to `seconds`; None when nothing is."""
        return guarded(lambda: parse(self._stub.wait_for_updates(self._collector, version, seconds)))

    def follow(self, tasks: Iterable[str], ended: Iterable[str]) -> tuple[str, ...]:
        """Let tasks come with the stream, and those that ended no longer; returns the tasks that nobody knows any more."""
        add, remove = ([vim.Task(task, self._stub) for task in some] for some in (tasks, ended))
        unknown = guarded(lambda: self._tasks.ModifyListView(add=add, remove=remove))
        return tuple(named(task)[1] for task in unknown or ())

    def _filter(self, start: Any, properties: dict[Any, tuple[str, ...]]) -> None:
        """Create a filter. Values come whole, never in parts, so nothing has to be kept to put parts together."""
        spec = _Collector.FilterSpec(
            objectSet=[start],
            propSet=[
                _Collector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in properties.items()
            ],
        )
        guarded(lambda: self._collector.CreateFilter(spec=spec, partialUpdates=False))

    def _history(self, manager: Any, look_back: timedelta, events: tuple[str, ...]) -> Any:
        """Return a collector of events, open towards the future."""
        clock = vim.ServiceInstance("ServiceInstance", self._stub)
        begin = guarded(clock.CurrentTime) - look_back
        spec = vim.event.EventFilterSpec(
            eventTypeId=list(events), time=vim.event.EventFilterSpec.ByTime(beginTime=begin)
        )
        history: Any = guarded(lambda: manager.CreateCollectorForEvents(spec))
        guarded(lambda: history.SetCollectorPageSize(_EVENTS_PER_PAGE))
        return history


def _through(view: Any, kind: Any) -> Any:
    """Return the start of a filter that leads through a view to all that is in it."""
    step = _Collector.TraversalSpec(name="view", type=kind, path="view", skip=False)
    return _Collector.ObjectSpec(obj=view, skip=True, selectSet=[step])
