"""The stored executions of a market as in the back-office stream, with the same sequence, back to the first trade."""

from collections.abc import Collection
from typing import Any

from schemas.executions import Execution, account_text
from schemas.ids import order_key, public_event_id, public_id_of_order_or_none, public_trade_id, seq_of_order_key
from schemas.orders import FillCause, LiquidityRole, Side
from schemas.units import format_micros
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text
from store.queries.market_data.public_fills import newest_public_fill
from store.session.connect import Session

# Fills of older releases have no position: for a page with such, what the account had before the page is added up.
_READ = """
WITH page AS (
  SELECT * FROM fills WHERE market_id = (SELECT market_id FROM markets WHERE name = $1) AND trade_id >= $2::int8
  ORDER BY trade_id, role LIMIT $3::int8
), before AS (
  SELECT f.user_id, sum(CASE WHEN f.side = 'BUY' THEN f.quantity ELSE -f.quantity END)::int8 AS lots
  FROM fills f JOIN (SELECT DISTINCT market_id, user_id FROM page
    WHERE EXISTS (SELECT FROM page WHERE position_after IS NULL)) p USING (market_id, user_id)
  WHERE f.trade_id < $2::int8 GROUP BY f.user_id
)
SELECT page.*, m.name, m.spec::text AS spec, o.client_order_id,
  coalesce(page.position_after, coalesce(b.lots, 0) + sum(CASE WHEN page.side = 'BUY' THEN page.quantity ELSE -page.quantity END)
    OVER (PARTITION BY page.user_id ORDER BY page.trade_id))::int8 AS position
FROM page JOIN markets m USING (market_id) LEFT JOIN orders o USING (order_id) LEFT JOIN before b ON b.user_id = page.user_id
ORDER BY page.trade_id, page.role
"""
_CLIENT_IDS = "SELECT order_id, client_order_id FROM orders WHERE order_id = ANY($1::int8[])"


async def newest_execution(session: Session, market: str) -> int:
    """The sequence of a market's last persisted execution; 0 before the first trade."""
    return 2 * await newest_public_fill(session, market)


async def read_executions(session: Session, market: str, from_sequence: int, limit: int) -> list[Execution]:
    """At most `limit` executions of a market from a sequence, oldest first; none for an unknown market."""
    skipped = (from_sequence - 1) % 2
    rows = await session.fetch(_READ, storable(market), (from_sequence + 1) // 2, limit + skipped)
    return [_execution(row) for row in rows[skipped:]]


async def read_client_ids(session: Session, market_id: int, orders: Collection[int]) -> dict[int, str | None]:
    """What the clients call these orders of a market, by number. An order has its row before its command is in the log."""
    rows = await session.fetch(_CLIENT_IDS, [order_key(market_id, order) for order in orders])
    return {seq_of_order_key(row["order_id"]): row["client_order_id"] for row in rows}


def _execution(row: Any) -> Execution:
    market, spec, role = row["name"], spec_of(row["spec"]), LiquidityRole(row["role"])
    return Execution(
        market_id=market,
        sequence=2 * row["trade_id"] - (role is LiquidityRole.MAKER),
        trade_id=public_trade_id(market, row["trade_id"]),
        event_id=public_event_id(market, row["event_seq"]),
        time=time_text(row["at"]),
        user_id=account_text(row["user_id"]),
        order_id=public_id_of_order_or_none(market, row["order_id"]),
        client_order_id=row["client_order_id"],
        side=Side(row["side"]),
        liquidity_role=role,
        price=price_text(spec, row["price"]),
        quantity=quantity_text(spec, row["quantity"]),
        notional=format_micros(row["notional"]),
        fee=format_micros(row["fee"]),
        fee_asset=spec.quote_asset,
        realized_pnl=format_micros(row["realized"]),
        position_after=quantity_text(spec, row["position"]),
        cause=FillCause(row["cause"]),
    )
