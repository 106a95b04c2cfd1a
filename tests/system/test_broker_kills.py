"""The whole tree is killed under load, again and again."""

import time

import pytest

from tests.system.conftest import Measured, Start
from tests.system.patient_load import trading
from tests.system.verdict import nothing_is_lost_or_doubled, one_event_a_sequence, until_accepted


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
