"""Orders as fast as 32 clients can send them."""

from collections.abc import Callable

import aiohttp
import pytest

from bench.load.generator import make_traders, send_orders
from tests.system.conftest import FULL, Start
from tests.system.verdict import every

CLIENTS = 32


@pytest.mark.parametrize("count", [pytest.param(3_000, id="short"), pytest.param(10_000, marks=FULL, id="full")])
async def test_thousands_of_orders_are_all_matched_and_persisted(
    any_exchange: Start, record_property: Callable[[str, object], None], count: int
) -> None:
    """None refused, none lost, none PENDING once the drain has answered; the books balance."""
    exchange = await any_exchange()
    traders = await make_traders(exchange.url, CLIENTS)
    outcome = await send_orders(exchange.url, traders, count)
    assert outcome.statuses == {202: count}
    record_property("accepted_per_second", round(count / outcome.seconds))
    code, printed = await exchange.command("drain")
    assert code == 0, printed
    async with aiohttp.ClientSession(exchange.url) as session:
        orders = [order for trader in traders for order in await every(session, trader, "/orders")]
    assert {order["orderId"] for order in orders} == {order_id for _, order_id in outcome.accepted}
    assert len(orders) == count
    assert "PENDING" not in {order["status"] for order in orders}
    code, printed = await exchange.command("audit")
    assert code == 0, printed
