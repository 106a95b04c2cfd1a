"""Exits over REST: a gap moves a take-profit, and everybody sees the price at which it rests now."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from schemas.commands import AdvanceClock, SetIndex
from schemas.units import Nanos, Timestamp
from store.audit.audit import audit
from store.command_log.commands import append_command
from tests.api.exchange import Client, Exchange, now

MARKET = "BTC-PERP"


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """The API on a fresh database with engines in memory; the books must balance at the end."""
    running = await Exchange(database).start()
    yield running
    await running.stop()
    session = await asyncpg.connect(database)
    findings = await audit(session)
    await session.close()
    assert findings == []


async def command(exchange: Exchange, *commands: SetIndex | AdvanceClock) -> None:
    """Commands of the operator and the clock, then everything is matched and persisted."""
    session = await asyncpg.connect(exchange.dsn)
    for each in commands:
        await append_command(session, MARKET, each)
    await session.close()
    await exchange.run_engine()


async def index(exchange: Exchange, usdc: int) -> None:
    """The index jumps."""
    await command(exchange, SetIndex(now(), Nanos(usdc * 10**9)))


async def long_with_take_profit(exchange: Exchange) -> tuple[Client, Client, str]:
    """Long 0.1 from 60,000 with a take-profit at 61,000; the trader, the maker, and the take-profit's id."""
    maker, trader = await exchange.user("100000"), await exchange.user("100000")
    await maker.order(side="SELL")
    await trader.order()
    await exchange.run_engine()
    placed = await trader.order(side="SELL", price="61000", reduceOnly=True, clientOrderId="take-profit")
    assert placed.status == 202
    await exchange.run_engine()
    return trader, maker, placed.body["orderId"]


async def test_a_take_profit_that_a_gap_has_passed_shows_its_new_price_and_fills_there(exchange: Exchange) -> None:
    """The index goes to 62,600: the order is at 61,035 for its owner and in the book, a retry finds it, a bid fills it."""
    trader, maker, order = await long_with_take_profit(exchange)
    await index(exchange, 62_600)
    seen = (await trader.get(f"/orders/{order}")).body
    assert (seen["status"], seen["price"], seen["remainingQuantity"]) == ("OPEN", "61035", "0.1")
    book = (await trader.get(f"/markets/{MARKET}/orderbook")).body
    assert [(ask["price"], ask["quantity"]) for ask in book["asks"]] == [("61035", "0.1")]
    again = await trader.order(side="SELL", price="61000", reduceOnly=True, clientOrderId="take-profit")
    assert (again.status, again.body["orderId"], again.headers["Idempotent-Replayed"]) == (200, order, "true")
    assert (await maker.order(price="62500")).status == 202
    await exchange.run_engine()
    fill = (await trader.get("/fills")).body[0]
    assert (fill["orderId"], fill["price"], fill["quantity"]) == (order, "61035", "0.1")
    assert (await trader.get("/positions")).body == []


async def test_an_order_that_fills_nothing_leaves_the_take_profit(exchange: Exchange) -> None:
    """A reduce-only IOC at 60,500 against a best bid of 59,900 expires, and the take-profit still rests."""
    trader, maker, order = await long_with_take_profit(exchange)
    await maker.order(price="59900")
    tried = await trader.order(side="SELL", price="60500", reduceOnly=True, timeInForce="IOC")
    assert tried.status == 202
    await exchange.run_engine()
    ended = (await trader.get(f"/orders/{tried.body['orderId']}")).body
    assert (ended["status"], ended["reason"]) == ("EXPIRED", "IOC_REMAINDER")
    assert (await trader.get(f"/orders/{order}")).body["status"] == "OPEN"


async def test_crumbs_do_not_move_the_mark(exchange: Exchange) -> None:
    """Index 61,600, a print of 0.001 at 62,700, bid 0.17 at 61,500, ask 0.011 at 1,000,000: the mark stays within 10."""
    await index(exchange, 61_600)
    thief, partner = await exchange.user("1000000"), await exchange.user("1000000")
    await thief.order(side="SELL", price="62700", quantity="0.001")
    await partner.order(side="BUY", price="62700", quantity="0.001")
    await thief.order(side="BUY", price="61500", quantity="0.17")
    await thief.order(side="SELL", price="1000000", quantity="0.011")
    await exchange.run_engine()
    assert (await thief.get(f"/markets/{MARKET}/trades")).body["data"][0]["price"] == "62700"
    at = now()
    await command(exchange, *(AdvanceClock(Timestamp(at + second * 1_000_000)) for second in (1, 2, 3)))
    market = (await thief.get(f"/markets/{MARKET}")).body
    assert abs(float(market["markPrice"]) - 61_600) <= 10
