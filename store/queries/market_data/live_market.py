"""What the live feed begins with: a market as of one event, from which the events after it lead on."""

from typing import Any, NamedTuple

from exchange.market_data.book_levels import RestingOrder
from exchange.market_data.market_state import MarketState
from schemas.ids import seq_of_order_key
from schemas.market import MarketSpec, MarketStatus
from schemas.orders import Side
from schemas.units import Timestamp, timestamp_of, timestamp_or_none
from store.projection.chain import Progress
from store.queries.formatting import spec_of, storable
from store.session.connect import Session

_STATE = """
SELECT m.spec::text AS spec, m.status, m.index_price, m.mark, m.funding_rate, m.predicted_funding_rate,
  m.next_funding_at, p.event_seq, p.command_seq, p.event_hash, p.at,
  coalesce((SELECT f.trade_id FROM fills f WHERE f.market_id = m.market_id ORDER BY f.trade_id DESC LIMIT 1), 0) AS trade
FROM markets m JOIN progress p USING (market_id) WHERE m.name = $1
"""
_BOOK = """
SELECT m.spec::text AS spec, p.event_seq, p.command_seq, p.event_hash, p.at, b.* FROM markets m JOIN progress p USING (market_id)
CROSS JOIN LATERAL (
  SELECT array_agg(o.order_id) AS orders, array_agg(o.side::text) AS sides, array_agg(o.price) AS prices,
    array_agg(o.remaining) AS lots,
    coalesce(max(greatest(seq_of_order_key(o.order_id), o.moved_command_seq)), 0) AS last_placed
  FROM orders o WHERE o.market_id = m.market_id AND o.is_live AND o.status IN ('OPEN', 'PARTIALLY_FILLED')) b
WHERE m.name = $1
"""


class StoredMarket(NamedTuple):
    """A market as of its last persisted event, whose time is `at`. `trade` is the last number of its trade counter."""

    spec: MarketSpec
    progress: Progress
    at: Timestamp
    trade: int
    state: MarketState


class StoredOrders(NamedTuple):
    """The orders in a book as of an event, whose time is `at`: key, side, price in ticks and remaining lots of each.

    `last_placed` is the last command that placed one of them or moved it; not all of its events may be persisted yet.
    """

    spec: MarketSpec
    progress: Progress
    at: Timestamp
    last_placed: int
    rows: list[tuple[int, str, int, int]]

    def resting(self, start: int, stop: int) -> list[RestingOrder]:
        """Some of the orders: a large book is loaded in parts."""
        return [
            RestingOrder(seq_of_order_key(key), Side(side), price, lots)
            for key, side, price, lots in self.rows[start:stop]
        ]


async def read_live_market(session: Session, market: str) -> StoredMarket | None:
    """A market, in one snapshot; None where there is no such market."""
    row = await session.fetchrow(_STATE, storable(market))
    if row is None:
        return None
    state = MarketState(
        status=MarketStatus(row["status"]),
        index_price=row["index_price"],
        mark=row["mark"],
        funding_rate=row["funding_rate"],
        predicted_funding_rate=row["predicted_funding_rate"],
        next_funding_at=timestamp_or_none(row["next_funding_at"]),
    )
    return StoredMarket(spec_of(row["spec"]), _progress(row), timestamp_of(row["at"]), row["trade"], state)


async def read_resting_orders(session: Session, market: str) -> StoredOrders | None:
    """All orders in a market's book, in one snapshot; None where there is no such market.

    In the middle of a command, of which another part is yet to be persisted, an order may be among them that still trades.
    """
    row = await session.fetchrow(_BOOK, storable(market))
    if row is None:
        return None
    columns = (row["orders"] or [], row["sides"] or [], row["prices"] or [], row["lots"] or [])
    rows = list(zip(*columns, strict=True))
    return StoredOrders(spec_of(row["spec"]), _progress(row), timestamp_of(row["at"]), row["last_placed"], rows)


def _progress(row: Any) -> Progress:
    return Progress(row["event_seq"], row["command_seq"], row["event_hash"])
