"""Parts killed at random instants under load, again and again."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from tests.system.conftest import FULL, Measured, Start
from tests.system.faults import kill
from tests.system.patient_load import trading
from tests.system.verdict import nothing_is_lost_or_doubled, one_event_a_sequence, until_taken

VICTIMS = {"kafka": ("api", "relay", "engine", "projection", "clock", "postgres", "broker")}
VICTIMS["embedded"] = VICTIMS["kafka"][:-1]  # whose death is the death of the log: the rebuild has its own tests


@pytest.mark.parametrize("kills", [pytest.param(7, id="short"), pytest.param(200, marks=FULL, id="full")])
async def test_parts_killed_at_random_lose_nothing(any_exchange: Start, kills: int, measured: Measured) -> None:
    """kill -9 of whatever part, whenever: every order taken ends or rests, fills are there once, the books balance."""
    exchange = await any_exchange()
    chance = random.Random(7)  # noqa: S311 - the same victims on every run
    victims = _in_random_rounds(VICTIMS[exchange.broker], chance)
    async with trading(exchange.url) as load:
        for _ in range(kills):
            await asyncio.sleep(chance.random())
            await kill(exchange, next(victims))
            await until_taken(load, 5)
    await nothing_is_lost_or_doubled(exchange, load)
    measured(f"orders through {kills} kills on the {exchange.broker} broker", len(load.taken))
    measured("events, each written with one content only", await one_event_a_sequence(exchange))


def _in_random_rounds(parts: tuple[str, ...], chance: random.Random) -> Iterator[str]:
    """Every part once in an order of its own, again and again."""
    while True:
        yield from chance.sample(parts, len(parts))
