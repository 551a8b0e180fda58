"""The simulator's own latency: a bare PropertyCollector that notes when an answer comes, and reads nothing of it."""

from __future__ import annotations

import re
import threading
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr
from pyVmomi import vim, vmodl

from bench.usage import wall
from lab.facts import READONLY_USER
from managedvm.world.vsphere.connection import Server, Session

if TYPE_CHECKING:
    from types import TracebackType

    from lab.facts import Lab

_VERSION = re.compile(rb"<version>([^<]+)</version>")
_WAIT_SECONDS = 30
_Collector = vmodl.query.PropertyCollector


class BareClient:
    """Waits for changes of the clusters' HA configuration in a thread; `arrivals` are wall times in seconds."""

    def __init__(self, world: Lab) -> None:
        server = Server(
            host="127.0.0.1",
            port=world.ports["vcenter"],
            username=READONLY_USER,
            password=SecretStr(world.passwords[READONLY_USER]),
            ca=world.vcenter_ca.read_text(),
        )
        self._session = Session(server, _WAIT_SECONDS + 30.0)
        self._stopping = threading.Event()
        self._filled = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.arrivals: list[float] = []

    def __enter__(self) -> Self:
        self._session.renew()
        self._thread.start()
        self._filled.wait(_WAIT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._session.abort_wait()
        self._thread.join(_WAIT_SECONDS)
        self._session.close()

    def after(self, instant: float) -> float | None:
        """Return when the first answer after an instant came."""
        return next((at for at in self.arrivals if at > instant), None)

    def _run(self) -> None:
        collector, version = self._collector(), ""
        while not self._stopping.is_set():
            try:
                answer = self._session.stub.wait_for_updates(collector, version, _WAIT_SECONDS)
            except (OSError, HTTPException):
                return  # broken off by the end of the measurement
            found = _VERSION.search(answer)
            if found is None:
                continue
            if version:
                self.arrivals.append(wall())
            version = found[1].decode()
            self._filled.set()

    def _collector(self) -> Any:
        content = self._session.content
        view = content.viewManager.CreateContainerView(
            container=content.rootFolder, type=[vim.ClusterComputeResource], recursive=True
        )
        step = _Collector.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
        spec = _Collector.FilterSpec(
            objectSet=[_Collector.ObjectSpec(obj=view, skip=True, selectSet=[step])],
            propSet=[_Collector.PropertySpec(type=vim.ClusterComputeResource, pathSet=["configurationEx"])],
        )
        collector: Any = content.propertyCollector.CreatePropertyCollector()
        collector.CreateFilter(spec=spec, partialUpdates=False)
        return collector
