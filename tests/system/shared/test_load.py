"""Ten thousand orders as fast as 32 clients can send them."""

from collections.abc import Callable

import aiohttp

from bench.load.generator import make_traders, send_orders
from tests.system.conftest import Start
from tests.system.verdict import every

ORDERS = 10_000
CLIENTS = 32


async def test_ten_thousand_orders_are_all_matched_and_persisted(
    any_exchange: Start, record_property: Callable[[str, object], None]
) -> None:
    """None refused, none lost, none PENDING once the drain has answered; the books balance."""
    exchange = await any_exchange()
    traders = await make_traders(exchange.url, CLIENTS)
    outcome = await send_orders(exchange.url, traders, ORDERS)
    assert outcome.statuses == {202: ORDERS}
    record_property("accepted_per_second", round(ORDERS / outcome.seconds))
    code, printed = await exchange.command("drain")
    assert code == 0, printed
    async with aiohttp.ClientSession(exchange.url) as session:
        orders = [order for trader in traders for order in await every(session, trader, "/orders")]
    assert {order["orderId"] for order in orders} == {order_id for _, order_id in outcome.accepted}
    assert len(orders) == ORDERS
    assert "PENDING" not in {order["status"] for order in orders}
    code, printed = await exchange.command("audit")
    assert code == 0, printed
