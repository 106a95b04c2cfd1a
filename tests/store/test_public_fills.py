"""The public fill of a trade is the same whether it is read from the event log or from the tables."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from msgspec.structs import replace

from agents.fills.trades import read_trades
from exchange.errors import UnknownRules
from schemas.commands import Counterparty, Deleverage, Liquidate, TakeOver
from schemas.executions import Execution, encode_execution, executions_of_trades, orders_of
from schemas.fills import PublicFill, encode_fill, fills_of_events
from schemas.orders import FillCause, Side
from schemas.units import Lots, Micros, Ticks
from schemas.wire import RULES_VERSION
from store.queries.market_data.executions import read_executions
from store.queries.market_data.public_fills import newest_public_fill, read_public_fills, replay_fills
from store.queries.paging import ListRequest
from tests.store.projection_builders import NOON, Exchange, an_order, open_exchange

BTC = "BTC-PERP"
USDC = 1_000_000


@pytest_asyncio.fixture
async def exchange(database: str) -> AsyncIterator[Exchange]:
    """Real tables and engines."""
    opened = await open_exchange(database)
    yield opened
    await opened.close()


async def everything_forced(exchange: Exchange) -> None:
    """Trades of two users, then a liquidation that trades, a take-over below zero and a deleveraging of a third of the rest."""
    buyer, seller, maker = [await exchange.user(f"{name}@x.io", "100000") for name in ("long", "short", "maker")]
    await exchange.submit(BTC, an_order(buyer, Side.BUY, 1_000, 600_000))
    await exchange.submit(BTC, an_order(seller, Side.SELL, 400, 600_000))
    await exchange.submit(BTC, an_order(seller, Side.SELL, 600, 600_000))
    await exchange.submit(BTC, an_order(maker, Side.BUY, 200, 590_000))
    step = Liquidate(NOON, buyer, 7, 1, Side.SELL, Lots(200), Ticks(570_000), Micros(9_988 * USDC), 20)
    await exchange.submit(BTC, step)
    named = (7, 2, 800, Micros(48_000 * USDC), Micros(45_600 * USDC))
    await exchange.submit(BTC, Deleverage(NOON, buyer, *named, (Counterparty(seller, Lots(300)),)))
    left = (7, 3, 500, Micros(30_000 * USDC), Micros(-100 * USDC))
    await exchange.submit(BTC, TakeOver(NOON, buyer, *left))
    await exchange.settle()


def executions_of_the_log(exchange: Exchange) -> list[Execution]:
    """Both sides of every fill of the market, out of its events; no order of these has a client order id."""
    spec = exchange.registry.by_name[BTC].spec
    trades = [trade for record in exchange.records(BTC, 1) for trade in read_trades(record)[0]]
    return list(executions_of_trades(spec, trades, fills_of_events(spec, trades), dict.fromkeys(orders_of(trades))))


def fills_of_the_log(exchange: Exchange) -> list[PublicFill]:
    """Every fill of the market, out of its events."""
    spec = exchange.registry.by_name[BTC].spec
    return [fill for record in exchange.records(BTC, 1) for fill in fills_of_events(spec, read_trades(record)[0])]


async def test_log_and_tables_give_the_same_bytes_for_every_kind_of_fill(exchange: Exchange) -> None:
    """A consumer that reads a fill twice, from the stream and over REST, after a rebuild too, can compare it byte by byte."""
    await everything_forced(exchange)
    logged = fills_of_the_log(exchange)
    stored = await read_public_fills(exchange.session, BTC, 1, 100)
    assert [encode_fill(fill) for fill in stored] == [encode_fill(fill) for fill in logged]
    assert [fill.sequence for fill in logged] == list(range(1, 6))
    causes = [FillCause.TRADE, FillCause.TRADE, FillCause.LIQUIDATION, FillCause.ADL, FillCause.TAKE_OVER]
    assert [fill.cause for fill in logged] == causes


async def test_executions_of_forced_fills_are_the_same_from_the_log_and_from_the_tables(exchange: Exchange) -> None:
    """Trades, a liquidation, a deleveraging and a take-over: two sides of each, the fund by its name, without orders where there are none."""
    await everything_forced(exchange)
    logged = executions_of_the_log(exchange)
    stored = await read_executions(exchange.session, BTC, 1, 100)
    assert [encode_execution(each) for each in stored] == [encode_execution(each) for each in logged]
    assert [each.sequence for each in logged] == list(range(1, 11))
    fund, bankrupt = logged[-2:]
    assert (fund.user_id, fund.order_id, fund.fee, fund.cause) == ("INSURANCE_FUND", None, "0", FillCause.TAKE_OVER)
    assert bankrupt.position_after == "0" != fund.position_after


async def test_fills_of_newer_rules_are_not_guessed(exchange: Exchange) -> None:
    """Events that this code does not know may be trades: to pass them would leave a hole in the stream."""
    await everything_forced(exchange)
    record = exchange.records(BTC, 1)[-1]
    with pytest.raises(UnknownRules):
        read_trades(replace(record, rules=RULES_VERSION + 1))


async def test_a_fill_without_orders_says_so(exchange: Exchange) -> None:
    """A deleveraging and a take-over have no order ids; the amount may be below zero, the price is at least a tick."""
    await everything_forced(exchange)
    *_, adl, taken = fills_of_the_log(exchange)
    assert [(fill.maker_order_id, fill.taker_order_id) for fill in (adl, taken)] == [(None, None)] * 2
    assert (adl.quantity, adl.notional, adl.price, adl.taker_side) == ("0.3", "17100", "57000", Side.SELL)
    assert (taken.quantity, taken.notional, taken.price) == ("0.5", "-100", "0.1")


async def test_every_trade_of_the_tables_is_one_fill_of_the_stream(exchange: Exchange) -> None:
    """Two rows a trade, one record; the newest is found, and an unknown market has none."""
    await everything_forced(exchange)
    trades = await exchange.session.fetch("SELECT DISTINCT trade_id FROM fills WHERE market_id = 1 ORDER BY 1")
    stored = await read_public_fills(exchange.session, BTC, 1, 100)
    assert [row["trade_id"] for row in trades] == [fill.sequence for fill in stored]
    assert await newest_public_fill(exchange.session, BTC) == 5
    assert await newest_public_fill(exchange.session, "ETH-PERP") == 0
    assert await read_public_fills(exchange.session, "nobody", 1, 100) == []
    assert await replay_fills(exchange.session, "nobody", ListRequest()) is None
