"""What only conditional orders and OCO groups need: the working prices of their markets, and who is in a group already.

Read in a statement of its own, under the locks of the accounts, and only for a batch that has such orders.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple

from exchange.risk.conditional import Surroundings
from exchange.risk.order_draft import ParsedOrder
from schemas.market import mark_of_index
from schemas.units import Ticks
from store.queries.formatting import spec_of
from store.session.connect import Session

# The last trade of the book; a transfer of a position has no order.
_MARKETS = """
SELECT m.name, m.index_price, m.spec::text AS spec, (
  SELECT f.price FROM fills f WHERE f.market_id = m.market_id AND f.order_id IS NOT NULL ORDER BY f.trade_id DESC LIMIT 1)
  AS last_price
FROM markets m WHERE m.name = ANY($1::text[])
"""
# Two parts, each with an index.
_GROUPS = """
SELECT o.user_id, m.name, o.oco_group, count(*) AS orders
FROM (SELECT user_id, market_id, oco_group FROM orders WHERE user_id = ANY($1::int8[]) AND is_live AND oco_group IS NOT NULL
  UNION ALL
  SELECT user_id, market_id, oco_group FROM orders WHERE user_id = ANY($1::int8[]) AND is_waiting AND oco_group IS NOT NULL) o
JOIN markets m USING (market_id) GROUP BY o.user_id, m.name, o.oco_group
"""


class ConditionalState(NamedTuple):
    """By market, what conditional orders need to know of it; by user, market and name, the open orders of an OCO group."""

    markets: dict[str, Surroundings]
    groups: dict[tuple[int, str, str], int]

    def around(self, user: int, draft: ParsedOrder) -> Surroundings | None:
        """What surrounds this order; None for an order that needs none, and for an unknown market."""
        found = self.markets.get(draft.request.market_id) if draft.is_of_conditional_rules else None
        group = draft.request.oco_group
        if found is None or group is None:
            return found
        return found._replace(group_orders=self.groups.get((user, draft.request.market_id, group), 0))

    def join(self, user: int, draft: ParsedOrder) -> None:
        """Count an order that is placed in its group, for those of the same batch."""
        if (group := draft.request.oco_group) is not None:
            key = (user, draft.request.market_id, group)
            self.groups[key] = self.groups.get(key, 0) + 1


NOTHING_CONDITIONAL = ConditionalState({}, {})


async def read_conditional(
    session: Session, asked: Sequence[tuple[int, ParsedOrder]], markets: Set[str] = frozenset()
) -> ConditionalState:
    """What these orders of these users need, and amends in `markets`; reads nothing where none is conditional or in a group."""
    orders = [(user, draft) for user, draft in asked if draft.is_of_conditional_rules]
    if not orders and not markets:
        return NOTHING_CONDITIONAL
    names = sorted({draft.request.market_id for _, draft in orders if draft.request.market_id.isprintable()} | markets)
    rows = await session.fetch(_MARKETS, names)
    users = sorted({user for user, draft in orders if draft.request.oco_group is not None})
    groups = await session.fetch(_GROUPS, users) if users else []
    return ConditionalState(
        {row["name"]: _surroundings(row["index_price"], row["spec"], row["last_price"]) for row in rows},
        {(row["user_id"], row["name"], row["oco_group"]): row["orders"] for row in groups},
    )


def _surroundings(index: int, spec: str, last: int | None) -> Surroundings:
    return Surroundings(mark_of_index(index, spec_of(spec).tick_size_e18), None if last is None else Ticks(last))
