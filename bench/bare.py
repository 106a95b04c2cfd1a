"""The yardstick of order acceptance: a bare aiohttp server, on uvloop like ours, that answers 202 and does nothing else."""

import asyncio
import sys

import uvloop
from aiohttp import web

_BODY = b'{"orderId":"BTC-PERP-1","status":"PENDING"}'


async def _taken(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202, body=_BODY, content_type="application/json")


async def serve(port: int) -> None:
    """Serve on 127.0.0.1 until killed."""
    application = web.Application()
    application.router.add_post("/orders", _taken)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1_024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
