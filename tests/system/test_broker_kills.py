"""The local broker is killed under load, alone or with the whole tree, and loses the end of its logs as in a power cut."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bench.exchange_process import ExchangeProcess
from bench.load.generator import Trader, make_traders
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import strike
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, until_accepted

LOST_BYTES_MAX = 20_000
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


@pytest.mark.chaos
@pytest.mark.timeout(1_200)
async def test_a_whole_tree_killed_again_and_again_continues(start_exchange: Start, measured: Measured) -> None:
    """Ten times SIGKILL to every process at once: the next start needs no rebuild, and nothing is lost."""
    exchange = await start_exchange()
    async with trading(exchange.url) as load:
        for _ in range(10):
            await until_accepted(load, 40)
            await exchange.kill_all()
            began = time.monotonic()
            await exchange.start()
            measured("ready after the whole tree was killed, s", time.monotonic() - began)
            load.url = exchange.url
            assert not any("rebuilding" in line for line in exchange.printed)
    await nothing_is_lost_or_doubled(exchange, load)
    await one_event_a_sequence(exchange)


@pytest.mark.parametrize("cuts", [pytest.param(1, id="short"), pytest.param(20, marks=FULL, id="full")])
@pytest.mark.timeout(1_200)
async def test_a_power_cut_tears_every_log_and_loses_nothing(start_exchange: Start, cuts: int) -> None:
    """The end of each log is gone, or zeros: what PostgreSQL has is sent again, and gives the same events and fills."""
    exchange = await start_exchange()
    chance = random.Random(13)  # noqa: S311 - the same damage on every run
    async with trading(exchange.url) as load:
        for _ in range(cuts):
            await until_accepted(load, 60)
            await exchange.kill_all()
            assert tear_logs(exchange.data / "kafka" / "log", chance) > 0
            await exchange.start()
            load.url = exchange.url
    await nothing_is_lost_or_doubled(exchange, load, are_logs_torn=True)
    await one_event_a_sequence(exchange)


def tear_logs(folder: Path, chance: random.Random) -> int:
    """Take the last bytes of every log of ours, or leave zeros in their place; how many logs were torn."""
    torn = 0
    for partition in sorted(folder.glob("*-0")):
        segment = max(partition.glob("*.log"))
        whole = segment.read_bytes().rstrip(b"\0")  # an active segment may be longer than what it holds
        lost = chance.randint(0, min(LOST_BYTES_MAX, len(whole)))
        if not partition.name.startswith("__") and lost:
            segment.write_bytes(whole[:-lost] + chance.choice((b"", b"\0" * lost)))
            torn += 1
    return torn


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
