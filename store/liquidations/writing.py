"""Writes the decisions of a liquidation: commands into the logs, the order of a step, and the receipt, in one transaction.

The caller holds the locks of the accounts concerned, so no other transaction writes their orders and positions; counters are
locked last, in market order (docs/design.md, "Why commit order is sequence order").
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from schemas.commands import Command, Liquidate
from schemas.ids import order_key
from schemas.orders import OrderType, SelfTradePrevention, Side, TimeInForce
from schemas.units import Timestamp, datetime_of
from schemas.wire import encode
from store.liquidations.receipts import Receipt
from store.session.connect import Session

_APPEND = """
WITH appended AS MATERIALIZED (
  SELECT * FROM append_commands($2::int4[], array_fill($1::timestamptz, ARRAY[cardinality($2)]), $3::bytea[])),
cancelled AS (
  UPDATE orders o SET cancel_requested_at = $1, updated_at = $1, cancel_seq = a.command_seq
  FROM appended a JOIN unnest($4::int8[]) WITH ORDINALITY AS t (order_id, place) USING (place)
  WHERE o.order_id = t.order_id)
SELECT command_seq FROM appended ORDER BY place
"""
_ORDER = """
WITH raised AS (
  UPDATE positions SET buy_lots = buy_lots + $9::int8, sell_lots = sell_lots + $10::int8,
    buy_notional = buy_notional + $9::int8 * $11::int8, sell_notional = sell_notional + $10::int8 * $11::int8,
    live_orders = live_orders + 1
  WHERE user_id = $2 AND market_id = $3 RETURNING 1)
INSERT INTO orders (order_id, user_id, market_id, side, type, time_in_force, self_trade_prevention, post_only,
  reduce_only, quantity, remaining, price, margin_price, loss_per_lot, fee_per_lot, created_at, updated_at)
SELECT $1, $2, $3, $4, $5, $6, $7, false, true, $9::int8 + $10::int8, $9::int8 + $10::int8, $8, $8, 0, 0, $12, $12
FROM raised
"""
_STEP = """
INSERT INTO liquidation_steps (liquidation_id, step, user_id, action, market_id, command_seq, inputs, at, done_at)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9)
"""
_OPEN = """
INSERT INTO liquidations (kind, user_id, started_at, ended_at) VALUES ($1, $2, $3, $4) RETURNING liquidation_id
"""
_FIND = "SELECT liquidation_id FROM liquidations WHERE kind = $1 AND user_id = $2 AND ended_at IS NULL"
_NEXT_STEP = "SELECT coalesce(max(step), 0) + 1 FROM liquidation_steps WHERE liquidation_id = $1"


class NewCommand(NamedTuple):
    """A command for the log of a market; `cancels` is the database key of the order that it cancels."""

    market_id: int
    command: Command
    cancels: int | None = None


class LiquidationCase(NamedTuple):
    """One account's liquidation, within the session's open transaction."""

    session: Session
    liquidation_id: int
    user: int
    now: Timestamp

    async def next_step(self) -> int:
        """The number of the next step, from 1."""
        step: int = await self.session.fetchval(_NEXT_STEP, self.liquidation_id)
        return step

    async def keep(self, receipt: "NewReceipt") -> None:
        """Store a receipt; one that waits for no command is done immediately."""
        at = datetime_of(self.now)
        done_at = at if receipt.command_seq is None else None
        named = (self.liquidation_id, receipt.step, self.user, receipt.action, receipt.market_id, receipt.command_seq)
        await self.session.execute(_STEP, *named, orjson.dumps(receipt.inputs).decode(), at, done_at)

    async def end(self) -> None:
        """End the case."""
        statement = "UPDATE liquidations SET ended_at = $2 WHERE liquidation_id = $1"
        await self.session.execute(statement, self.liquidation_id, datetime_of(self.now))


class NewReceipt(NamedTuple):
    """A step's action and its reasons. `command_seq` is the command in its market that it waits for."""

    step: int
    action: str
    inputs: Receipt
    market_id: int | None = None
    command_seq: int | None = None


async def append_case_commands(session: Session, commands: Sequence[NewCommand], now: Timestamp) -> list[int]:
    """Number the commands, write them to the outbox in this order and wake the relays; returns their sequences."""
    rows = await session.fetch(
        _APPEND,
        datetime_of(now),
        [each.market_id for each in commands],
        [encode(each.command) for each in commands],
        [each.cancels for each in commands],
    )
    return [row["command_seq"] for row in rows]


async def insert_order(session: Session, market_id: int, seq: int, command: Liquidate, lot_value: int) -> None:
    """Insert the order of a step, PENDING, and add it to the account's margin sums; it adds no loss and no fee."""
    bought, sold = (command.quantity, 0) if command.side is Side.BUY else (0, command.quantity)
    await session.execute(
        _ORDER,
        order_key(market_id, seq),
        command.user,
        market_id,
        command.side,
        OrderType.LIMIT,
        TimeInForce.IOC,
        SelfTradePrevention.EXPIRE_MAKER,
        command.price,
        bought,
        sold,
        command.price * lot_value,
        datetime_of(command.at),
    )


async def find_case(session: Session, kind: str, user: int, now: Timestamp) -> LiquidationCase | None:
    """The account's open case of this kind; there is at most one."""
    number: int | None = await session.fetchval(_FIND, kind, user)
    return None if number is None else LiquidationCase(session, number, user, now)


async def open_case(
    session: Session, kind: str, user: int, now: Timestamp, *, is_over: bool = False
) -> LiquidationCase:
    """Open a new case of an account; with `is_over` it has already ended, and holds a single action."""
    at = datetime_of(now)
    number: int = await session.fetchval(_OPEN, kind, user, at, at if is_over else None)
    return LiquidationCase(session, number, user, now)
