"""What the demo logs of a refused request is the refusal, and not its token."""

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from app.demo import GAMBLED_ON, _round
from app.demo.client import Client
from app.demo.gambler import Gambler
from app.demo.maker import Maker

TOKEN = "eyJhbGciOiJIUzI1NiJ9.payload.signature"


async def _refuse(_: web.Request) -> web.Response:
    return web.json_response({"error": {"code": "OVERLOADED"}}, status=503)


async def test_a_refusal_is_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """An exchange that is overloaded answers 503; the request's headers are in the error's own text."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", _refuse)
    async with TestServer(application) as server, ClientSession(server.make_url("/")) as session:
        client = Client(session, TOKEN)
        await _round([Maker(client, GAMBLED_ON)], Gambler(client, GAMBLED_ON))
    assert "the demo is waiting: 503 Service Unavailable" in caplog.text
    assert TOKEN not in caplog.text
    assert "Bearer" not in caplog.text
