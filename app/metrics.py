"""The metrics of a worker over HTTP, for Prometheus: one path, on loopback unless configured otherwise."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from schemas.addresses import address_text

BODY_BYTES_MAX = 1_024

log = logging.getLogger(__name__)


@asynccontextmanager
async def metrics_served(host: str, port: int) -> AsyncIterator[str]:
    """Serve `/metrics` inside the block; yields `host:port`. Port 0 means any free one.

    Yields an empty string when the port is taken: the worker logs that and works without metrics.
    """
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_get("/metrics", _metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        yield await _listen(runner, host, port)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        log.error("metrics are not served on %s: %s", address_text(host, port), error)
        return ""
    address = address_text(host, runner.addresses[0][1])
    log.info("metrics on http://%s/metrics", address)
    return address


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
