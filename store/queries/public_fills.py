"""The stored fills of a market as the public stream tells them, by the same sequence, back to the first trade."""

from typing import Any

from schemas.fills import PublicFill
from schemas.ids import public_event_id, public_order_id, public_trade_id, seq_of_order_key
from schemas.market import MarketSpec
from schemas.orders import FillCause, Side
from schemas.units import format_micros
from store.connect import Session
from store.queries.figures import price_text, quantity_text, spec_of, storable, time_text

_READ = """
SELECT t.trade_id, t.event_seq, t.at, t.price, t.quantity, t.notional, t.side, t.cause, t.order_id AS taker_order,
  k.order_id AS maker_order, m.name, m.spec::text AS spec
FROM markets m JOIN fills t ON t.market_id = m.market_id AND t.role = 'TAKER'
JOIN fills k ON k.market_id = t.market_id AND k.trade_id = t.trade_id AND k.role = 'MAKER'
WHERE m.name = $1 AND t.trade_id >= $2::int8 ORDER BY t.trade_id LIMIT $3
"""

_NEWEST = "SELECT max(trade_id) FROM fills JOIN markets USING (market_id) WHERE name = $1"


async def newest_public_fill(session: Session, market: str) -> int:
    """The sequence of a market's last fill that is persisted; 0 before the first."""
    return int(await session.fetchval(_NEWEST, storable(market)) or 0)


async def read_public_fills(session: Session, market: str, from_sequence: int, limit: int) -> list[PublicFill]:
    """At most `limit` fills of a market from a sequence on, oldest first; none for an unknown market."""
    rows = await session.fetch(_READ, storable(market), from_sequence, limit)
    return [_fill(spec_of(row["spec"]), row) for row in rows]


def _fill(spec: MarketSpec, row: Any) -> PublicFill:
    market = row["name"]
    return PublicFill(
        market_id=market,
        sequence=row["trade_id"],
        trade_id=public_trade_id(market, row["trade_id"]),
        event_id=public_event_id(market, row["event_seq"]),
        time=time_text(row["at"]),
        price=price_text(spec, row["price"]),
        quantity=quantity_text(spec, row["quantity"]),
        notional=format_micros(row["notional"]),
        taker_side=Side(row["side"]),
        maker_order_id=_order_id(market, row["maker_order"]),
        taker_order_id=_order_id(market, row["taker_order"]),
        cause=FillCause(row["cause"]),
    )


def _order_id(market: str, key: int | None) -> str | None:
    return None if key is None else public_order_id(market, seq_of_order_key(key))
