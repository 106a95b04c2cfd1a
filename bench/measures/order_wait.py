"""How long one order waits until it is matched and persisted, whatever happens meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bench.exchange_process import ExchangeProcess

LOOK_EVERY_S = 0.005
ORDER_EVERY_S = 0.05
GIVEN_UP_AFTER_S = 60.0
PROBED = "BTC-PERP"


async def waited_s(url: str, token: str, market: str) -> float:
    """Send an order that rests far from the market, again until it is accepted; the seconds until it is no longer PENDING.

    It is cancelled then. TimeoutError after a minute.
    """
    async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {token}"}) as session:
        return await _waited(session, market)


@asynccontextmanager
async def order_waits(exchange: ExchangeProcess, token: str, waits: list[float]) -> AsyncIterator[None]:
    """While the block runs, send one such order after the other in the first market; what each waited is appended."""

    async def probe() -> None:
        async with aiohttp.ClientSession(exchange.url, headers={"Authorization": f"Bearer {token}"}) as session:
            while not is_over.is_set():
                waits.append(await _waited(session, PROBED))
                await asyncio.sleep(ORDER_EVERY_S)

    is_over = asyncio.Event()
    probing = asyncio.create_task(probe())
    try:
        yield
    finally:
        is_over.set()
        await probing


async def _waited(session: aiohttp.ClientSession, market: str) -> float:
    order = {"marketId": market, "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "59000.0"}
    began = time.monotonic()
    async with asyncio.timeout(GIVEN_UP_AFTER_S):
        while not (order_id := await _accepted(session, order)):
            await asyncio.sleep(LOOK_EVERY_S)
        while await _status(session, order_id) == "PENDING":
            await asyncio.sleep(LOOK_EVERY_S)
    waited = time.monotonic() - began
    async with session.delete(f"/orders/{order_id}"):
        return waited


async def _accepted(session: aiohttp.ClientSession, order: dict[str, str]) -> str:
    """The id of the order; empty while the market is unknown or takes none."""
    async with session.post("/orders", json=order) as answer:
        body = await answer.json()
        return str(body["orderId"]) if answer.status == 202 else ""


async def _status(session: aiohttp.ClientSession, order_id: str) -> str:
    async with session.get(f"/orders/{order_id}") as answer:
        return str((await answer.json())["status"]) if answer.status == 200 else "PENDING"
