"""The part of a market that decides an order, from the tables: its moment, and the resting orders that the order can reach.

Like the public order book it is exact as of the last persisted command (store/queries/market_data/order_book.py). The
orders of a price are in the order of their queue: by their own command, or by the event that moved them. The number of rows is
bounded: of the other side's orders, of the account's own, and of the reduce-only orders of accounts on the other side.
"""

from operator import itemgetter
from typing import NamedTuple

import asyncpg

from exchange.engine.market import Market
from exchange.engine.order import Order
from exchange.position import Position
from exchange.preview import Reach
from exchange.risk.account import MarketState
from schemas.commands import PlaceOrder
from schemas.ids import order_key, seq_of_order_key
from schemas.orders import Side
from schemas.units import SECOND_US, Lots, Micros, Ticks, Timestamp, datetime_of, timestamp_of
from store.session.connect import Session

MAKERS_MAX = 2_000
"""The most resting orders of the other side that are read for one order."""
_CHUNK = 100

_MOMENT = """
SELECT m.rules, p.command_seq, greatest(p.at, coalesce(exchange_clock(), $2)) AS clock
FROM markets m JOIN progress p USING (market_id) WHERE m.market_id = $1
"""
_COLUMNS = (
    "o.order_id, o.user_id, o.side, o.price, o.remaining, o.reduce_only, o.expires_at,"
    # while an amend is under way, the order counts with the larger loss, but rests with the one that it has
    " coalesce((SELECT a.old_loss_per_lot FROM amends a WHERE a.order_id = o.order_id AND a.command_seq = o.amend_seq),"
    " o.loss_per_lot) AS loss_per_lot,"
    " coalesce(o.moved_command_seq, seq_of_order_key(o.order_id)) AS queue_seq, o.moved_event_seq"
)
_IN_BOOK = "o.market_id = $1 AND o.is_live AND o.status IN ('OPEN', 'PARTIALLY_FILLED') AND o.order_id <= $2"
_MAKERS = f"""
SELECT {_COLUMNS}, p.lots, p.cost
FROM orders o LEFT JOIN positions p ON o.reduce_only AND p.user_id = o.user_id AND p.market_id = o.market_id
WHERE {_IN_BOOK} AND o.side = '{{side}}'
ORDER BY o.price {{order}}, queue_seq, o.moved_event_seq LIMIT $3
"""  # noqa: S608 - ours
_OF_ACCOUNTS = f"""
SELECT {_COLUMNS} FROM orders o
WHERE {_IN_BOOK} AND o.user_id = ANY($3::int8[]) AND (o.user_id = $4 OR (o.reduce_only AND o.side = $5))
"""  # noqa: S608 - ours


class StoredMoment(NamedTuple):
    """The rules of a market, its last persisted command, and the time that the next command has at least."""

    rules: int
    command_seq: int
    clock: Timestamp


class ReachableBook(NamedTuple):
    """The orders of a market that decide an order, in the order of their queues, and the positions that count there.

    `makers`: the sequences of those that the order meets, as far as they were read; `is_truncated`: it may meet more.
    """

    orders: list[Order]
    positions: dict[int, Position]
    makers: frozenset[int]
    is_truncated: bool


async def read_moment(session: Session, market_id: int, now: Timestamp) -> StoredMoment:
    """The moment of a market; the time is that of PostgreSQL's clock, `now` where it has none."""
    row = await session.fetchrow(_MOMENT, market_id, datetime_of(now))
    if row is None:
        raise LookupError(market_id)
    return StoredMoment(row["rules"], row["command_seq"], timestamp_of(row["clock"]))


def market_at(market: MarketState, moment: StoredMoment) -> Market:
    """The market for the engine, without accounts and orders. One whose listing is not persisted is as it was listed, by command 1."""
    return Market(
        moment.rules,
        market.spec,
        status=market.status,
        mark=market.mark,
        clock=moment.clock,
        second=moment.clock // SECOND_US,
        command_seq=max(1, moment.command_seq),
    )


async def read_reachable(
    session: Session, market: MarketState, moment: StoredMoment, command: PlaceOrder, held: Position
) -> ReachableBook:
    """What the order can reach, in the snapshot of the caller's transaction; `held` is the account's position."""
    place = market.market_id, order_key(market.market_id, moment.command_seq)
    reach, read, positions = Reach(command, held.lots, moment.clock), _Orders(), {command.user: held}
    cursor = await session.cursor(makers_sql(command.side.opposite), *place, MAKERS_MAX + 1)
    while not reach.is_enough and len(read.queued) < MAKERS_MAX:
        size = min(_CHUNK, MAKERS_MAX - len(read.queued))
        chunk = await cursor.fetch(size)
        for row in chunk:
            lots = row["lots"] or 0
            if row["reduce_only"]:
                positions.setdefault(row["user_id"], Position(lots, Micros(row["cost"] or 0)))
            reach.pass_maker(read.add(row), lots)
        if len(chunk) < size:
            break
    is_truncated = not reach.is_enough and bool(await cursor.fetch(1))
    makers = frozenset(seq_of_order_key(key) for key in read.queued)
    accounts = [command.user, *(read.of_both_kinds() - {command.user})]
    for row in await session.fetch(_OF_ACCOUNTS, *place, accounts, command.user, command.side.opposite):
        read.add(row)
    return ReachableBook(read.by_queue(), positions, makers, is_truncated)


def makers_sql(side: Side) -> str:
    """The resting orders of a side in the order in which they trade, from the index of the book."""
    return _MAKERS.format(side=side, order="DESC" if side is Side.BUY else "ASC")


class _Orders:
    """Resting orders as they are read, each once: by key, with the command and the event that put it in its place."""

    def __init__(self) -> None:
        self.queued: dict[int, tuple[int, int, Order]] = {}

    def add(self, row: asyncpg.Record) -> Order:
        """The order of a row."""
        key = row["order_id"]
        order = Order(
            order_seq=seq_of_order_key(key),
            user=row["user_id"],
            side=Side(row["side"]),
            price=Ticks(row["price"]),
            remaining=Lots(row["remaining"]),
            reduce_only=row["reduce_only"],
            loss_per_lot=Micros(row["loss_per_lot"]),
            expires_at=None if row["expires_at"] is None else timestamp_of(row["expires_at"]),
        )
        self.queued[key] = row["queue_seq"], row["moved_event_seq"] or 0, order
        return order

    def of_both_kinds(self) -> set[int]:
        """Whose plain orders, when they fill, cut reduce-only ones, the least aggressive first: all of these count then."""
        orders = [order for *_, order in self.queued.values()]
        plain = {order.user for order in orders if not order.reduce_only}
        return {order.user for order in orders if order.reduce_only} & plain

    def by_queue(self) -> list[Order]:
        """The orders, the one that has its place for the longest time first."""
        return [order for *_, order in sorted(self.queued.values(), key=itemgetter(0, 1))]
