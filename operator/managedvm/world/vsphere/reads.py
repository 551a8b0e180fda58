"""The few reads of one object that the stream cannot answer. None happens while nothing is to be done."""

from datetime import UTC, datetime
from typing import Any

from pyVmomi import vim, vmodl

from managedvm.planning.observed import OUTRUN, TaskFacts, TaskState
from managedvm.world.vsphere.connection import Session
from managedvm.world.vsphere.facts import TASK_PROPERTIES
from managedvm.world.vsphere.faults import named

_Collector = vmodl.query.PropertyCollector


def devices_of(session: Session, vm: str) -> list[Any]:
    """Return the virtual devices of a VM, as the server wants to see them again when one is changed."""
    path = "config.hardware.device"
    found = session.read(lambda: _retrieve(session, _start(session, vm), vim.VirtualMachine, (path,)))
    return [device for values in found for device in values.get(path, ())]


def held_bytes(session: Session, vm: str, snapshot: str) -> int:
    """Return the bytes on the datastore that a snapshot holds: its own files, and the disks written to since.

    Those are the files that the running VM reads beyond the ones that it had when the snapshot was taken. 0 where the
    server does not know the snapshot.
    """
    path = "layoutEx"
    found = session.read(lambda: _retrieve(session, _start(session, vm), vim.VirtualMachine, (path,)))
    layout = next((values[path] for values in found if path in values), None)
    taken = next((s for s in getattr(layout, "snapshot", ()) if named(s.key)[1] == snapshot), None)
    if layout is None or taken is None:
        return 0
    written = _files(layout.disk) - _files(taken.disk) | {taken.dataKey, getattr(taken, "memoryKey", -1)}
    return sum(file.size for file in layout.file if file.key in written)


def _files(disks: Any) -> set[int]:
    return {key for disk in disks for unit in disk.chain for key in unit.fileKey}


def latest_task(session: Session, vm: str, method: str, now: datetime) -> TaskFacts | None:
    """Return the VM's latest task of `method` that our own account started; vCenter remembers them for minutes.

    It counts as seen at `now`.

    One that came too late is left out: sent twice, it would hide the one that made the change.
    """
    paths = (*TASK_PROPERTIES, "info.name", "info.reason", "info.key")

    def read() -> list[dict[str, Any]]:
        step = _Collector.TraversalSpec(name="tasks", type=vim.VirtualMachine, path="recentTask", skip=False)
        start = _start(session, vm)
        start.skip, start.selectSet = True, [step]
        return _retrieve(session, start, vim.Task, paths)

    ours = (v for v in session.read(read) if _method(v) == method and _user(v) == session.user.casefold())
    tasks = (_facts(values, method, now) for values in ours)
    return max((t for t in tasks if t.fault != OUTRUN), key=lambda task: task.queued_at, default=None)


def _start(session: Session, vm: str) -> Any:
    return _Collector.ObjectSpec(obj=vim.VirtualMachine(vm, session.stub))


def _retrieve(session: Session, start: Any, kind: Any, paths: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the values of the properties, by path, of each object that `start` leads to."""
    spec = _Collector.FilterSpec(
        objectSet=[start],
        propSet=[_Collector.PropertySpec(type=kind, pathSet=list(paths))],
        reportMissingObjectsInResults=True,
    )
    collector = session.content.propertyCollector
    page = collector.RetrievePropertiesEx([spec], _Collector.RetrieveOptions())
    found: list[dict[str, Any]] = []
    while page is not None:
        found.extend({p.name: p.val for p in one.propSet} for one in page.objects)
        page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    return found


def _method(values: dict[str, Any]) -> str:
    """Return the method of a task; pyVmomi reads its name as the method itself."""
    name = values.get("info.name")
    return str(getattr(getattr(name, "info", None), "wsdlName", name))


def _user(values: dict[str, Any]) -> str:
    return str(getattr(values.get("info.reason"), "userName", "")).casefold()


def _facts(values: dict[str, Any], method: str, now: datetime) -> TaskFacts:
    error = values.get("info.error")
    return TaskFacts(
        moref=str(values["info.key"]),
        method=method,
        state=TaskState(str(values["info.state"])),
        queued_at=_utc(values["info.queueTime"]),
        seen_at=now,
        begin=_utc_or_none(values.get("info.startTime")),
        end=_utc_or_none(values.get("info.completeTime")),
        fault=type(error).__name__.rsplit(".", 1)[-1] if error is not None else "",
        message=str(getattr(error, "msg", "") or "") if error is not None else "",
    )


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _utc_or_none(at: datetime | None) -> datetime | None:
    return _utc(at) if at is not None else None
