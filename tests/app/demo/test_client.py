"""What a client of the demo does with answers that are no success."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientResponseError, ClientSession, web
from aiohttp.test_utils import TestServer

from app.demo.client import Client, Credential
from app.demo.gambler import Gambler
from app.demo.markets import DEMO_MARKETS
from app.demo.trading import attempt

TOKEN = "eyJhbGciOiJIUzI1NiJ9.payload.signature"
CAROL = Credential("carol@demo.example", "gambling")
Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def _client(answer: Handler) -> AsyncIterator[Client]:
    """A client of an exchange that accepts each login, and answers everything else so."""
    application = web.Application()
    application.router.add_post("/auth/login", _log_in)
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server, ClientSession(server.make_url("/")) as session:
        yield Client(session, CAROL)


async def _log_in(_: web.Request) -> web.Response:
    return web.json_response({"token": TOKEN})


async def test_a_refusal_is_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """An exchange that is overloaded answers 503; the request's headers are in the error's own text."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"code": "OVERLOADED"}}, status=503)

    async with _client(refuse) as client:
        assert not await attempt(Gambler(client, DEMO_MARKETS[0].market).play)
    assert "the demo is waiting: 503 Service Unavailable" in caplog.text
    assert TOKEN not in caplog.text
    assert "Bearer" not in caplog.text


async def test_a_token_that_has_expired_is_replaced() -> None:
    """A token lasts for twelve hours, the demo for days: the first 401 leads to a login and the same request again."""
    bodies = []

    async def expire_once(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({"status": "PENDING"}, status=401 if len(bodies) == 1 else 202)

    async with _client(expire_once) as client:
        await client.post("/orders", {"quantity": "1"})
    assert bodies == [{"quantity": "1"}] * 2


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_what_may_succeed_later_is_raised(status: int) -> None:
    """So that the round ends, and the next one comes after a pause: a limit is not answered with more requests."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({}, status=status)

    async with _client(refuse) as client:
        for send in (client.get("/positions"), client.post("/orders", {}), client.delete("/orders/BTC-PERP-1")):
            with pytest.raises(ClientResponseError):
                await send


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_refused_order_is_not_raised(status: int) -> None:
    """Margin, a closed market, an order that is gone: the next round looks again."""

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({}, status=status)

    async with _client(refuse) as client:
        await client.post("/orders", {})
        await client.delete("/orders/BTC-PERP-1")
