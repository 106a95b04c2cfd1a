"""What the private channels begin with: an account's orders in a market as of one event, and what had changed since an earlier one."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from schemas.ids import order_key
from schemas.rest.orders import FillView, OrderView
from schemas.units import SECOND_US, Timestamp, timestamp_of
from store.projection.chain import Progress
from store.queries.accounts.fills import SELECT_FILLS, fill_view
from store.queries.accounts.orders import SELECT_ORDERS, order_view
from store.queries.paging import bounded_datetime
from store.session.connect import Session

CLOCKS_DIFFER_US = 60 * SECOND_US
"""A later event of a market is never older by more: the clocks that give commands their time are compared."""
_MARKET = """
SELECT m.market_id, m.spec::text AS spec, p.event_seq, p.command_seq, p.event_hash, p.at
FROM markets m JOIN progress p USING (market_id) WHERE m.name = $1
"""
_REACHED = """
SELECT m.name, market_id, g.event_seq FROM positions p JOIN progress g USING (market_id) JOIN markets m USING (market_id)
WHERE p.user_id = $1
"""
_TOUCHED = """
SELECT a.user_id, a.wallet, coalesce((SELECT array_agg(m.name) FROM positions p JOIN markets m USING (market_id)
  WHERE p.user_id = a.user_id), '{}') AS markets
FROM accounts a WHERE a.user_id = ANY($1::int8[])
"""


class AccountInMarket(NamedTuple):
    """An account in a market as of the last persisted event: the rows of its open orders. `at` is the time of that event."""

    market_id: int
    spec: str
    progress: Progress
    at: Timestamp
    open_orders: list[dict[str, Any]]


class Span(NamedTuple):
    """The events of a market about an account: after one, up to another; none is older than `since`, but for the clocks."""

    user: int
    market_id: int
    after: int
    up_to: int
    since: int


class Reached(NamedTuple):
    """A market, and its last persisted event."""

    market_id: int
    event_seq: int


class AccountSeen(NamedTuple):
    """The wallet of an account, and the markets in which it has ever placed an order."""

    wallet: int
    markets: frozenset[str]


async def read_account_in_market(session: Session, user: int, market: str) -> AccountInMarket:
    """The account in a market, in one snapshot. Raises KeyError for no market."""
    async with session.transaction(isolation="repeatable_read", readonly=True):
        row = await session.fetchrow(_MARKET, market)
        if row is None:
            raise KeyError(market)
        query = f"{SELECT_ORDERS} o.user_id = $1 AND o.market_id = $2 AND (o.is_live OR o.is_waiting)"
        orders = await session.fetch(query, user, row["market_id"])
    progress = Progress(row["event_seq"], row["command_seq"], row["event_hash"])
    return AccountInMarket(
        row["market_id"], row["spec"], progress, timestamp_of(row["at"]), [dict(each) for each in orders]
    )


async def read_order_rows(session: Session, user: int, market_id: int, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the account's orders by their numbers."""
    keys = [order_key(market_id, number) for number in numbers]
    rows = await session.fetch(f"{SELECT_ORDERS} o.user_id = $1 AND o.order_id = ANY($2::int8[])", user, keys)
    return [dict(row) for row in rows]


async def read_fills_between(session: Session, span: Span, limit: int) -> list[tuple[int, FillView]]:
    """The account's first fills of a span, with their events."""
    query = (
        f"{SELECT_FILLS} f.user_id = $1 AND f.at >= $5 AND f.market_id = $2 AND f.event_seq > $3 AND f.event_seq <= $4"
        f" ORDER BY f.event_seq, f.trade_id, f.role LIMIT $6"
    )
    rows = await session.fetch(query, *span[:4], _earliest(span.since), limit)
    return [(row["event_seq"], fill_view(row)) for row in rows]


async def read_orders_ended_between(session: Session, span: Span, limit: int) -> list[tuple[int, OrderView]]:
    """The account's first orders that have ended in a span, with the events that ended them."""
    query = (
        f"{SELECT_ORDERS} o.user_id = $1 AND NOT o.is_live AND o.ended_at >= $5 AND o.market_id = $2"
        f" AND o.ended_event_seq > $3 AND o.ended_event_seq <= $4 ORDER BY o.ended_event_seq, o.order_id LIMIT $6"
    )
    rows = await session.fetch(query, *span[:4], _earliest(span.since), limit)
    return [(row["ended_event_seq"], order_view(row)) for row in rows]


async def read_reached(session: Session, user: int) -> Mapping[str, Reached]:
    """The last persisted event of each market in which the account has ever placed an order."""
    return {row["name"]: Reached(row["market_id"], row["event_seq"]) for row in await session.fetch(_REACHED, user)}


async def read_accounts_seen(session: Session, users: Sequence[int]) -> dict[int, AccountSeen]:
    """What of accounts changes without an event that names them: transfers, and the first order in a market."""
    rows = await session.fetch(_TOUCHED, list(users))
    return {row["user_id"]: AccountSeen(row["wallet"], frozenset(row["markets"])) for row in rows}


def _earliest(since: int) -> Any:
    return bounded_datetime(max(0, since - CLOCKS_DIFFER_US))
