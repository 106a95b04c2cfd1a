"""Market data at full size: 1,000,000 trades and 100,000 resting orders, and how long each read takes."""

import time
from collections.abc import Awaitable, Callable

import pytest

from schemas.ids import order_key
from schemas.rest.market_data import CandleInterval
from store.markets.candles import roll_candles
from store.queries.market_data.candles import list_candles
from store.queries.market_data.order_book import read_order_book
from store.queries.market_data.ticker import read_ticker
from store.queries.market_data.trades import list_trades
from store.queries.paging import ListRequest
from store.session.connect import Session, connect_reader_pool, connect_writer

BTC = "BTC-PERP"
_ORDERS = f"""
INSERT INTO orders (order_id, user_id, market_id, is_live, status, side, type, time_in_force, self_trade_prevention, post_only,
  reduce_only, quantity, remaining, price, margin_price, loss_per_lot, fee_per_lot, created_at, updated_at)
SELECT {order_key(1, 0)} + n, 1 + n % 1000, 1, n > $1 * 3, CASE WHEN n > $1 * 3 THEN 'OPEN' ELSE 'FILLED' END,
  CASE n % 2 WHEN 0 THEN 'BUY' ELSE 'SELL' END, 'LIMIT', 'GTC', 'EXPIRE_MAKER', false, false, 10, 10,
  600000 + CASE n % 2 WHEN 0 THEN -1 ELSE 1 END * (1 + n * 7919 / 2 % 200), 1, 0, 0,
  '2027-01-01Z'::timestamptz + n * interval '1 second', '2027-01-01Z' FROM generate_series(1::int8, $1 * 4) n
"""
_FILLS = f"""
INSERT INTO fills SELECT 1, n, r, n + 1, {order_key(1, 0)} + n, 1 + n % 1000, CASE r WHEN 'TAKER' THEN 'BUY' ELSE 'SELL' END,
  600000 + n * 7919 % 1000, 1 + n % 50, 60000 * (1 + n % 50), 0, 0, 'TRADE', '2027-01-01Z'::timestamptz + n * interval '250 ms'
  FROM generate_series(1::int8, $1) n, (VALUES ('MAKER'), ('TAKER')) v (r)
"""
_PROGRESS = f"""
UPDATE progress SET command_seq = {2**40 - 1}, event_seq = $1 + 1,
  at = '2027-01-01Z'::timestamptz + $1 * interval '250 ms' WHERE market_id = 1
"""
Reads = dict[str, Callable[[], Awaitable[object]]]


async def test_candles_agree_and_reads_are_reported(database: str) -> None:
    """The short run: 20,000 trades and 2,000 orders, kept and not kept alike."""
    await _compare(database, trades=20_000, orders=2_000)


@pytest.mark.chaos
async def test_candles_agree_and_reads_are_reported_at_full_size(database: str) -> None:
    """The full run."""
    await _compare(database, trades=1_000_000, orders=100_000)


async def _compare(dsn: str, *, trades: int, orders: int) -> None:
    """Read everything from the trades alone, then with the candles kept: the same answers; print both times."""
    writer = await connect_writer(dsn, "bar", command_timeout_s=120)
    for statement, number in ((_ORDERS, orders), (_FILLS, trades), (_PROGRESS, trades)):
        await writer.execute(statement, number)
    await writer.execute("VACUUM ANALYZE")
    pool = await connect_reader_pool(dsn, "bar", command_timeout_s=60)
    async with pool.acquire() as session:
        reads = _reads(session)
        bare = {name: await _timed(read) for name, read in reads.items()}
        while await roll_candles(writer):
            pass
        kept = {name: await _timed(read) for name, read in reads.items()}
    await pool.close()
    await writer.close()
    for name, (answer, took_ms) in kept.items():
        print(f"  {name}: {bare[name][1]:.1f} ms from the trades, {took_ms:.1f} ms with candles kept")  # noqa: T201
        assert answer == bare[name][0], name


def _reads(session: Session) -> Reads:
    def candles(interval: CandleInterval, limit: int) -> Callable[[], Awaitable[object]]:
        return lambda: list_candles(session, BTC, interval, ListRequest(limit=limit))

    reads: Reads = {f"100 candles of {each}": candles(each, 100) for each in CandleInterval}
    reads["500 candles of 1m"] = candles(CandleInterval.MINUTE, 500)
    reads["ticker"] = lambda: read_ticker(session, BTC)
    reads["100 trades"] = lambda: list_trades(session, BTC, ListRequest())
    for depth in (1, 50, 500):
        reads[f"order book of {depth}"] = lambda depth=depth: read_order_book(session, BTC, depth)  # type: ignore[misc]  # bound now
    return reads


async def _timed(read: Callable[[], Awaitable[object]]) -> tuple[object, float]:
    """The answer of the second time, and how long it took."""
    await read()
    began = time.perf_counter()
    answer = await read()
    return answer, (time.perf_counter() - began) * 1_000
