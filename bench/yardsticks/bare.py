"""The yardsticks of order acceptance: aiohttp servers that answer 202 and do nothing else.

`python -m bench.yardsticks.bare PORT plain` is the usual code: JSON in, JSON out, on the default event loop. `lean` leaves
out what it can: uvloop, no decoding, the same bytes for every request.
"""

import asyncio
import sys

import uvloop
from aiohttp import web

_TAKEN = {"orderId": "BTC-PERP-1", "status": "PENDING"}
_BODY = b'{"orderId":"BTC-PERP-1","status":"PENDING"}'


async def _plain(request: web.Request) -> web.Response:
    await request.json()
    return web.json_response(_TAKEN, status=202)


async def _lean(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202, body=_BODY, content_type="application/json")


async def serve(port: int, handler: str) -> None:
    """Serve on 127.0.0.1 until killed."""
    application = web.Application()
    application.router.add_post("/orders", {"plain": _plain, "lean": _lean}[handler])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1_024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    port, handler = int(sys.argv[1]), sys.argv[2]
    (uvloop.run if handler == "lean" else asyncio.run)(serve(port, handler))
