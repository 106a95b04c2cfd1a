"""What a market tells: the closed union of events in `engine.events.{market}`.

Every command is answered by at least one event. `seq` numbers the events of a market without holes, `command` is the
sequence of the command that caused it, `at` the time that command carried. The public id of an event is
`{market}:{seq}`, of a trade `{market}-{trade}`, of an order `{market}-{order}`.
"""

from typing import Literal

import msgspec

from schemas.market import MarketSpec, MarketStatus, PriceSource
from schemas.orders import (
    EndReason,
    FillCause,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from schemas.units import Lots, Micros, Nanos, RateE9, Ticks, Timestamp


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

    `remaining` is of its order; `fee` and `realized` are micros of this trade; `position` (signed lots), `cost` (signed
    micros), `position_realized` (micros since the position last left zero) and `position_opened` (the event at which it
    did, 0 when flat) are the account's position after it.
    """

    order: int
    user: int
    remaining: Lots
    fee: Micros
    realized: Micros
    position: int
    cost: Micros
    position_realized: Micros
    position_opened: int = 0


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


class TransferSide(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One party of a forced transfer, with the position that results; units as in TradeSide."""

    user: int
    realized: Micros
    position: int
    cost: Micros
    position_realized: Micros
    position_opened: int


class PositionTransferred(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="position.transferred"
):
    """A bankrupt account's position, or a part of it, closed without the book: by the insurance fund or by deleveraging.

    `closing_side` is the bankrupt account's: SELL closes a long. `amount` (micros, signed like the position's cost) is what
    these lots were settled at; `price` (ticks, half even, at least 1) is a view of it. `trade` counts with the trades.
    """

    seq: int
    command: int
    at: Timestamp
    trade: int
    cause: FillCause
    liquidation: int
    step: int
    closing_side: Side
    quantity: Lots
    amount: Micros
    price: Ticks
    bankrupt: TransferSide
    counterparty: TransferSide
    v: Literal[1] = 1


class LiquidationStepped(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="liquidation.stepped"
):
    """A step of a liquidation has ended: what its order closed, and the fee for it (micros) to the insurance fund."""

    seq: int
    command: int
    at: Timestamp
    order: int
    user: int
    liquidation: int
    step: int
    quantity: Lots
    notional: Micros
    fee: Micros
    mark: Ticks
    v: Literal[1] = 1


class ForcedActionDone(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="forced_action.done"
):
    """A take-over or a deleveraging has ended: `quantity` lots changed hands; `is_stale` when the position was not the one named."""

    seq: int
    command: int
    at: Timestamp
    user: int
    liquidation: int
    step: int
    quantity: Lots
    is_stale: bool
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
    """The status in force from this event on: the more restrictive of the operator's and, when the mark is frozen, CANCEL_ONLY."""

    seq: int
    command: int
    at: Timestamp
    status: MarketStatus
    operator_status: MarketStatus | None = None
    is_frozen: bool = False
    v: Literal[1] = 1


class PriceSourcesChanged(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="price_sources.changed"
):
    """The sources of the index from this event on, and how many of them must be fresh."""

    seq: int
    command: int
    at: Timestamp
    sources: tuple[PriceSource, ...]
    quorum: int
    v: Literal[1] = 1


class PriceIgnored(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="price.ignored"):
    """A price was reported by nobody's source, or one that is older than what the source has reported already."""

    seq: int
    command: int
    at: Timestamp
    source: str
    v: Literal[1] = 1


class PremiumSampled(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="premium.sampled"):
    """One minute's premium of the impact prices over the index (10^-9).

    `interval_end` is the funding it counts for, `predicted_rate` what its rate (10^-9) would be at the mean so far.
    """

    seq: int
    command: int
    at: Timestamp
    premium: RateE9
    index: Nanos
    interval_end: Timestamp
    predicted_rate: RateE9
    v: Literal[1] = 1


class FundingSettled(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="funding.settled"):
    """The funding of the interval that ended at `interval_end`, at this mark (ticks) and rate (10^-9).

    `premium_sum` (10^-9) is over its minutes. `residue` (micros) is what payers owe more than receivers get: it goes to the
    insurance fund. The payments follow in `funding.paid` events of the same command. `is_void`: the end was missed, or fell
    with a frozen mark or a halted market, so that the rate is 0.
    """

    seq: int
    command: int
    at: Timestamp
    interval_end: Timestamp
    rate: RateE9
    premium_sum: RateE9
    mark: Ticks
    index: Nanos
    residue: Micros
    is_void: bool
    v: Literal[1] = 1


class FundingPayment(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What one position of signed `lots` pays (below zero) or is paid, micros."""

    user: int
    lots: int
    amount: Micros


class FundingPaid(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="funding.paid"):
    """Payments of one funding, by user; up to 500 in one event."""

    seq: int
    command: int
    at: Timestamp
    interval_end: Timestamp
    rate: RateE9
    mark: Ticks
    payments: tuple[FundingPayment, ...]
    v: Literal[1] = 1


class Settlement(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A position of signed `lots` closed when its market ended, and the profit that realized (micros)."""

    user: int
    lots: int
    realized: Micros


class PositionsSettled(
    msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type", tag="positions.settled"
):
    """The market has ended: these positions were closed at `price` (ticks), by user; up to 500 in one event."""

    seq: int
    command: int
    at: Timestamp
    price: Ticks
    settlements: tuple[Settlement, ...]
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
    | PositionTransferred
    | LiquidationStepped
    | ForcedActionDone
    | CancelRefused
    | CommandFailed
    | MarkMoved
    | StatusChanged
    | RulesChanged
    | PriceSourcesChanged
    | PriceIgnored
    | PremiumSampled
    | FundingSettled
    | FundingPaid
    | PositionsSettled
    | BarrierPassed
    | ClockAdvanced
)
