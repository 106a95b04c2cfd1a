"""The whole tree is stopped while clients trade."""

import asyncio
import time
from contextlib import suppress
from itertools import groupby

import aiohttp
import pytest

from bench.exchange_process import ExchangeProcess
from tests.system.conftest import FULL, Measured, Start
from tests.system.patient_load import trading
from tests.system.verdict import nothing_is_lost_or_doubled, until_accepted

pytestmark = pytest.mark.timeout(400)  # a tree on a busy machine takes its time

LOOK_EVERY_S = 0.02


@pytest.mark.parametrize(
    ("rounds", "within_s"),
    [
        pytest.param(1, 60.0, id="short"),  # ten seconds, and what a busy machine adds
        pytest.param(10, 10.0, marks=FULL, id="full"),
    ],
)
async def test_the_tree_stops_in_order_under_load(
    any_exchange: Start, rounds: int, within_s: float, measured: Measured
) -> None:
    """SIGTERM: the load balancer sees it first, nothing is cut, exit code 0 within ten seconds; the next start continues."""
    exchange = await any_exchange()
    async with trading(exchange.url) as load:
        for _ in range(rounds):
            await until_accepted(load, 20)
            stopped_s = await _stop(exchange)
            measured("graceful stop", stopped_s)
            await exchange.start()
            assert stopped_s <= within_s
            load.url = exchange.url
    assert load.cut == 0, load.cut_by
    await nothing_is_lost_or_doubled(exchange, load)


async def _stop(exchange: ExchangeProcess) -> float:
    """Stop it in order; how long that took."""
    began = time.monotonic()
    readiness = asyncio.create_task(_readiness(exchange.url))
    assert await exchange.stop() == 0
    assert (await readiness)[-1:] == ["stopping"]
    assert exchange.printed[-2:] == ["stopping ...", "stopped"]
    return time.monotonic() - began


async def _readiness(url: str) -> list[str]:
    """What /readyz says, one after the other, until the port is closed."""
    statuses: list[str] = []
    async with aiohttp.ClientSession(url) as session:
        with suppress(aiohttp.ClientError):
            while True:
                async with session.get("/readyz", headers={"Connection": "close"}) as answer:
                    statuses.append((await answer.json())["status"])
                await asyncio.sleep(LOOK_EVERY_S)
    return [said for said, _ in groupby(statuses)]
