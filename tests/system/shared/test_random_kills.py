"""Parts killed at random instants under load, again and again."""

import asyncio
import random

import pytest

from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import strike
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, until_accepted

_WORKERS = ("relay", "engine", "projection", "publisher", "clock", "liquidator")
VICTIMS = ("api", *_WORKERS, "postgres", "broker")


@pytest.mark.parametrize("rounds", [pytest.param(1, id="short"), pytest.param(29, marks=FULL, id="full")])
async def test_parts_killed_at_random_lose_nothing(any_exchange: Start, rounds: int, measured: Measured) -> None:
    """kill -9 of any part at any time: every accepted order ends or rests, fills are there once, the books balance.

    A round kills every part once, within seconds: most die while others are starting.
    """
    exchange = await any_exchange()
    chance = random.Random(7)  # noqa: S311 - the same victims on every run
    async with trading(exchange.url) as load:
        for _ in range(rounds):
            await until_accepted(load, 20)
            for part in chance.sample(VICTIMS, len(VICTIMS)):
                await asyncio.sleep(chance.random())
                await strike(exchange, part)
            await healed(exchange)
    await nothing_is_lost_or_doubled(exchange, load)
    measured(f"orders through {rounds * len(VICTIMS)} kills", len(load.accepted))
    measured("events, each written with one content only", await one_event_a_sequence(exchange))
