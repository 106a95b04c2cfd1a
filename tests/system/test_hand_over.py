"""Two engines for the same markets: one works, one stands by, and they change places."""

import asyncio
import subprocess
import time

import pytest

from bench.exchange_process import ExchangeProcess
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import frozen, standby_engine
from tests.system.patient_load import PatientLoad, trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, until_taken

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(400),
]  # a tree on a busy machine takes its time; too long for every run


@pytest.mark.parametrize("rounds", [pytest.param(1, id="short"), pytest.param(50, marks=FULL, id="full")])
async def test_a_market_changes_hands_and_every_event_is_written_once(
    any_exchange: Start, rounds: int, measured: Measured
) -> None:
    """The owner is frozen past its session and thawed; its successor is told to stop: one event a sequence, ever."""
    exchange = await any_exchange()
    async with trading(exchange.url) as load:
        for _ in range(rounds):
            async with standby_engine(exchange) as standby:
                await _outlive_a_zombie(exchange, load, measured)
                await _take_back(exchange, standby, measured)
            await until_taken(load, 20)
    await nothing_is_lost_or_doubled(exchange, load)
    measured("events, each written with one content only", await one_event_a_sequence(exchange))


async def _outlive_a_zombie(exchange: ExchangeProcess, load: PatientLoad, measured: Measured) -> None:
    """The owner sleeps until the standby has matched without it, then wakes up and believes it is the owner."""
    with frozen(exchange.children()["engine"]):
        began = time.monotonic()
        await healed(exchange)
        measured("take-over from a frozen owner", time.monotonic() - began)
        await until_taken(load, 20)
    await healed(exchange)
    await until_taken(load, 20)


async def _take_back(exchange: ExchangeProcess, standby: subprocess.Popen[bytes], measured: Measured) -> None:
    """The standby, owner by now, hands over at SIGTERM and ends in order."""
    began = time.monotonic()
    standby.terminate()
    assert await asyncio.to_thread(standby.wait) == 0
    await healed(exchange)
    measured("hand-over at SIGTERM", time.monotonic() - began)
