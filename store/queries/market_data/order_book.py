"""The order book from the tables: the resting orders at each price, exactly as of one event.

An order rests once all events of the command that placed it, let it enter the book or moved it are persisted. When they are split
over two records, only a part may be persisted: the order must not be shown at a price at which it is still matching.
"""

from collections.abc import Iterable
from typing import Any

from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.rest.market_data import BookLevelView, OrderBookView
from store.queries.formatting import price_text, quantity_text, spec_of, storable, time_text
from store.session.connect import Session

DEPTH_DEFAULT = 50
DEPTH_MAX = 500

_LEVELS = """
SELECT o.side, o.price, sum(o.remaining) AS lots, count(*) AS orders FROM orders o
WHERE o.market_id = m.market_id AND o.side = '{side}' AND o.is_live AND o.status IN ('OPEN', 'PARTIALLY_FILLED')
  AND o.order_id <= order_key(m.market_id, p.command_seq) AND coalesce(o.moved_command_seq, 0) <= p.command_seq
GROUP BY o.side, o.price ORDER BY o.price {order} LIMIT {depth}
"""


def levels_sql(side: Side, depth: str) -> str:
    """The best levels of a side, best first, from the index of the book; `m` is the market's row, `p` its progress."""
    order = "DESC" if side is Side.BUY else "ASC"
    return _LEVELS.format(side=side, order=order, depth=depth)


_READ = f"""
SELECT m.name, m.spec::text AS spec, p.event_seq, p.at, l.* FROM markets m JOIN progress p USING (market_id)
LEFT JOIN LATERAL (({levels_sql(Side.BUY, "$2")}) UNION ALL ({levels_sql(Side.SELL, "$2")})) l ON true
WHERE m.name = $1
"""  # noqa: S608 - both sides are ours


async def read_order_book(session: Session, market: str, depth: int) -> OrderBookView | None:
    """The best `depth` levels of each side of a market's book, in one snapshot; None where there is no such market."""
    rows = await session.fetch(_READ, storable(market), depth)
    if not rows:
        return None
    first = rows[0]
    spec = spec_of(first["spec"])
    return OrderBookView(
        market_id=first["name"],
        sequence=first["event_seq"],
        time=time_text(first["at"]),
        bids=_levels(spec, (row for row in rows if row["side"] == Side.BUY)),
        asks=_levels(spec, (row for row in rows if row["side"] == Side.SELL)),
    )


def level_view(spec: MarketSpec, price: int, lots: int, orders: int) -> BookLevelView:
    """One level as the API returns it."""
    return BookLevelView(price_text(spec, price), quantity_text(spec, int(lots)), orders)


def _levels(spec: MarketSpec, rows: Iterable[Any]) -> list[BookLevelView]:
    return [level_view(spec, row["price"], row["lots"], row["orders"]) for row in rows]
