"""A server that sends what the client cannot read."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from perpetua_client import Client, PerpetuaError


async def _babble(request: web.Request) -> web.WebSocketResponse:
    """Accept every request, then send a trade without a number."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_json({"op": "result", "id": message.json()["id"], "status": 200, "body": {}})
        await socket.send_str('{"op":"trade","channel":"trades","market":"BTC-PERP","sequence":"first"}')
    return socket


async def test_a_message_that_cannot_be_read_is_an_error_and_not_silence() -> None:
    """The program that waits for trades gets it, and so does each later request."""
    app = web.Application()
    app.router.add_get("/ws", _babble)
    async with TestServer(app) as server, Client(str(server.make_url(""))) as client, client.socket() as socket:
        async with socket.trades("BTC-PERP") as trades:
            with pytest.raises(PerpetuaError, match="cannot be read"):
                await trades.next()
        with pytest.raises(PerpetuaError, match="cannot be read"):
            await socket.request("ping")
