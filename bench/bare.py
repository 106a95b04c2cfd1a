"""The yardstick of order acceptance: a bare aiohttp server that answers 202 and does nothing else."""

import sys

from aiohttp import web

_BODY = b'{"orderId":"BTC-PERP-1","status":"PENDING"}'


async def _taken(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202, body=_BODY, content_type="application/json")


def main(port: int) -> None:
    """Serve on 127.0.0.1 until killed."""
    application = web.Application()
    application.router.add_post("/orders", _taken)
    web.run_app(application, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
