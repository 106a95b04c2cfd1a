"""What the exchange does business with: orders, positions, trades, the insurance fund, users."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from schemas.units import Timestamp, datetime_of
from store.session.connect import Session

AGE_MAX_US = 15_000_000

# What is scanned are open orders, open positions and a day of candles, never the history: fills are numbered in their market.
_READ = """
WITH live AS MATERIALIZED (SELECT market_id, count(*) AS orders FROM orders WHERE is_live GROUP BY market_id),
waiting AS MATERIALIZED (SELECT market_id, count(*) AS orders FROM orders WHERE is_waiting GROUP BY market_id),
held AS MATERIALIZED (
  SELECT market_id, count(*) AS positions, sum(lots) FILTER (WHERE lots > 0) AS lots
  FROM positions WHERE opened_seq <> 0 GROUP BY market_id)
SELECT m.name AS market, coalesce(l.orders, 0) AS orders, coalesce(w.orders, 0) AS waiting,
  coalesce(h.positions, 0) AS positions,
  coalesce(h.lots, 0) AS open_lots, (m.spec->>'lotSizeE18')::numeric AS lot_size_e18, coalesce(f.trade_id, 0) AS trades,
  d.notional
FROM markets m LEFT JOIN live l USING (market_id) LEFT JOIN waiting w USING (market_id) LEFT JOIN held h USING (market_id)
LEFT JOIN LATERAL (
  SELECT x.trade_id FROM fills x WHERE x.market_id = m.market_id ORDER BY x.trade_id DESC LIMIT 1) f ON true
CROSS JOIN LATERAL (
  SELECT coalesce(sum(c.notional), 0) AS notional FROM candles c
  WHERE c.market_id = m.market_id AND c.span_s = 3600 AND c.start > $1::timestamptz - interval '24 hours') d
ORDER BY m.market_id
"""
_FUND = "SELECT coalesce(sum(amount), 0)::int8 FROM ledger WHERE account = house_account('insurance')"
_USERS = "SELECT count(*) FROM users WHERE user_id > 0"


class MarketBusiness(NamedTuple):
    """One market now: live orders, waiting conditional orders, open positions, open interest (base asset), trades since it was listed, and the notional of
    the last 24 hours (quote asset; whole hours, a second or two after the trades, as candles are).
    """

    market: str
    open_orders: int
    waiting_orders: int
    positions: int
    open_interest: float
    trades: int
    notional_24h: float


class Business(NamedTuple):
    """All of it; the insurance fund's money is in the quote asset."""

    markets: Sequence[MarketBusiness]
    insurance_fund: float
    users: int


class BusinessFigures:
    """The figures, at most 15 s old: they are for graphs, and a scrape every second must not cost a scan each."""

    def __init__(self) -> None:
        self._known: Business | None = None
        self._read_at = 0
        self._reading = asyncio.Lock()

    async def read(self, session: Session, now: Timestamp) -> Business:
        """The figures, read again when they are old; parallel scrapes read them once."""
        async with self._reading:
            if self._known is None or now - self._read_at > AGE_MAX_US:
                self._known, self._read_at = await read_business(session, now), now
            return self._known


async def read_business(session: Session, now: Timestamp) -> Business:
    """The figures of this moment."""
    markets = [
        MarketBusiness(
            row["market"],
            row["orders"],
            row["waiting"],
            row["positions"],
            float(row["open_lots"] * row["lot_size_e18"]) / 1e18,
            row["trades"],
            float(row["notional"]) / 1e6,
        )
        for row in await session.fetch(_READ, datetime_of(now))
    ]
    return Business(markets, await session.fetchval(_FUND) / 1e6, await session.fetchval(_USERS))
