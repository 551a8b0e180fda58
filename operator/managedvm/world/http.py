"""The operator's own endpoint: /healthz (alive), /readyz (knows the world), /metrics. No bodies of objects, no secrets."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from managedvm.engine.liveness import Health
from managedvm.metrics import Metrics


async def serve(
    address: str,
    port: int,
    *,
    alive: Callable[[], Health],
    ready: Callable[[], Health],
    metrics: Metrics,
    refresh: Callable[[], None],
) -> web.AppRunner:
    """Serve until the returned runner is cleaned up. `refresh` brings the gauges up to date before a scrape.

    Raises:
        OSError: the port cannot be had.
    """

    async def healthz(_: web.Request) -> web.Response:
        return _answered(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answered(ready())

    async def scrape(_: web.Request) -> web.Response:
        refresh()
        return web.Response(
            body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner


def _answered(health: Health) -> web.Response:
    return web.Response(status=200 if health.ok else 503, text="\n".join(health.reasons) or "ok")
