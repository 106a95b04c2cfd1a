"""The whole tree is told to stop while clients trade."""

import time

import pytest

from tests.system.conftest import EVERY_BROKER, FULL, REAL_BROKER, Measured, Start
from tests.system.patient_load import trading
from tests.system.verdict import nothing_is_lost_or_doubled, until_taken

pytestmark = pytest.mark.timeout(400)  # a tree on a busy machine takes its time


@pytest.mark.parametrize(
    ("broker", "rounds", "within_s"),
    [
        pytest.param(REAL_BROKER, 1, 20.0, id="short"),  # ten seconds, and what a busy machine adds
        *(pytest.param(broker, 10, 10.0, marks=FULL, id=f"full-{broker}") for broker in EVERY_BROKER),
    ],
)
async def test_the_tree_stops_in_order_under_load(
    any_exchange: Start, broker: str, rounds: int, within_s: float, measured: Measured
) -> None:
    """SIGTERM: every part finishes what it has in hand, exit code 0 within ten seconds; the next start goes on."""
    exchange = await any_exchange(broker)
    async with trading(exchange.url) as load:
        for _ in range(rounds):
            await until_taken(load, 20)
            began = time.monotonic()
            assert await exchange.stop() == 0
            stopped_s = time.monotonic() - began
            measured(f"graceful stop on the {broker} broker", stopped_s)
            await exchange.start()
            assert stopped_s <= within_s
            load.url = exchange.url
    await nothing_is_lost_or_doubled(exchange, load)
