"""Stopping under load: the load balancer sees it first, nothing is cut, and it ends soon."""

import asyncio
import time
from urllib.parse import urlsplit

import aiohttp

from tests.api.exchange import Client, Exchange, Reply
from tests.eventually import eventually


async def test_readyz_turns_before_the_listener_closes(database: str) -> None:
    """Until the load balancer notices, requests are still served, on connections that then close."""
    exchange = await Exchange(database).start(readiness_grace_s=1.0)
    alice = await exchange.user()
    assert (await alice.get("/readyz")).status == 200
    stopping = asyncio.create_task(exchange.server.stop())
    ready = await eventually(lambda: _not_ready(alice))
    assert ready.body == {"status": "stopping"}
    placed = await alice.order()
    assert placed.status == 202
    assert placed.headers["Connection"] == "close"
    await stopping
    await exchange.session.close()


async def test_a_request_on_a_kept_connection_is_answered_after_the_listener_closed(database: str) -> None:
    """A client that pauses between two requests finds its connection still there once, and is asked to close it."""
    exchange = await Exchange(database).start(idle_grace_s=5.0)
    alice = await exchange.user()
    assert (await alice.order()).status == 202
    began = time.perf_counter()
    stopping = asyncio.create_task(exchange.server.stop())
    await eventually(lambda: _refuses_connections(alice.url))
    placed = await alice.order()
    assert (placed.status, placed.headers["Connection"]) == (202, "close")
    await stopping
    assert time.perf_counter() - began < 4, "the grace ends with the last connection"
    await exchange.session.close()


async def test_nothing_is_cut_when_it_stops_under_load(database: str) -> None:
    """Every request that got through is answered, every 202 is stored; it ends when the last one is served."""
    exchange = await Exchange(database).start(readiness_grace_s=0.2)
    users = [await exchange.user() for _ in range(8)]
    replies: list[Reply] = []

    async def trade(client: Client) -> None:
        while True:
            try:
                replies.append(await client.order(quantity="0.001"))
            except aiohttp.ClientError:
                return  # the listener is closed, or an idle connection was

    trading = [asyncio.create_task(trade(user)) for user in users]
    await eventually(lambda: len(replies) > 50)
    began = time.perf_counter()
    await exchange.server.stop()
    assert time.perf_counter() - began < 4  # well before the time-out of five seconds: no client is waited for in vain
    await asyncio.gather(*trading)
    await exchange.session.close()
    assert {reply.status for reply in replies} <= {202, 503}
    stored = await exchange.value("SELECT array_agg('BTC-PERP-' || (order_id & 1099511627775)) FROM orders")
    assert {reply.body["orderId"] for reply in replies if reply.status == 202} <= set(stored)


async def _refuses_connections(url: str) -> bool:
    place = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(place.hostname, place.port)
    except OSError:
        return True
    writer.close()
    return False


async def _not_ready(client: Client) -> Reply | None:
    reply = await client.get("/readyz")
    return reply if reply.status == 503 else None
