"""The orders that a batch asks to amend, read once their accounts are locked, and the rows of an amend that is accepted."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET

from exchange.risk.account import MarketState
from exchange.risk.amending import AdmittedAmend, ParsedAmend, RestingOrder
from exchange.risk.amending_waiting import WaitingOrder
from exchange.risk.conditional import PlacedLeg, unknown_to
from exchange.risk.order_filters import PricedOrder
from schemas.commands import AmendOrder
from schemas.ids import seq_of_order_key
from schemas.orders import OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce, WorkingType
from schemas.refusals import ErrorCode, Refused
from schemas.units import Lots, Micros, Ppm, Ticks

_RESTING = frozenset({TimeInForce.GTC, TimeInForce.GTD})


class _StoredOrder(msgspec.Struct, array_like=True):
    """The columns of an order that is amended, and the triggers of its legs that wait; money per lot is micros.

    `bound`: its legs, or its parent, while nothing of the parent has filled: key, and the amend under way.
    """

    user: int
    is_live: bool
    is_waiting: bool
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    self_trade_prevention: SelfTradePrevention
    post_only: bool
    reduce_only: bool
    remaining: Lots
    filled: Lots
    price: Ticks
    margin_price: Ticks
    loss_per_lot: Micros
    fee_per_lot: Micros
    excess_per_lot: Micros
    cancel_seq: int | None
    amend_seq: int | None
    amends: int
    take_profit: Ticks | None
    stop_loss: Ticks | None
    status: OrderStatus
    working_type: WorkingType | None
    trigger_price: int | None
    callback_rate: Ppm | None
    activation_price: int | None
    closes_position: bool
    parent_price: Ticks | None
    bound: list[tuple[int, int | None]] | None


_decode = msgspec.json.Decoder(_StoredOrder).decode


class AmendTarget(msgspec.Struct, frozen=True, gc=False):
    """An order to amend; `cancel_seq` and `amend_seq` are the commands that already cancel or amend it.

    `is_triggered`: its condition has held, but it is not in the book yet. `can_rest` of a live order. `bound`: the orders whose
    prices judge its own, by key, each with the amend of it under way.
    """

    user: int
    market_id: int
    is_open: bool
    is_triggered: bool
    cancel_seq: int | None
    amend_seq: int | None
    can_rest: bool
    bound: dict[int, int | None]
    order: RestingOrder | WaitingOrder


class AmendWish(NamedTuple):
    """A well-formed request to amend the order with this public id."""

    order_id: str
    amend: ParsedAmend


class NewAmend(msgspec.Struct, frozen=True, gc=False):
    """An amend to write: command `number` of its market within this batch; `order` is the database key, `old` its terms before."""

    market_id: int
    number: int
    order: int
    old: PricedOrder
    admitted: AdmittedAmend

    @property
    def command(self) -> AmendOrder:
        """What the engine gets."""
        return self.admitted.command


def amend_target(order: int, market_id: int, market: str, stored: str) -> AmendTarget:
    """The order with this database key, as the first round trip read it."""
    row = _decode(stored)
    number = seq_of_order_key(order)
    return AmendTarget(
        user=row.user,
        market_id=market_id,
        is_open=row.is_live or row.is_waiting,
        is_triggered=row.is_waiting and row.status is OrderStatus.TRIGGERED,
        cancel_seq=row.cancel_seq,
        amend_seq=row.amend_seq,
        bound=dict(row.bound or ()),
        can_rest=row.is_live and row.type.is_limit and row.time_in_force in _RESTING,
        order=_waiting(number, market, row, row.working_type)
        if row.is_waiting and row.working_type is not None
        else _resting(number, market, row),
    )


def _resting(number: int, market: str, row: _StoredOrder) -> RestingOrder:
    terms = PricedOrder(
        side=row.side,
        lots=row.remaining,
        price=row.price,
        margin_price=row.margin_price,
        loss_per_lot=row.loss_per_lot,
        fee_per_lot=row.fee_per_lot,
        reduce_only=row.reduce_only,
        excess_per_lot=row.excess_per_lot,
    )
    return RestingOrder(
        number=number,
        market=market,
        terms=terms,
        filled=row.filled,
        time_in_force=row.time_in_force,
        post_only=row.post_only,
        self_trade_prevention=row.self_trade_prevention,
        amends=row.amends,
        legs=_legs(row),
    )


def _legs(row: _StoredOrder) -> tuple[PlacedLeg, ...]:
    return tuple(
        PlacedLeg(field, order_type, trigger)
        for field, order_type, trigger in (
            ("takeProfit", OrderType.TAKE_PROFIT_MARKET, row.take_profit),
            ("stopLoss", OrderType.STOP_MARKET, row.stop_loss),
        )
        if trigger is not None
    )


def _waiting(number: int, market: str, row: _StoredOrder, working_type: WorkingType) -> WaitingOrder:
    return WaitingOrder(
        number=number,
        market=market,
        side=row.side,
        order_type=row.type,
        time_in_force=row.time_in_force,
        post_only=row.post_only,
        self_trade_prevention=row.self_trade_prevention,
        reduce_only=row.reduce_only,
        closes_position=row.closes_position,
        remaining=row.remaining,
        price=row.price,
        trigger=row.trigger_price or 0,
        working_type=working_type,
        callback_rate=row.callback_rate or Ppm(0),
        activation=row.activation_price or 0,
        parent_price=row.parent_price,
        amends=row.amends,
        legs=_legs(row),
    )


def why_never(target: AmendTarget, order_id: str, market: MarketState) -> Refused | None:
    """Why this order cannot be amended at all: by its market's rules, or because it never rests."""
    if (unknown := unknown_to(market, "amends")) is not None:
        return unknown
    if not target.can_rest and not isinstance(target.order, WaitingOrder):
        message = "only an order that waits or rests in the book, or will when it arrives, can be amended"
        return Refused(ErrorCode.INVALID_ORDER, message, {"orderId": order_id, "field": "orderId"})
    return None


def row_of(amend: NewAmend) -> tuple[int | bool | None, ...]:
    """What the writing statement takes of an amend: the command, how the order counts, and its terms before and with it."""
    command, counted = amend.command, amend.admitted.counted
    return (
        amend.order,
        amend.market_id,
        amend.number,
        command.price,
        command.added,
        max(0, command.added),
        *_terms(counted),
        *_terms(amend.old),
        command.margin_price,
        command.loss_per_lot,
        command.fee_per_lot,
        amend.admitted.excess_per_lot,
        None if command.trigger is UNSET else command.trigger or None,
        command.trigger is not UNSET,
    )


def _terms(order: PricedOrder) -> tuple[int, int, int, int]:
    return order.margin_price, order.loss_per_lot, order.fee_per_lot, order.excess_per_lot
