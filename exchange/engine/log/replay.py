"""A market replayed from its log: the events it must have written, and the resulting orders, fills and positions.

The results are computed from the events alone, by other code than the projection's, so that the two can be compared.
"""

from collections.abc import Container
from typing import NamedTuple, assert_never

import msgspec

from exchange.engine.conditional.order import ConditionalOrder, Stage
from exchange.engine.log.journal import EncodedEvent, answer_or_fail
from exchange.engine.market import Market
from exchange.engine.order import Order
from schemas.commands import Liquidate, PlaceConditional, PlaceOrder
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
    SpecChanged,
    StatusChanged,
    TradeExecuted,
    TradeSide,
    TransferSide,
)
from schemas.orders import CountdownScope, EndReason, LiquidityRole, OrderStatus, Side
from schemas.units import Timestamp
from schemas.wire import decode_command, decode_event


class OrderLeft(msgspec.Struct):
    """An order as the replay leaves it. `filled_lots` and `trigger` are None for one that was resting when the replay began.

    `trigger` is 0 without one, and where it follows the price.
    """

    number: int
    user: int
    side: Side
    price: int
    remaining: int
    filled_notional: int
    filled_lots: int | None
    trigger: int | None
    status: OrderStatus = OrderStatus.PENDING
    reason: EndReason | None = None


class FillLeft(NamedTuple):
    """One side of a trade, prices in ticks, money in micros."""

    trade: int
    role: LiquidityRole
    event: int
    order: int | None
    user: int
    side: Side
    price: int
    quantity: int
    notional: int
    fee: int
    realized: int
    cause: str
    at: Timestamp


class CountdownLeft(NamedTuple):
    """An account's timer: when it ends, and the orders that it will end."""

    deadline: Timestamp
    scope: CountdownScope


class HoldingLeft(NamedTuple):
    """A position: signed lots, signed cost and the profit since it last left zero (micros)."""

    lots: int
    cost: int
    realized: int


class Replay:
    """The replay of a market from a given state up to event `last_event`.

    `failed`: the commands that broke the engine the first time; they fail again even if this code could apply them.

    `live`, which has the waiting orders too, `holdings` and `countdowns` are current; `ended`, `fills` and `created` accumulate until
    the caller clears them.
    """

    def __init__(self, market: Market, last_event: int, failed: Container[int] = ()) -> None:
        self.market = market
        self.live = {order.order_seq: _resting(order) for side in Side for order in market.book.walk(side)}
        self.live |= {order.order_seq: _waiting(order) for order in market.waiting.orders.values()}
        self.holdings = {user: HoldingLeft(p.lots, p.cost, p.realized) for user, p in market.positions.items()}
        self.countdowns = {user: CountdownLeft(c.deadline, c.scope) for user, c in market.countdowns.by_user.items()}
        self.ended: list[OrderLeft] = []
        self.fills: list[FillLeft] = []
        self.created: set[int] = set()
        self._last_event = last_event
        self._failed = failed

    def apply(self, seq: int, body: bytes | msgspec.Raw) -> list[EncodedEvent]:
        """Apply command `seq`, which must be the next one; returns its events, none after the last event."""
        command = decode_command(body)
        if isinstance(command, PlaceOrder | PlaceConditional | Liquidate):
            self._create(seq, command)
        answer = answer_or_fail(self.market, seq, command, self._failed)
        written = [event for event in answer if event.seq <= self._last_event]
        for event in written:
            self._fold(decode_event(event.body))
        return written

    def _create(self, seq: int, command: PlaceOrder | PlaceConditional | Liquidate) -> None:
        self.created.add(seq)
        trigger = command.trigger if isinstance(command, PlaceConditional) else 0
        self.live[seq] = OrderLeft(seq, command.user, command.side, command.price, command.quantity, 0, 0, trigger)

    def _fold(self, event: Event) -> None:  # noqa: C901, PLR0912 - one branch for each kind of event
        match event:
            case OrderAccepted():
                self._accept(self.live[event.order], event)
            case ConditionalAccepted():
                self.live[event.order].status = OrderStatus.UNTRIGGERED
            case OrderTriggered():
                self._trigger(self.live[event.order], event)
            case TradeExecuted():
                self._fill(event, event.maker, LiquidityRole.MAKER, event.taker_side.opposite)
                self._fill(event, event.taker, LiquidityRole.TAKER, event.taker_side)
            case OrderShrunk():
                self.live[event.order].remaining = event.remaining
            case OrderAmended():
                self._amend(self.live[event.order], event)
            case OrderEnded():
                self._end(event.order, event.status, event.reason)
            case CommandFailed():
                if event.rejects_order:
                    self._end(event.order, OrderStatus.REJECTED, event.reason)
            case CountdownChanged():
                self._set_countdown(event)
            case PositionTransferred():
                self._transfer(event)
            case PositionsSettled():
                self.holdings |= {closed.user: HoldingLeft(0, 0, 0) for closed in event.settlements}
            case (
                MarketOpened()
                | MarkMoved()
                | StatusChanged()
                | RulesChanged()
                | SpecChanged()
                | CancelRefused()
                | ActivationRefused()
                | AmendRefused()
                | BarrierPassed()
                | ClockAdvanced()
                | PriceSourcesChanged()
                | PriceIgnored()
                | PremiumSampled()
                | FundingSettled()
                | FundingPaid()
                | LiquidationStepped()
                | ForcedActionDone()
            ):
                pass
            case _:
                assert_never(event)

    def _accept(self, order: OrderLeft, event: OrderAccepted) -> None:
        order.status, order.price = OrderStatus.OPEN, event.price

    def _trigger(self, order: OrderLeft, event: OrderTriggered) -> None:
        order.status, order.price, order.remaining = OrderStatus.TRIGGERED, event.price, event.remaining

    def _amend(self, order: OrderLeft, event: OrderAmended) -> None:
        order.price, order.remaining = event.price, event.remaining
        if event.trigger is not msgspec.UNSET:
            order.trigger = event.trigger

    def _set_countdown(self, event: CountdownChanged) -> None:
        if event.deadline is None:
            self.countdowns.pop(event.user, None)
        else:
            self.countdowns[event.user] = CountdownLeft(event.deadline, event.scope)

    def _fill(self, trade: TradeExecuted, party: TradeSide, role: LiquidityRole, side: Side) -> None:
        order = self.live[party.order]
        order.remaining = party.remaining
        order.filled_notional += trade.notional
        order.filled_lots = None if order.filled_lots is None else order.filled_lots + trade.quantity
        if order.status is not OrderStatus.TRIGGERED:  # a protective order stays triggered until it ends
            order.status = OrderStatus.PARTIALLY_FILLED
        if not party.remaining:
            self._end(party.order, OrderStatus.FILLED, None)
        self.holdings[party.user] = HoldingLeft(party.position, party.cost, party.position_realized)
        self.fills.append(_fill_left(trade, party, role, side))

    def _transfer(self, event: PositionTransferred) -> None:
        closing = event.closing_side
        taker, maker = (
            (event.bankrupt, LiquidityRole.TAKER, closing),
            (event.counterparty, LiquidityRole.MAKER, closing.opposite),
        )
        for party, role, side in (taker, maker):
            self.holdings[party.user] = HoldingLeft(party.position, party.cost, party.position_realized)
            self.fills.append(_forced_fill_left(event, party, role, side))

    def _end(self, number: int, status: OrderStatus, reason: EndReason | None) -> None:
        order = self.live.pop(number)
        order.status, order.reason = status, reason
        self.ended.append(order)


def _resting(order: Order) -> OrderLeft:
    filled = order.taker_notional + order.maker_notional
    status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
    return OrderLeft(order.order_seq, order.user, order.side, order.price, order.remaining, filled, None, None, status)


def _waiting(order: ConditionalOrder) -> OrderLeft:
    status = OrderStatus.TRIGGERED if order.stage is Stage.TRIGGERED else OrderStatus.UNTRIGGERED
    named = (order.order_seq, order.user, order.side, order.price, order.remaining)
    return OrderLeft(*named, order.taker_notional, None, 0 if order.is_trailing else order.trigger, status)


def _forced_fill_left(event: PositionTransferred, party: TransferSide, role: LiquidityRole, side: Side) -> FillLeft:
    """A fill without an order; its notional is the amount it was settled at, signed so that a buy's is its cost."""
    return FillLeft(
        trade=event.trade,
        role=role,
        event=event.seq,
        order=None,
        user=party.user,
        side=side,
        price=event.price,
        quantity=event.quantity,
        notional=event.amount * event.closing_side.opposite.sign,
        fee=0,
        realized=party.realized,
        cause=str(event.cause),
        at=event.at,
    )


def _fill_left(trade: TradeExecuted, party: TradeSide, role: LiquidityRole, side: Side) -> FillLeft:
    return FillLeft(
        trade=trade.trade,
        role=role,
        event=trade.seq,
        order=party.order,
        user=party.user,
        side=side,
        price=trade.price,
        quantity=trade.quantity,
        notional=trade.notional,
        fee=party.fee,
        realized=party.realized,
        cause=str(trade.cause),
        at=trade.at,
    )
