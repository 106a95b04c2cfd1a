"""Candles of one minute and one hour, updated after the projection by a separate session.

A market's trades become visible in the order of their counter, so a cursor over it misses none. A reader adds the trades
after the cursor itself, so it never waits for this session and never misses a trade.
"""

from store.session.connect import Session

TRADES_A_ROLL = 20_000

_LIST = """
INSERT INTO candle_cursors (market_id, trade_id) SELECT market_id, 0 FROM markets
WHERE market_id NOT IN (SELECT market_id FROM candle_cursors) ON CONFLICT DO NOTHING
"""
_ROLL = """
WITH place AS MATERIALIZED (
  SELECT market_id, trade_id FROM candle_cursors ORDER BY market_id FOR UPDATE
), fresh AS MATERIALIZED (
  SELECT p.market_id, f.* FROM place p CROSS JOIN LATERAL (
    SELECT x.trade_id, x.at, x.price, x.quantity, x.notional, x.order_id IS NOT NULL AS is_public FROM fills x
    WHERE x.market_id = p.market_id AND x.trade_id > p.trade_id AND x.role = 'TAKER' ORDER BY x.trade_id LIMIT $1) f
), kept AS (
  INSERT INTO candles AS c SELECT f.market_id, s.span_s, date_bin(s.span, f.at, '1970-01-01Z'),
    (array_agg(f.price ORDER BY f.trade_id))[1], max(f.price), min(f.price),
    (array_agg(f.price ORDER BY f.trade_id DESC))[1], sum(f.quantity), sum(f.notional), count(*), min(f.trade_id),
    max(f.trade_id)
  FROM fresh f CROSS JOIN (VALUES (60, interval '1 minute'), (3600, interval '1 hour')) s (span_s, span)
  WHERE f.is_public GROUP BY 1, 2, 3
  ON CONFLICT (market_id, span_s, start) DO UPDATE SET high = greatest(c.high, excluded.high),
    low = least(c.low, excluded.low), close = excluded.close, quantity = c.quantity + excluded.quantity,
    notional = c.notional + excluded.notional, trades = c.trades + excluded.trades, closed_by = excluded.closed_by
), passed AS (
  SELECT market_id, max(trade_id) AS trade_id, count(*) AS trades FROM fresh GROUP BY market_id
)
UPDATE candle_cursors c SET trade_id = p.trade_id FROM passed p WHERE c.market_id = p.market_id RETURNING p.trades
"""


async def roll_candles(session: Session, limit: int = TRADES_A_ROLL) -> int:
    """Add the next trades of every market to its candles, at most `limit` per market; returns the number at the busiest one."""
    await session.execute(_LIST)
    return max((row["trades"] for row in await session.fetch(_ROLL, limit)), default=0)
