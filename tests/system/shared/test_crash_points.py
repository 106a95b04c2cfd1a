"""Every named crash point is hit under load, in the whole tree."""

import pytest

from app.crash_at import crash_mark
from bench.exchange_process import ExchangeProcess
from store.crash_points import CrashPoint
from tests.eventually import eventually
from tests.system.conftest import Start
from tests.system.faults import let_go, standby_engine
from tests.system.patient_load import trading
from tests.system.verdict import healed, nothing_is_lost_or_doubled, one_event_a_sequence, until_accepted

HIT_WITHIN_S = 60.0
_ELSEWHERE = {
    CrashPoint.DURING_REBALANCE,
    # the load has no conditional orders: tests/api/test_activation.py
    CrashPoint.AFTER_ACTIVATION_BEFORE_COMMIT,
    CrashPoint.AFTER_ACTIVATION_COMMIT,
}
"""What needs more than load to be passed."""


@pytest.mark.timeout(400)
async def test_every_crash_point_is_hit_and_nothing_is_lost(any_exchange: Start) -> None:
    """Each part dies at its crash point, its successor continues: every accepted order ends or rests, fills are there once.

    The engine dies four times in a row, the second time while it recovers from the first.
    """
    exchange = await any_exchange()
    points = [point for point in CrashPoint if point not in _ELSEWHERE]
    async with trading(exchange.url) as load:
        await until_accepted(load, 20)
        await _die_at(exchange, *points)
        await _die_in_a_rebalance(exchange)
        await until_accepted(load, 20)
    assert load.amended > 0
    await nothing_is_lost_or_doubled(exchange, load)
    await one_event_a_sequence(exchange)


async def _die_in_a_rebalance(exchange: ExchangeProcess) -> None:
    """A standby joins, the owner has to let its markets go, and dies of it."""
    await healed(exchange)
    let_go(exchange.data, CrashPoint.DURING_REBALANCE)
    async with standby_engine(exchange):
        await eventually(crash_mark(exchange.data, CrashPoint.DURING_REBALANCE).exists, HIT_WITHIN_S)
        await healed(exchange)


async def _die_at(exchange: ExchangeProcess, *points: CrashPoint) -> None:
    """Let these points go, and wait until somebody has died at each."""
    for point in points:
        let_go(exchange.data, point)
    for point in points:
        await eventually(crash_mark(exchange.data, point).exists, HIT_WITHIN_S)
