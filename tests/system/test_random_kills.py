"""Parts killed at random instants under load, again and again; only behind `make chaos`."""

import asyncio
import random

import pytest

from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import kill
from tests.system.patient_load import trading
from tests.system.verdict import nothing_is_lost_or_doubled, one_event_a_sequence, until_taken

VICTIMS = {"kafka": ("api", "relay", "engine", "projection", "clock", "liquidator", "postgres", "broker")}
VICTIMS["embedded"] = VICTIMS["kafka"][:-1]  # whose death is the death of the log: the rebuild has its own tests


@pytest.mark.parametrize("kills", [pytest.param(200, marks=FULL, id="full")])
async def test_parts_killed_at_random_lose_nothing(
    any_exchange: Start, broker_kind: str, kills: int, measured: Measured
) -> None:
    """kill -9 of whatever part, whenever: every order taken ends or rests, fills are there once, the books balance."""
    exchange = await any_exchange(broker_kind)
    chance = random.Random(7)  # noqa: S311 - the same victims on every run
    async with trading(exchange.url) as load:
        for _ in range(kills):
            await asyncio.sleep(chance.random())
            await kill(exchange, chance.choice(VICTIMS[broker_kind]))
            await until_taken(load, 5)
    await nothing_is_lost_or_doubled(exchange, load)
    measured(f"orders through {kills} kills on the {broker_kind} broker", len(load.taken))
    measured("events, each written with one content only", await one_event_a_sequence(exchange))
