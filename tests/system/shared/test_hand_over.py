"""Up to three engines for the same markets: one is the owner, the others are standbys, and ownership changes."""

import asyncio
import random
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from bench.exchange_process import ExchangeProcess
from schemas.topics import shard_app_id
from store.markets.placement import MAIN_SHARD
from store.session.presence import Work
from tests.group_members import remove_one
from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import frozen, standby_engine, standby_log
from tests.system.patient_load import PatientLoad, trading
from tests.system.verdict import (
    MARKETS,
    healed,
    no_snapshot_is_spoilt,
    nothing_is_lost_or_doubled,
    one_event_a_sequence,
    until_accepted,
)

pytestmark = pytest.mark.timeout(400)  # a tree on a busy machine takes its time

STANDBYS = ("standby-1", "standby-2")
GROUP = shard_app_id(Work.ENGINE, MAIN_SHARD)


@pytest.mark.parametrize(
    ("wanted", "zombies"), [pytest.param(2, 2, id="short"), pytest.param(100, 8, marks=FULL, id="full")]
)
async def test_a_market_changes_hands_and_every_event_is_written_once(
    any_exchange: Start, wanted: int, zombies: int, measured: Measured
) -> None:
    """Three workers: one is removed from its group by mistake, the owner is frozen past its session and thawed, and in the end
    all but one are stopped.

    However often: one content for every event and every snapshot, and the newest snapshot is valid.
    """
    exchange = await any_exchange()
    chance = random.Random(wanted)  # noqa: S311 - the same members on every run
    hand_overs = 0
    async with trading(exchange.url) as load:
        while hand_overs < wanted:
            hand_overs += await _there_and_back(exchange, load, zombies, chance, measured)
    await nothing_is_lost_or_doubled(exchange, load)
    measured("hand-overs", hand_overs)
    measured("events, each written with one content only", await one_event_a_sequence(exchange))
    measured("snapshots, none spoilt", await no_snapshot_is_spoilt(exchange))


async def _there_and_back(
    exchange: ExchangeProcess, load: PatientLoad, zombies: int, chance: random.Random, measured: Measured
) -> int:
    """One worker, three workers, one worker; how often a market got another owner."""
    logs = [exchange.data / "log" / "engine.log", *(standby_log(exchange, name) for name in STANDBYS)]
    starts = dict(zip(logs, (logs[0].stat().st_size, 0, 0), strict=True))
    async with AsyncExitStack() as stack:
        joining = (stack.enter_async_context(standby_engine(exchange, name)) for name in STANDBYS)
        standbys = await asyncio.gather(*joining)
        workers = dict(zip(logs, (exchange.children()["engine"], *(each.pid for each in standbys)), strict=True))
        for turn in range(zombies):
            market = MARKETS[turn % len(MARKETS)]
            owner = _owners(starts, market)[-1]
            await remove_one(exchange.published()["brokerUrl"], GROUP, chance)
            await asyncio.sleep(chance.random())
            await _outlive_a_zombie(exchange, workers[owner], load, measured)
        for standby in standbys:
            await _take_back(exchange, standby, measured)
    await until_accepted(load, 20)
    return sum(_changes(_owners(starts, market)) for market in MARKETS)


async def _outlive_a_zombie(exchange: ExchangeProcess, owner: int, load: PatientLoad, measured: Measured) -> None:
    """The owner is frozen until another has matched without it, then is thawed and still believes it is the owner."""
    with frozen(owner):
        began = time.monotonic()
        await healed(exchange)
        measured("take-over from a frozen owner", time.monotonic() - began)
        await until_accepted(load, 20)
    await healed(exchange)
    await until_accepted(load, 20)


async def _take_back(exchange: ExchangeProcess, standby: subprocess.Popen[bytes], measured: Measured) -> None:
    """A standby, owner by now or not, hands over at SIGTERM and ends in order."""
    began = time.monotonic()
    standby.terminate()
    assert await asyncio.to_thread(standby.wait) == 0
    await healed(exchange)
    measured("hand-over at SIGTERM", time.monotonic() - began)


def _owners(starts: dict[Path, int], market: str) -> list[Path]:
    """The logs of the market's owners, in order of time: at first of the only worker, then of each that reports a recovery."""
    recovered = sorted((at, log) for log, start in starts.items() for at in _recoveries(log, start, market))
    return [next(iter(starts)), *(log for _, log in recovered)]


def _recoveries(log: Path, start: int, market: str) -> Iterator[str]:
    for line in log.read_bytes()[start:].splitlines():
        if f"{market} continues after command".encode() in line:
            yield msgspec.json.decode(line)["timestamp"]


def _changes(owners: Iterable[Path]) -> int:
    return sum(one != other for one, other in pairwise(owners))
