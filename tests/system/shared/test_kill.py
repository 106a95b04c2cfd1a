"""Everything killed at once under load, started again on the same folder: nothing is lost, nothing doubled."""

import asyncio
from collections import Counter

import aiohttp

from bench.load.generator import Outcome, Trader, make_traders, send_orders
from tests.eventually import eventually
from tests.system.conftest import Start
from tests.system.verdict import every

CLIENTS = 8
LIVE_OR_ENDED = {"OPEN", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED", "REJECTED"}


async def test_the_whole_tree_killed_under_load_loses_nothing(any_exchange: Start) -> None:
    """Every order that was answered 202 has ended or rests, every fill is there once, and the books balance."""
    exchange = await any_exchange()
    traders = await make_traders(exchange.url, CLIENTS)
    load = asyncio.create_task(send_orders(exchange.url, traders, 1_000_000))
    await _until_it_trades(exchange.url, traders[0])
    await exchange.kill_all()
    outcome: Outcome = await load
    assert outcome.cut == CLIENTS
    assert len(outcome.accepted) > 100

    await exchange.start()
    code, printed = await exchange.command("drain")
    assert code == 0, printed
    async with aiohttp.ClientSession(exchange.url) as session:
        orders = {order["orderId"]: order for trader in traders for order in await every(session, trader, "/orders")}
        fills = [fill for trader in traders for fill in await every(session, trader, "/fills")]
    assert {order_id for _, order_id in outcome.accepted} <= orders.keys()
    assert {order["status"] for order in orders.values()} <= LIVE_OR_ENDED
    sides = Counter((fill["tradeId"], fill["liquidityRole"]) for fill in fills)
    assert sides
    assert set(sides.values()) == {1}
    code, printed = await exchange.command("audit")
    assert code == 0, printed


async def _until_it_trades(url: str, trader: Trader) -> None:
    async with aiohttp.ClientSession(url) as session:

        async def has_fills() -> bool:
            async with session.get("/fills?limit=30", headers=trader.headers) as answer:
                return len((await answer.json())["data"]) == 30

        await eventually(has_fills)
