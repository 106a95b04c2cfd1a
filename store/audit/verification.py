"""The rows of one market, read for comparison with a replay of its log: in pages, never in one long snapshot."""

from collections.abc import Collection
from typing import NamedTuple

import asyncpg
import msgspec

from schemas.ids import order_key, seq_of_order_key
from schemas.market import MarketSpec
from schemas.units import Timestamp, timestamp_of
from store.command_log.failed_commands import read_failed_commands
from store.command_log.outbox import read_commands
from store.command_log.snapshots import StoredSnapshot
from store.markets.progress import MarketProgress, read_market_progress
from store.queries.formatting import spec_of
from store.session.connect import Session

_ORDERS = """
SELECT order_id, user_id, side, price, remaining, filled_notional, filled_lots, coalesce(trigger_price, 0), status, reason,
  is_live OR is_waiting AS is_open FROM orders
"""
_FILLS = """
SELECT trade_id, role, event_seq, order_id, user_id, side, price, quantity, notional, fee, realized, cause, at FROM fills
"""
_MARKET = """
SELECT CASE WHEN halted_reason IS NULL THEN status END, index_price, mark, rules, operator_status, is_frozen, price_quorum,
  spec::text
FROM markets WHERE market_id = $1
"""
_SNAPSHOTS = """
SELECT command_seq, event_seq, event_hash, state_hash, state FROM engine_snapshots WHERE market_id = $1
"""


class OrderStored(NamedTuple):
    """A row of `orders`."""

    number: int
    user: int
    side: str
    price: int
    remaining: int
    filled_notional: int
    filled_lots: int
    trigger: int
    status: str
    reason: str | None
    is_open: bool


class MarketStored(msgspec.Struct, frozen=True):
    """The fields of a `markets` row that the log determines; `status` is None while the market is halted from outside."""

    status: str | None
    index: int
    mark: int
    rules: int
    operator_status: str
    is_frozen: bool
    quorum: int
    spec: MarketSpec


class CountdownStored(NamedTuple):
    """A row of `countdowns`."""

    deadline: Timestamp
    scope: str


class Persisted(NamedTuple):
    """A market's rows in one snapshot: its progress and its own row, its live and waiting orders, every position, the timers by user,
    the copies of its snapshots, the commands that failed.

    `positions`: (signed lots, signed cost, realized) by user.
    """

    progress: MarketProgress
    market: MarketStored
    live: dict[int, OrderStored]
    positions: dict[int, tuple[int, int, int]]
    countdowns: dict[int, CountdownStored]
    snapshots: list[StoredSnapshot]
    failed: set[int]


async def read_persisted_state(session: Session, market: str) -> Persisted:
    """Everything that changes while the exchange runs, in one snapshot. KeyError for a market that is not listed."""
    async with session.transaction(isolation="repeatable_read", readonly=True):
        progress = await read_market_progress(session, market)
        (stored,) = await session.fetch(_MARKET, progress.market_id)
        live = await session.fetch(f"{_ORDERS} WHERE (is_live OR is_waiting) AND market_id = $1", progress.market_id)
        positions = await session.fetch(
            "SELECT user_id, lots, cost, realized FROM positions WHERE market_id = $1", progress.market_id
        )
        countdowns = await session.fetch(
            "SELECT user_id, deadline, scope FROM countdowns WHERE market_id = $1", progress.market_id
        )
        snapshots = await session.fetch(_SNAPSHOTS, progress.market_id)
        failed = await read_failed_commands(session, progress.market_id)
    return Persisted(
        progress,
        _market(stored),
        {order.number: order for order in map(_order, live)},
        {row["user_id"]: (row["lots"], row["cost"], row["realized"]) for row in positions},
        {row["user_id"]: CountdownStored(timestamp_of(row["deadline"]), row["scope"]) for row in countdowns},
        [StoredSnapshot(*row) for row in snapshots],
        failed,
    )


async def read_orders_by_number(session: Session, market_id: int, numbers: Collection[int]) -> dict[int, OrderStored]:
    """The stored orders among these numbers."""
    keys = [order_key(market_id, number) for number in numbers]
    rows = await session.fetch(f"{_ORDERS} WHERE order_id = ANY($1::int8[])", keys)
    return {order.number: order for order in map(_order, rows)}


async def read_order_numbers(session: Session, market_id: int, first: int, last: int) -> set[int]:
    """The numbers of all orders from `first` to `last`."""
    statement = "SELECT order_id FROM orders WHERE order_id BETWEEN $1 AND $2"
    rows = await session.fetch(statement, order_key(market_id, first), order_key(market_id, last))
    return {seq_of_order_key(row["order_id"]) for row in rows}


async def read_fills_of_trades(
    session: Session, market_id: int, first: int, last: int, event_max: int
) -> dict[tuple[int, str], tuple[object, ...]]:
    """The fills of trades `first` to `last`, none of a later event, by trade and role: columns as in exchange.engine.log.replay."""
    rows = await session.fetch(
        f"{_FILLS} WHERE market_id = $1 AND trade_id BETWEEN $2 AND $3 AND event_seq <= $4",
        market_id,
        first,
        last,
        event_max,
    )
    return {(row["trade_id"], row["role"]): _fill(row) for row in rows}


async def read_payloads(session: Session, market_id: int, after_seq: int, limit: int) -> dict[int, bytes]:
    """The next commands after `after_seq` that the outbox still holds, by sequence."""
    return dict(await read_commands(session, market_id, after_seq, limit))


def _market(row: asyncpg.Record) -> MarketStored:
    stored = list(row)
    stored[-1] = spec_of(stored[-1])
    return MarketStored(*stored)


def _order(row: asyncpg.Record) -> OrderStored:
    number, *others = row
    return OrderStored(seq_of_order_key(number), *others)


def _fill(row: asyncpg.Record) -> tuple[object, ...]:
    trade, role, event, order, *others, at = row
    number = None if order is None else seq_of_order_key(order)  # none: a take-over or a deleveraging
    return (trade, role, event, number, *others, timestamp_of(at))
