"""Emits the events that one command causes: numbered without gaps, ids derived."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from exchange.engine.conditional.order import ConditionalOrder
from exchange.engine.market import Market
from exchange.engine.order import Order
from schemas.commands import AmendOrder, Deleverage, Liquidate, PlaceOrder, TakeOver
from schemas.events import (
    ActivationRefused,
    AmendRefused,
    BarrierPassed,
    CancelRefused,
    ClockAdvanced,
    CommandFailed,
    ConditionalAccepted,
    CountdownChanged,
    Event,
    ForcedActionDone,
    FundingPaid,
    FundingPayment,
    FundingSettled,
    LiquidationStepped,
    MarketOpened,
    MarkMoved,
    OrderAccepted,
    OrderAmended,
    OrderEnded,
    OrderShrunk,
    OrderTriggered,
    PositionsSettled,
    PositionTransferred,
    PremiumSampled,
    PriceIgnored,
    PriceSourcesChanged,
    RulesChanged,
    Settlement,
    SpecChanged,
    StatusChanged,
    TradeExecuted,
    TradeSide,
    TransferSide,
)
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
)
from schemas.units import Lots, Micros, RateE9, Ticks, Timestamp

T = TypeVar("T")

EVENT_ROWS_MAX = 500
"""The most rows that one event lists."""


class Emitter:
    """The events of command `command`, given at time `at`: `events` so far, each appended by a method named for it."""

    __slots__ = ("at", "command", "events", "followed", "market")

    def __init__(self, market: Market, command: int, at: Timestamp) -> None:
        self.market = market
        self.command = command
        self.at = at
        self.events: list[Event] = []
        self.followed = 0
        """How many of the events have been followed (exchange/engine/conditional/following.py)."""

    def _next(self) -> int:
        self.market.event_seq += 1
        return self.market.event_seq

    def opened(self) -> None:
        """The market exists, in its current state."""
        market = self.market
        self.events.append(
            MarketOpened(self._next(), self.command, self.at, market.spec, market.status, market.index, market.mark)
        )

    def accepted(self, order: Order, command: PlaceOrder) -> None:
        """The order is accepted as it was placed."""
        self.events.append(
            OrderAccepted(
                seq=self._next(),
                command=self.command,
                at=self.at,
                order=order.order_seq,
                user=order.user,
                side=order.side,
                order_type=command.order_type,
                quantity=command.quantity,
                price=command.price,
                time_in_force=command.time_in_force,
                post_only=command.post_only,
                reduce_only=command.reduce_only,
                self_trade_prevention=command.self_trade_prevention,
                margin_price=command.margin_price,
                loss_per_lot=command.loss_per_lot,
                fee_per_lot=command.fee_per_lot,
                leverage=command.leverage,
                client_order_id=command.client_order_id,
                expires_at=command.expires_at,
            )
        )

    def accepted_liquidation(self, order: Order, command: Liquidate) -> None:
        """The order of a liquidation is accepted."""
        self.events.append(
            OrderAccepted(
                seq=self._next(),
                command=self.command,
                at=self.at,
                order=order.order_seq,
                user=order.user,
                side=order.side,
                order_type=OrderType.LIMIT,
                quantity=command.quantity,
                price=command.price,
                time_in_force=TimeInForce.IOC,
                post_only=False,
                reduce_only=True,
                self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER,
                margin_price=command.price,
                loss_per_lot=Micros(0),
                fee_per_lot=Micros(0),
                leverage=command.leverage,
                client_order_id=None,
                expires_at=None,
            )
        )

    def accepted_conditional(self, order: ConditionalOrder) -> None:
        """The order waits for its condition."""
        self.events.append(
            ConditionalAccepted(
                seq=self._next(),
                command=self.command,
                at=self.at,
                order=order.order_seq,
                user=order.user,
                side=order.side,
                order_type=order.order_type,
                working_type=order.working_type,
                trigger=order.trigger,
                quantity=order.remaining,
                price=order.price,
                time_in_force=order.time_in_force,
                post_only=order.post_only,
                reduce_only=order.reduce_only,
                closes_position=order.closes_position,
                self_trade_prevention=order.self_trade_prevention,
                leverage=order.leverage,
                callback_rate=order.callback_rate,
                activation=order.activation,
                client_order_id=order.client_order_id,
                expires_at=order.expires_at,
                oco_group=order.oco_group,
                parent=order.parent,
            )
        )

    def triggered(self, order: ConditionalOrder, working_price: Ticks) -> None:
        """The order's condition holds; it has the price at which it enters the book, if it does."""
        self.events.append(
            OrderTriggered(
                seq=self._next(),
                command=self.command,
                at=self.at,
                order=order.order_seq,
                user=order.user,
                working_type=order.working_type,
                working_price=working_price,
                trigger=order.trigger,
                price=order.price,
                remaining=order.remaining,
            )
        )

    def activation_refused(self, order: int, user: int) -> None:
        """The user has no such order that waits for its margin."""
        self.events.append(ActivationRefused(self._next(), self.command, self.at, order, user))

    def follows_position(self, order: ConditionalOrder, added: int) -> None:
        """The order that closes a position has just got `added` lots, because the position has changed."""
        self.events.append(self._amendment(order, added, AmendCause.POSITION, keeps_place=True))

    def ended(
        self,
        order: Order | ConditionalOrder,
        status: OrderStatus,
        reason: EndReason,
        best_opposite: Ticks | None = None,
    ) -> None:
        """The order left the market; what remained of it is released."""
        self.events.append(
            OrderEnded(
                self._next(),
                self.command,
                self.at,
                order.order_seq,
                order.user,
                status,
                reason,
                order.remaining,
                best_opposite,
            )
        )

    def shrunk(self, order: Order, by: int) -> None:
        """The reduce-only order has just lost `by` lots."""
        self.events.append(
            OrderShrunk(self._next(), self.command, self.at, order.order_seq, order.user, Lots(by), order.remaining)
        )

    def moved_to_band(self, order: Order) -> None:
        """The reduce-only order has just been moved to the edge of the resting band, at the end of the queue there."""
        self.events.append(self._amendment(order, 0, AmendCause.PRICE_BAND, keeps_place=False))

    def _amendment(
        self, order: Order | ConditionalOrder, added: int, cause: AmendCause, *, keeps_place: bool
    ) -> OrderAmended:
        return OrderAmended(
            seq=self._next(),
            command=self.command,
            at=self.at,
            order=order.order_seq,
            user=order.user,
            price=order.price,
            remaining=order.remaining,
            added=added,
            cause=cause,
            keeps_place=keeps_place,
        )

    def amended(self, order: Order | ConditionalOrder, command: AmendOrder, *, keeps_place: bool) -> None:
        """The order has just been given the terms of the command."""
        trigger: Ticks | UnsetType = UNSET
        if isinstance(order, ConditionalOrder):
            trigger = Ticks(0) if order.is_trailing else order.trigger
        self.events.append(
            replace(
                self._amendment(order, command.added, AmendCause.USER, keeps_place=keeps_place),
                margin_price=command.margin_price,
                loss_per_lot=command.loss_per_lot,
                fee_per_lot=command.fee_per_lot,
                trigger=trigger,
            )
        )

    def traded(
        self,
        *,
        price: Ticks,
        lots: Lots,
        notional: Micros,
        taker_side: Side,
        maker: TradeSide,
        taker: TradeSide,
        cause: FillCause,
    ) -> TradeExecuted:
        """Two orders met; the market's trade counter has been raised."""
        event = TradeExecuted(
            self._next(),
            self.command,
            self.at,
            self.market.trade_seq,
            price,
            lots,
            notional,
            taker_side,
            maker,
            taker,
            cause,
        )
        self.events.append(event)
        return event

    def transferred(
        self,
        command: TakeOver | Deleverage,
        *,
        cause: FillCause,
        closing_side: Side,
        lots: Lots,
        amount: Micros,
        price: Ticks,
        bankrupt: TransferSide,
        counterparty: TransferSide,
    ) -> None:
        """Lots changed hands without the book; the market's trade counter has been raised."""
        self.events.append(
            PositionTransferred(
                self._next(),
                self.command,
                self.at,
                self.market.trade_seq,
                cause,
                command.liquidation,
                command.step,
                closing_side,
                lots,
                amount,
                price,
                bankrupt,
                counterparty,
            )
        )

    def liquidation_stepped(self, command: Liquidate, lots: Lots, notional: Micros, fee: Micros) -> None:
        """The step's order has ended and closed this many lots."""
        self.events.append(
            LiquidationStepped(
                self._next(),
                self.command,
                self.at,
                self.command,
                command.user,
                command.liquidation,
                command.step,
                lots,
                notional,
                fee,
                self.market.mark,
            )
        )

    def forced_action_done(self, command: TakeOver | Deleverage, lots: Lots, *, is_stale: bool) -> None:
        """The take-over or deleveraging has ended and moved this many lots."""
        named = (command.user, command.liquidation, command.step)
        self.events.append(ForcedActionDone(self._next(), self.command, self.at, *named, lots, is_stale))

    def sources_changed(self) -> None:
        """The current sources of the index."""
        sources = tuple(feed.source for feed in self.market.feeds)
        self.events.append(PriceSourcesChanged(self._next(), self.command, self.at, sources, self.market.quorum))

    def price_ignored(self, source: str) -> None:
        """The price was ignored."""
        self.events.append(PriceIgnored(self._next(), self.command, self.at, source))

    def premium_sampled(self, premium: RateE9, predicted: RateE9) -> None:
        """This minute's premium was added to the interval's sum."""
        market = self.market
        self.events.append(
            PremiumSampled(
                self._next(), self.command, self.at, premium, market.index, market.funding.ends_at, predicted
            )
        )

    def funding_settled(self, rate: RateE9, *, residue: Micros, is_void: bool) -> None:
        """The current interval has ended."""
        market, ended = self.market, self.market.funding
        self.events.append(
            FundingSettled(
                self._next(),
                self.command,
                self.at,
                ended.ends_at,
                rate,
                ended.premium_sum,
                market.mark,
                market.index,
                residue,
                is_void,
            )
        )

    def funding_paid(self, rate: RateE9, payments: Sequence[FundingPayment]) -> None:
        """What positions pay or receive for the current interval: one event for every 500 payments."""
        market = self.market
        for batch in _in_batches(payments):
            self.events.append(
                FundingPaid(self._next(), self.command, self.at, market.funding.ends_at, rate, market.mark, batch)
            )

    def positions_settled(self, price: Ticks, settlements: Sequence[Settlement]) -> None:
        """The market has ended and its positions are closed: one event for every 500 positions."""
        for batch in _in_batches(settlements):
            self.events.append(PositionsSettled(self._next(), self.command, self.at, price, batch))

    def cancel_refused(self, order: int, user: int) -> None:
        """The user has no such resting order."""
        self.events.append(CancelRefused(self._next(), self.command, self.at, order, user))

    def amend_refused(self, command: AmendOrder, reason: AmendRefusal, best_opposite: Ticks | None = None) -> None:
        """The order stays as it was, or the user has no such resting order."""
        self.events.append(
            AmendRefused(self._next(), self.command, self.at, command.order, command.user, reason, best_opposite)
        )

    def countdown_changed(self, user: int, deadline: Timestamp | None, scope: CountdownScope) -> None:
        """The account's timer has this end, or is gone."""
        self.events.append(CountdownChanged(self._next(), self.command, self.at, user, deadline, scope))

    def failed(self, order: int, user: int) -> None:
        """The command broke the engine and was undone."""
        self.events.append(CommandFailed(self._next(), self.command, self.at, order, user))

    def mark_moved(self) -> None:
        """The current index and mark."""
        self.events.append(MarkMoved(self._next(), self.command, self.at, self.market.index, self.market.mark))

    def status_changed(self) -> None:
        """The current status."""
        market = self.market
        self.events.append(
            StatusChanged(self._next(), self.command, self.at, market.status, market.operator_status, market.is_frozen)
        )

    def spec_changed(self) -> None:
        """The current specification."""
        self.events.append(SpecChanged(self._next(), self.command, self.at, self.market.spec))

    def rules_changed(self) -> None:
        """The current rules version."""
        self.events.append(RulesChanged(self._next(), self.command, self.at, self.market.rules))

    def barrier_passed(self, barrier: str) -> None:
        """Everything before the barrier has been matched."""
        self.events.append(BarrierPassed(self._next(), self.command, self.at, barrier))

    def clock_advanced(self) -> None:
        """The market's clock has reached the command's time."""
        self.events.append(ClockAdvanced(self._next(), self.command, self.at))


def _in_batches(rows: Sequence[T]) -> Iterator[tuple[T, ...]]:
    """The rows in their order, at most EVENT_ROWS_MAX at a time."""
    return (tuple(rows[start : start + EVENT_ROWS_MAX]) for start in range(0, len(rows), EVENT_ROWS_MAX))
