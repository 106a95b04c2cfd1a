"""What a market tells: the closed union of events in `engine.events.{market}`.

Every command is answered by at least one event. `seq` numbers the events of a market without holes, `command` is the
sequence of the command that caused it, `at` the time that command carried. The public id of an event is
`{market}:{seq}`, of a trade `{market}-{trade}`, of an order `{market}-{order}`.
"""

from typing import Literal

import msgspec

from schemas.market import MarketSpec, MarketStatus
from schemas.orders import (
    EndReason,
    FillCause,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from schemas.units import Lots, Micros, Nanos, Ticks, Timestamp


class MarketOpened(msgspec.Struct, frozen=True, rename="camel", tag_field="type", tag="market.opened"):
    """The market exists, with these rules, status, index and mark."""

    seq: int
    command: int
    at: Timestamp
    spec: MarketSpec
    status: MarketStatus
    index: Nanos
    mark: Ticks
    v: Literal[1] = 1


class OrderAccepted(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="order.accepted"):
    """The engine has taken the order on; trades, a rest in the book or an end follow."""

    seq: int
    command: int
    at: Timestamp
    order: int
    user: int
    side: Side
    order_type: OrderType
    quantity: Lots
    price: Ticks
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    self_trade_prevention: SelfTradePrevention
    margin_price: Ticks
    loss_per_lot: Micros
    fee_per_lot: Micros
    leverage: int
    client_order_id: str | None
    expires_at: Timestamp | None
    v: Literal[1] = 1


class OrderEnded(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="order.ended"):
    """An order left the market unfilled or partly filled; `remaining` lots were released.

    `best_opposite` is the price a post-only order would have taken.
    """

    seq: int
    command: int
    at: Timestamp
    order: int
    user: int
    status: OrderStatus
    reason: EndReason
    remaining: Lots
    best_opposite: Ticks | None = None
    v: Literal[1] = 1


class OrderShrunk(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="order.shrunk"):
    """A reduce-only order was cut by `by` lots, so that it cannot exceed the position; `remaining` is left."""

    seq: int
    command: int
    at: Timestamp
    order: int
    user: int
    by: Lots
    remaining: Lots
    v: Literal[1] = 1


class TradeSide(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One party of a trade, with the balances that result.

    `remaining` is of its order; `fee` and `realized` are micros of this trade; `position` (signed lots), `cost` (signed micros) and
    `position_realized` (micros since the position last left zero) are the account's position after it.
    """

    order: int
    user: int
    remaining: Lots
    fee: Micros
    realized: Micros
    position: int
    cost: Micros
    position_realized: Micros


class TradeExecuted(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="trade.executed"):
    """Two orders met at the maker's price. `trade` counts a market's trades without holes."""

    seq: int
    command: int
    at: Timestamp
    trade: int
    price: Ticks
    quantity: Lots
    notional: Micros
    taker_side: Side
    maker: TradeSide
    taker: TradeSide
    cause: FillCause
    v: Literal[1] = 1


class CancelRefused(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="cancel.refused"):
    """The order to cancel had already ended."""

    seq: int
    command: int
    at: Timestamp
    order: int
    user: int
    v: Literal[1] = 1


class CommandFailed(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="command.failed"):
    """A user's command broke the engine: it was undone, and of all the market only the sequences moved.

    `order` is the order it created, which ends REJECTED, or the one it was to cancel, which stays as it was.
    """

    seq: int
    command: int
    at: Timestamp
    order: int
    user: int
    reason: EndReason = EndReason.INTERNAL
    v: Literal[1] = 1

    @property
    def rejects_order(self) -> bool:
        """Whether the command created `order`: an order's number is the sequence of its command."""
        return self.order == self.command


class MarkMoved(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="mark.moved"):
    """Index (nanos) and mark (ticks) as of this event."""

    seq: int
    command: int
    at: Timestamp
    index: Nanos
    mark: Ticks
    v: Literal[1] = 1


class StatusChanged(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="market.status_changed"
):
    """The status in force from this event on."""

    seq: int
    command: int
    at: Timestamp
    status: MarketStatus
    v: Literal[1] = 1


class RulesChanged(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="rules.changed"):
    """The rules version in force from the next command on."""

    seq: int
    command: int
    at: Timestamp
    rules: int
    v: Literal[1] = 1


class BarrierPassed(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="barrier.passed"):
    """Everything before the barrier has been matched."""

    seq: int
    command: int
    at: Timestamp
    barrier: str
    v: Literal[1] = 1


class ClockAdvanced(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="clock.advanced"):
    """The market's clock stands at `at`."""

    seq: int
    command: int
    at: Timestamp
    v: Literal[1] = 1


Event = (
    MarketOpened
    | OrderAccepted
    | OrderEnded
    | OrderShrunk
    | TradeExecuted
    | CancelRefused
    | CommandFailed
    | MarkMoved
    | StatusChanged
    | RulesChanged
    | BarrierPassed
    | ClockAdvanced
)
