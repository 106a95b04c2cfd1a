"""The step of the activator: one triggered order, in one transaction under the lock of its account.

An order is activated or cancelled at most once, however often the step is repeated: it no longer waits afterwards, or a cancel of it is
under way. The order becomes live here, with the margin terms of the command, as an order does that is placed.
"""

from typing import NamedTuple

from exchange.risk.account import Exposure
from exchange.risk.activation import Activation, TriggeredOrder, activation_of
from schemas.commands import ActivateOrder, CancelOrder, Command
from schemas.ids import seq_of_order_key
from schemas.orders import EndReason, OrderType, Side
from schemas.units import Lots, Ticks, Timestamp, datetime_of
from schemas.wire import encode
from store.crash_points import CrashPoint, passing
from store.markets.registry import MarketRegistry
from store.session.connect import Session
from store.submission.reading import lock_account

ACTIVATION_CHANNEL = "triggered"
"""Where the database announces an order that waits for its margin (migration 0032)."""

_TRIGGERED = """
SELECT order_id, user_id FROM orders
WHERE is_waiting AND triggered_at IS NOT NULL AND NOT reduce_only AND cancel_seq IS NULL
ORDER BY market_id, triggered_event_seq, order_id LIMIT $1
"""
_ORDER = """
SELECT o.market_id, m.name, o.side, o.type, o.remaining, o.price, o.post_only FROM orders o JOIN markets m USING (market_id)
WHERE o.order_id = $1 AND o.is_waiting AND o.triggered_at IS NOT NULL AND NOT o.reduce_only AND o.cancel_seq IS NULL
"""
# The price of a market type comes by the event that accepts it: what the log has not said, `verify` would not find in it.
_ACTIVATE = """
WITH appended AS MATERIALIZED (SELECT * FROM number_commands(ARRAY[$2::int4], ARRAY[$3::timestamptz], ARRAY[$4::bytea])),
raised AS (
  UPDATE positions SET buy_notional = buy_notional + $9, sell_notional = sell_notional + $10, open_loss = open_loss + $11,
    open_fees = open_fees + $12, buy_lots = buy_lots + $13, sell_lots = sell_lots + $14, live_orders = live_orders + 1
  WHERE user_id = $5 AND market_id = $2)
UPDATE orders SET is_waiting = false, is_live = true, margin_price = $6, loss_per_lot = $7, fee_per_lot = $8,
  activated_command_seq = a.command_seq, updated_at = a.at
FROM appended a WHERE order_id = $1
"""
_CANCEL = """
WITH appended AS MATERIALIZED (SELECT * FROM number_commands(ARRAY[$2::int4], ARRAY[$3::timestamptz], ARRAY[$4::bytea]))
UPDATE orders SET cancel_requested_at = a.at, cancel_seq = a.command_seq, updated_at = a.at
FROM appended a WHERE order_id = $1
"""


class Triggered(NamedTuple):
    """A triggered order that waits for its margin: its database key, and its owner."""

    order_id: int
    user_id: int


async def read_triggered(session: Session, limit: int) -> list[Triggered]:
    """The orders to activate, by market in the order in which they fired."""
    return [Triggered(**row) for row in await session.fetch(_TRIGGERED, limit)]


async def activate(
    session: Session, registry: MarketRegistry, triggered: Triggered, now: Timestamp
) -> Activation | EndReason | None:
    """Reserve the margin of an order and let it enter the book, or cancel it; None where it waits no longer.

    1 lock the account and read it, 2 decide, 3 append the command and write the order, 4 commit.
    """
    async with session.transaction():
        reading = await lock_account(session, registry, triggered.user_id, {})  # 1
        row = await session.fetchrow(_ORDER, triggered.order_id)
        if row is None:
            return None
        order = TriggeredOrder(
            Side(row["side"]),
            Lots(row["remaining"]),
            Ticks(row["price"]) if OrderType(row["type"]).is_limit else None,
            row["post_only"],
        )
        account, market = reading.accounts[triggered.user_id], reading.markets[row["name"]]
        decided = activation_of(order, account, market)  # 2
        named = (triggered.order_id, row["market_id"], datetime_of(now))
        command = _command(triggered, decided, now)
        if isinstance(decided, Activation):  # 3
            before = account.risk_in(market).exposure
            await session.execute(_ACTIVATE, *named, encode(command), triggered.user_id, *_terms(decided, before))
        else:
            await session.execute(_CANCEL, *named, encode(command))
        passing(CrashPoint.AFTER_ACTIVATION_BEFORE_COMMIT)
    passing(CrashPoint.AFTER_ACTIVATION_COMMIT)  # 4
    return decided


def _command(triggered: Triggered, decided: Activation | EndReason, now: Timestamp) -> Command:
    number = seq_of_order_key(triggered.order_id)
    if not isinstance(decided, Activation):
        return CancelOrder(now, triggered.user_id, number, decided)
    order = decided.order
    return ActivateOrder(
        at=now,
        user=triggered.user_id,
        order=number,
        price=order.price,
        margin_price=order.margin_price,
        loss_per_lot=order.loss_per_lot,
        fee_per_lot=order.fee_per_lot,
        leverage=decided.exposure.leverage,
    )


def _terms(activation: Activation, before: Exposure) -> tuple[int, ...]:
    """The order's margin terms, and what it adds to the margin sums."""
    order, after = activation.order, activation.exposure
    return (
        order.margin_price,
        order.loss_per_lot,
        order.fee_per_lot,
        after.buy_notional - before.buy_notional,
        after.sell_notional - before.sell_notional,
        after.open_loss - before.open_loss,
        after.open_fees - before.open_fees,
        after.buy_lots - before.buy_lots,
        after.sell_lots - before.sell_lots,
    )
