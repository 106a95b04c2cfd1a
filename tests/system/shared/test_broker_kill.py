"""The local broker is killed under load."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader, make_traders
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import strike
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, until_accepted

ORDER = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "55000"}


@pytest.mark.parametrize("kills", [pytest.param(1, id="short"), pytest.param(20, marks=FULL, id="full")])
async def test_a_broker_killed_under_load_is_only_a_pause(any_exchange: Start, kills: int, measured: Measured) -> None:
    """It starts again with its log: no other process is replaced, no market is rebuilt, every order is processed."""
    exchange = await any_exchange()
    parts = exchange.children()
    chance = random.Random(11)  # noqa: S311 - the same pauses on every run
    async with trading(exchange.url) as load:
        for _ in range(kills):
            await until_accepted(load, 20)
            await asyncio.sleep(chance.random())
            async with longest_wait(exchange) as waits:
                await strike(exchange, "broker")
                await healed(exchange)
            measured("longest order while the broker was killed, s", max(waits))
    assert {**exchange.children(), "broker": 0} == {**parts, "broker": 0}
    assert not any("rebuilding" in line for line in exchange.printed)
    await nothing_is_lost_or_doubled(exchange, load)
    await one_event_a_sequence(exchange)


@asynccontextmanager
async def longest_wait(exchange: ExchangeProcess) -> AsyncIterator[list[float]]:
    """Orders one after the other while the block lasts: how long each took from its request until it was matched and readable."""
    waits: list[float] = []
    (trader,) = await make_traders(exchange.url, 1)
    probing = asyncio.create_task(_probe(exchange.url, trader, waits))
    await asyncio.sleep(0.1)
    yield waits
    probing.cancel()
    await asyncio.wait([probing])
    assert waits, "no order was answered"


async def _probe(url: str, trader: Trader, waits: list[float]) -> None:
    async with aiohttp.ClientSession(url, headers=trader.headers) as session:
        while True:
            began = time.monotonic()
            order_id = await _placed(session)
            while await _status(session, order_id) == "PENDING":  # noqa: ASYNC110 - asked over HTTP
                await asyncio.sleep(0.005)
            waits.append(time.monotonic() - began)
            async with session.delete(f"/orders/{order_id}"):
                pass


async def _placed(session: aiohttp.ClientSession) -> str:
    while True:
        async with session.post("/orders", json=ORDER) as answer:
            if answer.status == 202:
                return str((await answer.json())["orderId"])
        await asyncio.sleep(0.05)


async def _status(session: aiohttp.ClientSession, order_id: str) -> str:
    async with session.get(f"/orders/{order_id}") as answer:
        return str((await answer.json())["status"]) if answer.status == 200 else "PENDING"
