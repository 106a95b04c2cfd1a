"""What settling a market would do now, and at which price it was settled."""

from typing import NamedTuple

from exchange.engine.settlement import INDEX_MINUTES, settlement_price
from schemas.market import MarketStatus
from schemas.units import Ticks
from store.queries.formatting import price_text, quantity_text, spec_of, storable
from store.session.connect import Session

_READ = """
SELECT m.spec::text AS spec, coalesce(m.operator_status, m.status) AS status, m.is_frozen, m.index_price,
  (SELECT count(*) FROM orders o WHERE o.market_id = m.market_id AND (o.is_live OR o.is_waiting)) AS orders,
  (SELECT count(*) FROM orders o WHERE o.market_id = m.market_id AND (o.is_live OR o.is_waiting) AND NOT o.reduce_only) AS opening_orders,
  (SELECT count(*) FROM positions p WHERE p.market_id = m.market_id AND p.opened_seq <> 0) AS positions,
  (SELECT coalesce(sum(p.lots), 0)::int8 FROM positions p WHERE p.market_id = m.market_id AND p.opened_seq <> 0 AND p.lots > 0)
    AS open_interest,
  (SELECT array_agg(s.index_price) FROM (SELECT q.index_price FROM premiums q WHERE q.market_id = m.market_id
    ORDER BY q.event_seq DESC LIMIT $2) s) AS minutes,
  (SELECT max(s.price) FROM settlements s WHERE s.market_id = m.market_id) AS settled_at
FROM markets m WHERE m.name = $1
"""


class Settlement(NamedTuple):
    """A market before or after its end. `status` is the one set by command, whatever its price sources do.

    `orders` are live or wait, `opening_orders` those of them that are not reduce-only. `price` is that of a settlement now, from
    `minutes` sampled minutes (0: the index itself); `settled_price` is that of the settlement that was, None when it closed
    no position.
    """

    status: MarketStatus
    is_frozen: bool
    orders: int
    opening_orders: int
    positions: int
    open_interest: str
    price: str
    minutes: int
    settled_price: str | None


async def read_settlement(session: Session, market: str) -> Settlement | None:
    """A market and the price that the engine would settle it at, in one snapshot; None for an unknown market."""
    row = await session.fetchrow(_READ, storable(market), INDEX_MINUTES)
    if row is None:
        return None
    spec, minutes = spec_of(row["spec"]), row["minutes"] or []
    price = settlement_price(spec, minutes, row["index_price"])
    settled = row["settled_at"]
    return Settlement(
        status=MarketStatus(row["status"]),
        is_frozen=row["is_frozen"],
        orders=row["orders"],
        opening_orders=row["opening_orders"],
        positions=row["positions"],
        open_interest=quantity_text(spec, row["open_interest"]),
        price=price_text(spec, price),
        minutes=len(minutes),
        settled_price=None if settled is None else price_text(spec, Ticks(settled)),
    )
