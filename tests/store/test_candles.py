"""Candles: kept or not, in pages or whole, they are what a plain loop over the trades makes of them."""

import random
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import asyncpg
import pytest_asyncio

from schemas.market import SEED_MARKETS
from schemas.refusals import Refused
from schemas.rest.market_data import CandleInterval, CandleView
from schemas.units import SECOND_US, Timestamp, datetime_of, format_micros, format_timestamp
from store.markets.candles import roll_candles
from store.queries.formatting import price_text, quantity_text
from store.queries.market_data.candles import list_candles
from store.queries.market_data.ticker import read_ticker
from store.queries.paging import ListRequest
from store.session.connect import Connection
from tests.store.projection_builders import NOON, seeded

BTC = "BTC-PERP"
SPEC = SEED_MARKETS[0]
DAY_US = 86_400 * SECOND_US
ALL = ListRequest(limit=500)
_FILL = """
INSERT INTO fills (market_id, trade_id, role, event_seq, order_id, user_id, side, price, quantity, notional, fee, realized,
  cause, at) VALUES (1, $1, $2, $1, $3, 1, 'BUY', $4, $5, $6, 0, 0, 'TRADE', $7)
"""


class Trade(NamedTuple):
    """What a candle is made of."""

    number: int
    at: int
    price: int
    lots: int


@pytest_asyncio.fixture
async def session(database: str) -> AsyncIterator[Connection]:
    """A seeded database without any trade."""
    opened: Connection = await asyncpg.connect(database)
    yield opened
    await opened.close()


async def happen(session: Connection, trades: Sequence[Trade]) -> None:
    """Both fills of each trade, as the projection writes them."""
    rows = [
        (t.number, role, t.number, t.price, t.lots, SPEC.notional(t.price, t.lots), datetime_of(t.at))
        for t in trades
        for role in ("MAKER", "TAKER")
    ]
    await session.executemany(_FILL, rows)
    last = max(trade.at for trade in trades)
    await session.execute("UPDATE progress SET at = $1 WHERE market_id = 1", datetime_of(last))


async def candles(session: Connection, interval: CandleInterval, request: ListRequest = ALL) -> list[CandleView]:
    """A page of them, newest first."""
    page = await list_candles(session, BTC, interval, request)
    assert page is not None
    assert not isinstance(page, Refused)
    return page.data


async def pages(session: Connection, interval: CandleInterval, size: int) -> list[CandleView]:
    """All of them, in pages of `size`."""
    found: list[CandleView] = []
    cursor = None
    while True:
        page = await list_candles(session, BTC, interval, ListRequest(limit=size, cursor=cursor))
        assert page is not None
        assert not isinstance(page, Refused)
        found, cursor = found + page.data, page.next_cursor
        if cursor is None:
            return found


def model(trades: Sequence[Trade], interval: CandleInterval) -> list[CandleView]:
    """The same by a plain loop, oldest interval first, answered newest first."""
    step = interval.seconds * SECOND_US
    starts = [trade.at // step * step for trade in trades]
    views, close = [], 0
    for start in range(min(starts), max(starts) + step, step):
        inside = sorted(trade for trade in trades if trade.at // step * step == start)
        prices = [trade.price for trade in inside] or [close]
        close = prices[-1]
        shown = (price_text(SPEC, price) for price in (prices[0], max(prices), min(prices), close))
        notional = sum(SPEC.notional(trade.price, trade.lots) for trade in inside)
        lots = sum(trade.lots for trade in inside)
        sums = (quantity_text(SPEC, lots), format_micros(notional), len(inside))
        views.append(CandleView(format_timestamp(start), *shown, *sums))
    return views[::-1]


def three_days(chance: random.Random) -> list[Trade]:
    """Trades in bursts with quiet hours between; a trade's time may be earlier than that of the one before."""
    at, trades = NOON - 3 * DAY_US, []
    for number in range(1, 401):
        at += chance.choice((0, SECOND_US, 20 * SECOND_US, 90 * SECOND_US, 3_000 * SECOND_US))
        late = chance.randint(0, 90 * SECOND_US) if chance.random() < 0.2 else 0
        trades.append(Trade(number, at - late, chance.randint(599_000, 601_000), chance.randint(1, 50)))
    return trades


async def test_candles_are_what_the_trades_come_to(session: Connection) -> None:
    """At every interval, whether all, some or none of the trades are kept, however many were rolled at once."""
    chance = seeded(7)
    trades = three_days(chance)
    for first in range(0, 400, 100):
        await happen(session, trades[first : first + 100])
        happened = trades[: first + 100]
        for interval in CandleInterval:
            assert await candles(session, interval) == model(happened, interval)[:500], (first, interval)
        while await roll_candles(session, chance.randint(1, 40)) > 20:
            pass  # a few stay after the cursor
    for interval in (CandleInterval.QUARTER, CandleInterval.DAY):
        assert await pages(session, interval, 7) == model(trades, interval)
    while await roll_candles(session):
        pass
    assert await pages(session, CandleInterval.MINUTE, 499) == model(trades, CandleInterval.MINUTE)
    kept = await session.fetch(
        "SELECT span_s, sum(trades) AS n, sum(quantity) AS lots FROM candles GROUP BY 1 ORDER BY 1"
    )
    lots = sum(trade.lots for trade in trades)
    assert [tuple(row) for row in kept] == [(60, 400, lots), (3_600, 400, lots)]


async def test_candles_of_a_period_start_in_it(session: Connection) -> None:
    """From inclusive, to exclusive, off the grid too; none before the first trade nor after the market's present."""
    hour = 3_600 * SECOND_US
    await happen(session, [Trade(1, NOON + 60, 600_000, 1), Trade(2, NOON + 3 * hour + 60, 600_010, 2)])
    whole = await candles(session, CandleInterval.HOUR)
    assert [(view.close, view.trades) for view in whole] == [("60001", 1), ("60000", 0), ("60000", 0), ("60000", 1)]

    async def between(since: int | None, until: int | None) -> list[CandleView]:
        period = ListRequest(
            from_=None if since is None else Timestamp(since), to=None if until is None else Timestamp(until)
        )
        return await candles(session, CandleInterval.HOUR, period)

    assert await between(NOON + hour, NOON + 2 * hour) == whole[2:3]
    assert await between(NOON + 1, NOON + 2 * hour + 1) == whole[1:3]
    assert await between(NOON - DAY_US, None) == whole
    assert await between(None, NOON) == await between(NOON + 4 * hour, None) == await between(NOON + 9, NOON + 8) == []


async def test_two_who_roll_at_once_count_no_trade_twice(session: Connection, database: str) -> None:
    """The second waits for the cursor and continues from where the first has left it."""
    await happen(session, [Trade(n, NOON + n, 600_000 + n, 1) for n in range(1, 11)])
    await roll_candles(session, 1)
    other: Connection = await asyncpg.connect(database)
    transaction = session.transaction()
    await transaction.start()
    await roll_candles(session, 5)
    await other.execute("SET lock_timeout = '50ms'")
    try:
        await roll_candles(other)
    except asyncpg.LockNotAvailableError:
        await transaction.commit()
    assert await roll_candles(other) == 4
    await other.close()
    (view,) = await candles(session, CandleInterval.MINUTE)
    assert (view.open, view.high, view.close, view.trades) == ("60000.1", "60001", "60001", 10)
    assert await session.fetchval("SELECT trades FROM candles WHERE span_s = 60") == 10


async def test_the_ticker_looks_back_one_day(session: Connection) -> None:
    """From the minute that was under way a day ago: 24 h are 24 h, with the trades kept and with them not."""
    old, edge = NOON - DAY_US - SECOND_US, NOON - DAY_US
    trades = [
        Trade(1, old, 500_000, 9),
        Trade(2, edge, 590_000, 1),
        Trade(3, NOON - 5, 610_000, 2),
        Trade(4, NOON, 600_000, 3),
    ]
    await happen(session, trades)
    for _ in range(2):
        ticker = await read_ticker(session, BTC)
        assert ticker is not None
        assert (ticker.volume_24h, ticker.notional_24h, ticker.trades_24h) == ("0.006", "361", 3)
        assert (ticker.open_24h, ticker.high_24h, ticker.low_24h) == ("59000", "61000", "59000")
        assert (ticker.last_price, ticker.change_24h, ticker.change_rate_24h) == ("60000", "1000", "0.016949")
        await roll_candles(session)


async def test_what_changes_hands_without_the_book_is_no_trade(session: Connection) -> None:
    """A take-over has no order: it moves the cursor, and neither candle nor ticker."""
    await happen(session, [Trade(1, NOON, 600_000, 1), Trade(2, NOON, 300_000, 7)])
    await session.execute("UPDATE fills SET order_id = NULL, cause = 'TAKE_OVER' WHERE trade_id = 2")
    for _ in range(2):
        assert [(view.low, view.trades) for view in await candles(session, CandleInterval.DAY)] == [("60000", 1)]
        ticker = await read_ticker(session, BTC)
        assert ticker is not None
        assert (ticker.last_price, ticker.volume_24h) == ("60000", "0.001")
        await roll_candles(session)
    assert await session.fetchval("SELECT trade_id FROM candle_cursors WHERE market_id = 1") == 2
