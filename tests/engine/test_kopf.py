"""What kopf itself does, on a small API server on loopback: the reasons why the engine has a store and a queue.

If one of these fails after an update of kopf, kopf became better, and what we built around it may become less.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager

import kopf
from aiohttp import web

from managedvm.engine.liveness import Liveness
from managedvm.engine.objects import Listed
from managedvm.engine.relist import Listing, Relister
from managedvm.engine.store import Store

GROUP, VERSION, PLURAL, KIND = "example.dev", "v1", "things", "Thing"
DEADLINE_SECONDS = 30


class ApiServer:
    """As much of an API server as kopf needs to watch one kind."""

    def __init__(self, *names):
        self.version = 10
        self.objects = {name: self._object(name) for name in names}
        self.watchers, self.lists = set(), 0

    def _object(self, name):
        self.version += 1
        metadata = {
            "name": name,
            "namespace": "a",
            "uid": f"uid-{name}",
            "resourceVersion": str(self.version),
        }
        return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata}

    def write(self, name):
        self.objects[name] = self._object(name)
        self.send({"type": "MODIFIED", "object": self.objects[name]})

    def lose(self, name):
        """Delete an object in the moment in which the watches end with 410 Gone."""
        self.version += 1
        del self.objects[name]
        self.send({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Gone"}})
        self.close()

    def send(self, event):
        for watcher in self.watchers:
            watcher.put_nowait(line(event))

    async def answer(self, request):
        path, verbs = request.path, ["list", "watch", "patch"]
        thing = {"name": PLURAL, "singularName": "thing", "kind": KIND, "namespaced": True, "verbs": verbs}
        namespace = {
            "name": "namespaces",
            "singularName": "namespace",
            "kind": "Namespace",
            "namespaced": False,
        }
        known = {
            "/version": {"major": "1", "minor": "37"},
            "/api": {"versions": ["v1"]},
            "/apis": {
                "groups": [
                    {
                        "name": GROUP,
                        "versions": [{"version": VERSION}],
                        "preferredVersion": {"version": VERSION},
                    }
                ]
            },
            "/api/v1": {"resources": [namespace | {"verbs": verbs}]},
            f"/apis/{GROUP}/{VERSION}": {"resources": [thing]},
        }
        if path in known:
            return web.json_response(known[path])
        return await self._watch(request) if "watch" in request.query else self._list()

    def _list(self):
        self.lists += 1
        metadata = {"resourceVersion": str(self.version)}
        items = list(self.objects.values())
        return web.json_response(
            {"kind": f"{KIND}List", "apiVersion": f"{GROUP}/{VERSION}", "metadata": metadata, "items": items}
        )

    async def _watch(self, request):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watcher = asyncio.Queue()
        self.watchers.add(watcher)
        since = int(request.query.get("resourceVersion", 0))
        for obj in self.objects.values():
            if int(obj["metadata"]["resourceVersion"]) > since:
                watcher.put_nowait(line({"type": "MODIFIED", "object": obj}))
        try:
            while (event := await watcher.get()) is not None:
                await response.write(event)
        finally:
            self.watchers.discard(watcher)
        return response

    def close(self):
        """End all watches."""
        for watcher in self.watchers:
            watcher.put_nowait(None)


def line(event):
    return json.dumps(event).encode() + b"\n"


@asynccontextmanager
async def kopf_watching(server, on_event):
    """Run kopf with this handler against the server until the block ends.

    kopf gets a thread and a loop of its own: when it ends, it waits for and then cancels every task of its loop.
    """
    runner = web.AppRunner(app := web.Application(), shutdown_timeout=1)
    app.router.add_route("*", "/{path:.*}", server.answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "http://{}:{}".format(*runner.addresses[0])

    registry, settings, stop = kopf.OperatorRegistry(), kopf.OperatorSettings(), threading.Event()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    kopf.on.login(registry=registry)(lambda **_: kopf.ConnectionInfo(server=url, token="none"))
    kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)(on_event)
    options = {"registry": registry, "settings": settings, "stop_flag": stop}
    running = asyncio.create_task(asyncio.to_thread(kopf.run, clusterwide=True, standalone=True, **options))
    try:
        yield
    finally:
        stop.set()
        server.close()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await running
        await runner.cleanup()


async def eventually(condition):
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - kopf offers no event for what we wait for
            await asyncio.sleep(0.01)


async def test_kopf_tells_nothing_of_an_object_deleted_across_a_410_and_our_relist_does():
    server, store, told = ApiServer("web", "db"), Store(), []

    ours = asyncio.get_running_loop()

    async def hand_in(event, **_):
        told.append((event["type"], event["object"]["metadata"]["name"]))
        ours.call_soon_threadsafe(store.put, event["object"])

    async def list_metadata(_):
        lines = [
            Listed(f"uid-{name}", "a", name, obj["metadata"]["resourceVersion"])
            for name, obj in server.objects.items()
        ]
        return Listing(str(server.version), lines)

    async def fetch(key):
        return server.objects.get(key.name)

    async with kopf_watching(server, hand_in):
        await eventually(lambda: store.count(KIND) == 2 and server.watchers)
        server.lose("web")
        await eventually(lambda: server.lists == 2 and server.watchers)
        server.write("db")
        await eventually(lambda: ("MODIFIED", "db") in told)

        assert "DELETED" not in {type_ for type_, _ in told}
        assert [key.name for key in store.keys(KIND)] == ["db", "web"]

        liveness = Liveness([KIND], progress=lambda: None, lag_seconds=lambda: 0.0)
        relister = Relister(store, liveness, list_metadata=list_metadata, fetch=fetch, on_change=told.append)
        await relister.relist(KIND)
        assert [key.name for key in store.keys(KIND)] == ["db"]


async def test_kopf_never_repeats_an_event_whose_handler_failed(caplog):
    server, told = ApiServer("web", "db"), []

    async def fail(event, **_):
        told.append(event["object"]["metadata"]["name"])
        raise ZeroDivisionError

    async with kopf_watching(server, fail):
        await eventually(lambda: sorted(told) == ["db", "web"] and server.watchers)
        server.write("db")
        await eventually(lambda: told.count("db") == 2)

    assert told.count("web") == 1
    assert "ZeroDivisionError" in caplog.text
