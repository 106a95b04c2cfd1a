"""Replies that get lost, and clients who ask again."""

import pytest

from bench.load.generator import make_traders
from tests.system.conftest import FULL, Measured, Start
from tests.system.patient_load import place_all
from tests.system.reply_cutter import cutting_replies
from tests.system.verdict import nothing_is_lost_or_doubled

CLIENTS = 20
SHARE = 0.3


@pytest.mark.parametrize("orders", [pytest.param(1_000, id="short"), pytest.param(10_000, marks=FULL, id="full")])
async def test_orders_repeated_after_cut_replies_are_stored_once(
    any_exchange: Start, orders: int, measured: Measured
) -> None:
    """Three replies in ten are cut; clients repeat with the same client ids: exactly as many orders as they wanted."""
    exchange = await any_exchange()
    traders = await make_traders(exchange.url, CLIENTS)
    async with cutting_replies(exchange.url, SHARE) as (url, cutter):
        load = await place_all(url, traders, orders)
    assert len(load.accepted) == orders
    assert cutter.cut >= orders * SHARE * 0.8
    assert load.replies[200, ""] > 0, "some of those that were cut had been stored"
    await nothing_is_lost_or_doubled(exchange, load)
    measured("replies cut", cutter.cut)
