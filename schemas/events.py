"""What happened in a market: the closed union of events in `engine.events.{market}`.

Every command causes at least one event. The public id of an event is `{market}:{seq}`, of a trade `{market}-{trade}`,
of an order `{market}-{order}`.
"""

from typing import Literal

import msgspec

from schemas.market import MarketSpec, MarketStatus, PriceSource
from schemas.orders import (
    AmendCause,
    AmendRefusal,
    CountdownScope,
    EndReason,
    FillCause,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    TimeInForce,
    WorkingType,
)
from schemas.units import Lots, Micros, Nanos, Ppm, RateE9, Ticks, Timestamp


class EventBase(msgspec.Struct, frozen=True, gc=False, rename="camel", tag_field="type"):
    """The configuration that all events share (mypy wants `frozen` repeated), and their first fields.

    `seq` numbers the events of a market without gaps, `command` is the sequence of the command that caused the event,
    `at` the time of that command.
    """

    seq: int
    command: int
    at: Timestamp


class MarketOpened(EventBase, frozen=True, tag="market.opened"):
    """The market exists, with these parameters, status, index and mark."""

    spec: MarketSpec
    status: MarketStatus
    index: Nanos
    mark: Ticks
    v: Literal[1] = 1


class OrderAccepted(EventBase, frozen=True, tag="order.accepted"):
    """The engine accepted the order; it trades, rests in the book or ends next."""

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


class ConditionalAccepted(EventBase, frozen=True, tag="conditional.accepted"):
    """The engine accepted an order that waits for its condition; its fields are those of the command.

    `parent` is the order whose first fill wakes it, 0 where it is awake.
    """

    order: int
    user: int
    side: Side
    order_type: OrderType
    working_type: WorkingType
    trigger: Ticks
    quantity: Lots
    price: Ticks
    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    closes_position: bool
    self_trade_prevention: SelfTradePrevention
    leverage: int
    callback_rate: Ppm
    activation: Ticks
    client_order_id: str | None
    expires_at: Timestamp | None
    oco_group: str | None
    parent: int
    v: Literal[1] = 1


class OrderTriggered(EventBase, frozen=True, tag="order.triggered"):
    """The condition of an order holds: the working price is `working_price` (ticks), and it had to reach `trigger`.

    A reduce-only order enters the book by this command: `remaining` lots at the limit or protection price `price`. For any other
    the submission reserves margin first, and `price` is its limit, 0 without one.
    """

    order: int
    user: int
    working_type: WorkingType
    working_price: Ticks
    trigger: Ticks
    price: Ticks
    remaining: Lots
    v: Literal[1] = 1


class ActivationRefused(EventBase, frozen=True, tag="activation.refused"):
    """The triggered order to activate had already ended."""

    order: int
    user: int
    v: Literal[1] = 1


class OrderEnded(EventBase, frozen=True, tag="order.ended"):
    """An order left the market unfilled or partly filled; `remaining` lots were released.

    `best_opposite` is the price a post-only order would have taken.
    """

    order: int
    user: int
    status: OrderStatus
    reason: EndReason
    remaining: Lots
    best_opposite: Ticks | None = None
    v: Literal[1] = 1


class OrderShrunk(EventBase, frozen=True, tag="order.shrunk"):
    """A reduce-only order was cut by `by` lots, so that it cannot exceed the position; `remaining` is left."""

    order: int
    user: int
    by: Lots
    remaining: Lots
    v: Literal[1] = 1


class OrderAmended(EventBase, frozen=True, tag="order.amended"):
    """The terms of a live or waiting order changed: it has `remaining` lots at `price` from now on.

    `added` is the signed change of its lots, 0 when only the price changed. `keeps_place` is false when the order went to
    the end of the queue of its price. PRICE_BAND: a reduce-only order that a new mark left beyond the resting band moved to
    the edge of the band; what its margin was computed from stays as it was accepted. USER: its owner amended it; the next three
    fields are its margin terms from now on, as in order.accepted. If its price crosses, it trades next. `trigger` is there only of an
    order that waits for its condition: what its working price must reach from now on, 0 where the trigger follows the price.
    """

    order: int
    user: int
    price: Ticks
    remaining: Lots
    added: int
    cause: AmendCause
    keeps_place: bool
    margin_price: Ticks | msgspec.UnsetType = msgspec.UNSET
    loss_per_lot: Micros | msgspec.UnsetType = msgspec.UNSET
    fee_per_lot: Micros | msgspec.UnsetType = msgspec.UNSET
    trigger: Ticks | msgspec.UnsetType = msgspec.UNSET
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


class TradeExecuted(EventBase, frozen=True, tag="trade.executed"):
    """Two orders met at the maker's price. `trade` counts a market's trades without holes."""

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


class PositionTransferred(EventBase, frozen=True, tag="position.transferred"):
    """A bankrupt account's position, or a part of it, closed without the book: by the insurance fund or by deleveraging.

    `closing_side` is the bankrupt account's: SELL closes a long. `amount` (micros, signed like the position's cost) is what
    these lots were settled at; `price` (ticks, half even, at least 1) is a view of it. `trade` counts with the trades.
    """

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


class LiquidationStepped(EventBase, frozen=True, tag="liquidation.stepped"):
    """A step of a liquidation has ended: what its order closed, and the fee for it (micros) to the insurance fund."""

    order: int
    user: int
    liquidation: int
    step: int
    quantity: Lots
    notional: Micros
    fee: Micros
    mark: Ticks
    v: Literal[1] = 1


class ForcedActionDone(EventBase, frozen=True, tag="forced_action.done"):
    """A take-over or a deleveraging has ended: `quantity` lots changed hands; `is_stale` when the position was not the one named."""

    user: int
    liquidation: int
    step: int
    quantity: Lots
    is_stale: bool
    v: Literal[1] = 1


class CancelRefused(EventBase, frozen=True, tag="cancel.refused"):
    """The order to cancel had already ended; of a command that cancels several, all of them had, and `order` is the first."""

    order: int
    user: int
    v: Literal[1] = 1


class AmendRefused(EventBase, frozen=True, tag="amend.refused"):
    """The amend of `order` was refused: the order had ended, or stays as it was.

    `best_opposite` is the price that a post-only order would have taken.
    """

    order: int
    user: int
    reason: AmendRefusal
    best_opposite: Ticks | None = None
    v: Literal[1] = 1


class CountdownChanged(EventBase, frozen=True, tag="countdown.changed"):
    """The user's timer in this market from this event on: its end and the orders that it will end. None: there is none any more.

    It is also gone once it has run out: the ends of the orders follow, in the same command.
    """

    user: int
    deadline: Timestamp | None
    scope: CountdownScope
    v: Literal[1] = 1


class CommandFailed(EventBase, frozen=True, tag="command.failed"):
    """A user's command broke the engine: it was undone, and of all the market only the sequences moved.

    `order` is the order it created, which ends REJECTED, or the order it should cancel or amend, which is unchanged. A command
    that cancels several has an event for each; 0 is no order.
    """

    order: int
    user: int
    reason: EndReason = EndReason.INTERNAL
    v: Literal[1] = 1

    @property
    def rejects_order(self) -> bool:
        """Whether the command created `order`: an order's number is the sequence of its command."""
        return self.order == self.command


class MarkMoved(EventBase, frozen=True, tag="mark.moved"):
    """Index (nanos) and mark (ticks) as of this event."""

    index: Nanos
    mark: Ticks
    v: Literal[1] = 1


class StatusChanged(EventBase, frozen=True, tag="market.status_changed"):
    """The status from this event on: the more restrictive of the operator's and, when the mark is frozen, CANCEL_ONLY."""

    status: MarketStatus
    operator_status: MarketStatus | None = None
    is_frozen: bool = False
    v: Literal[1] = 1


class PriceSourcesChanged(EventBase, frozen=True, tag="price_sources.changed"):
    """The sources of the index from this event on, and how many of them must be fresh."""

    sources: tuple[PriceSource, ...]
    quorum: int
    v: Literal[1] = 1


class PriceIgnored(EventBase, frozen=True, tag="price.ignored"):
    """A reported price was ignored: its source is not one of the index, or has already reported a newer price."""

    source: str
    v: Literal[1] = 1


class PremiumSampled(EventBase, frozen=True, tag="premium.sampled"):
    """One minute's premium of the impact prices over the index (10^-9).

    `interval_end` is the funding it counts for, `predicted_rate` what its rate (10^-9) would be at the mean so far.
    """

    premium: RateE9
    index: Nanos
    interval_end: Timestamp
    predicted_rate: RateE9
    v: Literal[1] = 1


class FundingSettled(EventBase, frozen=True, tag="funding.settled"):
    """The funding of the interval that ended at `interval_end`, at this mark (ticks) and rate (10^-9).

    `premium_sum` (10^-9) is over its minutes. `residue` (micros) is what payers owe more than receivers get: it goes to the
    insurance fund. The payments follow in `funding.paid` events of the same command. `is_void`: the end was missed, or fell
    with a frozen mark or a halted market, so that the rate is 0.
    """

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


class FundingPaid(EventBase, frozen=True, tag="funding.paid"):
    """Payments of one funding, by user; up to 500 in one event."""

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


class PositionsSettled(EventBase, frozen=True, tag="positions.settled"):
    """The market has ended: these positions were closed at `price` (ticks), by user; up to 500 in one event."""

    price: Ticks
    settlements: tuple[Settlement, ...]
    v: Literal[1] = 1


class SpecChanged(EventBase, frozen=True, tag="market.spec_changed"):
    """The market's specification from the next command on."""

    spec: MarketSpec
    v: Literal[1] = 1


class RulesChanged(EventBase, frozen=True, tag="rules.changed"):
    """The rules version from the next command on."""

    rules: int
    v: Literal[1] = 1


class BarrierPassed(EventBase, frozen=True, tag="barrier.passed"):
    """Everything before the barrier has been matched."""

    barrier: str
    v: Literal[1] = 1


class ClockAdvanced(EventBase, frozen=True, tag="clock.advanced"):
    """The market's clock is at `at`."""

    v: Literal[1] = 1


Event = (
    MarketOpened
    | OrderAccepted
    | ConditionalAccepted
    | OrderTriggered
    | ActivationRefused
    | OrderEnded
    | OrderShrunk
    | OrderAmended
    | TradeExecuted
    | PositionTransferred
    | LiquidationStepped
    | ForcedActionDone
    | CancelRefused
    | AmendRefused
    | CountdownChanged
    | CommandFailed
    | MarkMoved
    | StatusChanged
    | SpecChanged
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
