"""Clients of the socket rebuild the exchange while its parts are killed and their connections are cut."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from bench.exchange_process import ExchangeProcess
from bench.load.generator import make_traders
from tests.eventually import eventually
from tests.system.conftest import Measured, Start
from tests.system.faults import BACK_WITHIN_S, strike
from tests.system.live.against_rest import compare_books, final_states_are_equal
from tests.system.live.bad_network import BadNetwork, bad_network
from tests.system.live.follower import Follower
from tests.system.verdict import healed

USERS = 8
DEPTHS = (5, 10, 25, 50, 100, 500)
VICTIMS = ("api", "engine", "projection", "broker")


@dataclass(frozen=True)
class Size:
    """How long, with how much harm."""

    seconds: float
    kills: int
    cuts: int
    pace_s: float


SHORT = Size(8, 3, 12, 0.4)
FULL = Size(600, 30, 200, 0.4)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(FULL, id="full", marks=[pytest.mark.chaos, pytest.mark.timeout(1_500)]),
    ],
)
async def test_clients_rebuild_everything_through_kills_and_cuts(
    any_exchange: Start, size: Size, measured: Measured
) -> None:
    """Every trade and fill once, books as over REST at the same sequence, no gap, no crossed book, the final states of REST."""
    exchange = await any_exchange()
    async with bad_network(exchange.url, seed=19) as network:
        followers = await _followers(exchange, network)
        async with _running(followers) as running, aiohttp.ClientSession(exchange.url) as rest:
            trading = [asyncio.create_task(each.trade(seed, size.pace_s)) for seed, each in enumerate(followers)]
            running.extend(trading)
            harm = asyncio.create_task(_do_harm(exchange, network, size))
            compared = 0
            while not harm.done():
                compared += await compare_books(rest, followers)
                _raise_what_failed(running)
                await asyncio.sleep(0.3)
            harm.result()
            compared += await eventually(lambda: compare_books(rest, followers), BACK_WITHIN_S)
            for follower in followers:
                follower.is_over = True
            await eventually(lambda: _are_done(running, trading), BACK_WITHIN_S)
            await healed(exchange)
            await eventually(lambda: _are_current(running, followers), BACK_WITHIN_S)
            await final_states_are_equal(exchange.url, followers)
            _raise_what_failed(running)
    _say(measured, followers, network, compared)
    assert sum(network.cuts.values()) >= size.cuts * 0.8
    assert all(book.checked for each in followers for book in each.books.values())
    assert all(trades.trades for each in followers for trades in each.trades.values())
    assert sum(len(each.account.fills) for each in followers)


async def _followers(exchange: ExchangeProcess, network: BadNetwork) -> list[Follower]:
    traders = await make_traders(exchange.url, USERS)
    depths = itertools.cycle(DEPTHS)
    return [
        Follower(trader, network.url, next(depths), random.Random(number))  # noqa: S311 - a repeatable run
        for number, trader in enumerate(traders)
    ]


@asynccontextmanager
async def _running(followers: list[Follower]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """All of them connected; ended with the block."""
    tasks = [asyncio.create_task(each.follow()) for each in followers]
    try:
        await eventually(lambda: _are_current(tasks, followers), BACK_WITHIN_S)
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _do_harm(exchange: ExchangeProcess, network: BadNetwork, size: Size) -> None:
    """Kills and cuts at random instants of the time; every part is killed about as often."""
    chance = random.Random(int(size.seconds))  # noqa: S311 - a repeatable run
    parts = itertools.cycle(chance.sample(VICTIMS, len(VICTIMS)))
    plan = sorted(
        [(chance.random() * size.seconds, "kill") for _ in range(size.kills)]
        + [(chance.random() * size.seconds, "cut") for _ in range(size.cuts)]
    )
    began = time.monotonic()
    for at, what in plan:
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        if what == "kill":
            await strike(exchange, next(parts))
        else:
            await eventually(lambda: network.links, BACK_WITHIN_S)
            network.cut_one()
    await asyncio.sleep(max(0.0, began + size.seconds - time.monotonic()))


def _are_done(running: list[asyncio.Task[None]], trading: list[asyncio.Task[None]]) -> bool:
    _raise_what_failed(running)
    return all(task.done() for task in trading)


def _are_current(running: list[asyncio.Task[None]], followers: list[Follower]) -> bool:
    _raise_what_failed(running)
    return all(each.is_current for each in followers)


def _raise_what_failed(running: list[asyncio.Task[None]]) -> None:
    for task in running:
        if task.done():
            task.result()


def _say(measured: Measured, followers: list[Follower], network: BadNetwork, compared: int) -> None:
    ends = sum((each.ends for each in followers), Counter())
    later = sum((each.later for each in followers), Counter())
    measured(f"connections that ended, {dict(ends)}; asked again, {dict(later)}; cut {network.cuts}", ends.total())
    measured("books compared with REST at the same sequence", compared)
    measured("books begun again by resync", sum(book.resyncs for each in followers for book in each.books.values()))
    measured("orders", sum(len(each.accepted) for each in followers))
    measured("fills", sum(len(each.account.fills) for each in followers))
