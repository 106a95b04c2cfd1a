"""Placing an order: it is refused, or accepted and matched, and what remains of it rests or ends."""

from typing import NamedTuple

import msgspec

from exchange.engine.conditional.groups import GroupName
from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.matching import MatchParams, can_fill_whole, crosses, match
from exchange.engine.order import Order
from exchange.engine.prices.resting_band import is_beyond_resting_band, move_to_band
from exchange.engine.reduce_only import cut_to_position, enforce, enforce_at_arrival, reducible, room_for
from exchange.market_status import accepts_order
from schemas.commands import PlaceOrder
from schemas.market import RULES_SECOND
from schemas.orders import EndReason, OrderStatus, TimeInForce
from schemas.units import Ticks


class Ending(NamedTuple):
    """How an order ends; `best_opposite` is the price at which a post-only order would have traded."""

    status: OrderStatus
    reason: EndReason
    best_opposite: Ticks | None = None


_RESTING = frozenset({TimeInForce.GTC, TimeInForce.GTD})
TIMED_OUT = Ending(OrderStatus.EXPIRED, EndReason.TIMED_OUT)
GTD_EXPIRED = Ending(OrderStatus.EXPIRED, EndReason.GTD_EXPIRED)
WRONG_STATUS = Ending(OrderStatus.REJECTED, EndReason.MARKET_STATUS)
_NOTHING_TO_REDUCE = Ending(OrderStatus.REJECTED, EndReason.REDUCE_ONLY)
_UNFILLABLE = Ending(OrderStatus.EXPIRED, EndReason.FOK_UNFILLABLE)
_IOC_REMAINDER = Ending(OrderStatus.EXPIRED, EndReason.IOC_REMAINDER)
_BEYOND_PROTECTION = Ending(OrderStatus.EXPIRED, EndReason.PRICE_BAND)
_BEYOND_BAND = Ending(OrderStatus.CANCELLED, EndReason.PRICE_BAND)
_NO_LIQUIDITY = Ending(OrderStatus.EXPIRED, EndReason.NO_LIQUIDITY)


def place(emitter: Emitter, command: PlaceOrder) -> None:
    """Place the order of this command."""
    enter(emitter, emitter.command, command)


def enter(emitter: Emitter, order_seq: int, command: PlaceOrder) -> None:
    """Accept or refuse an order, match it, and let what remains of it rest or end."""
    order = _order_of(order_seq, command)
    moves_to_band = _moves_to_band(emitter.market, order)
    if moves_to_band:
        move_to_band(emitter.market, order)
    refusal = _refusal(emitter.market, order, command)
    if refusal is not None:
        emitter.ended(order, *refusal)
        return
    emitter.accepted(order, command)
    if command.oco_group is not msgspec.UNSET:
        emitter.market.groups.join(order_seq, GroupName(order.user, command.oco_group))
    if moves_to_band:
        emitter.moved_to_band(order)
    if command.time_in_force is TimeInForce.FOK and not _can_fill_whole(emitter.market, order, command):
        emitter.ended(order, *_UNFILLABLE)
        return
    if order.reduce_only:
        cut = cut_to_position if emitter.market.rules >= RULES_SECOND else enforce_at_arrival
        cut(emitter, order)
    params = MatchParams(command.self_trade_prevention, emitter.market.spec.taker_fee_rate)
    if match(emitter, order, params) and order.remaining:
        _leave_remainder(emitter, order, command)


def _order_of(order_seq: int, command: PlaceOrder) -> Order:
    return Order(
        order_seq=order_seq,
        user=command.user,
        side=command.side,
        price=command.price,
        remaining=command.quantity,
        reduce_only=command.reduce_only,
        loss_per_lot=command.loss_per_lot,
        expires_at=command.expires_at,
    )


def _refusal(market: Market, order: Order, command: PlaceOrder) -> Ending | None:
    """Why the market does not accept the order: the first reason that applies."""
    if command.valid_until is not None and command.valid_until < market.clock:
        return TIMED_OUT
    if command.expires_at is not None and command.expires_at <= market.clock:
        return GTD_EXPIRED
    if not accepts_order(market.status, post_only=command.post_only, reduce_only=command.reduce_only):
        return WRONG_STATUS
    if is_beyond_resting_band(market, order):
        return _BEYOND_BAND if command.order_type.is_limit else _BEYOND_PROTECTION
    if order.reduce_only and _room_at_arrival(market, order, command) <= 0:
        return _NOTHING_TO_REDUCE
    return _would_take(market, order) if command.post_only else None


def _moves_to_band(market: Market, order: Order) -> bool:
    """Whether a gap has left a reduce-only order beyond the band while it was on its way: it takes the band's edge."""
    return order.reduce_only and market.rules >= RULES_SECOND and is_beyond_resting_band(market, order)


def _room_at_arrival(market: Market, order: Order, command: PlaceOrder) -> int:
    """Lots that a reduce-only order may have: what it can fill at once is bounded by the position alone, what it can rest
    with by the orders at least as aggressive too. Where one of those rests it cannot fill: they do not cross."""
    if market.rules >= RULES_SECOND and not _may_rest(command):
        return reducible(market, order.user, order.side)
    return room_for(market, order)


def _may_rest(command: PlaceOrder) -> bool:
    return command.order_type.is_limit and command.time_in_force in _RESTING


def _would_take(market: Market, order: Order) -> Ending | None:
    maker = market.book.best(order.side.opposite)
    if maker is None or not crosses(order, maker):
        return None
    return Ending(OrderStatus.REJECTED, EndReason.POST_ONLY_WOULD_TAKE, maker.price)


def _can_fill_whole(market: Market, order: Order, command: PlaceOrder) -> bool:
    """Whether a fill-or-kill order can be filled whole; not if it is reduce-only and larger than the position allows."""
    if order.reduce_only and _room_at_arrival(market, order, command) < order.remaining:
        return False
    return can_fill_whole(market, order, command.self_trade_prevention)


def _leave_remainder(emitter: Emitter, order: Order, command: PlaceOrder) -> None:
    if not command.order_type.is_limit:
        is_empty = emitter.market.book.best(order.side.opposite) is None
        emitter.ended(order, *(_NO_LIQUIDITY if is_empty else _BEYOND_PROTECTION))
    elif command.time_in_force in _RESTING:
        emitter.market.rest(order)
        if order.reduce_only and emitter.market.rules >= RULES_SECOND:
            enforce(emitter, order.user)
    else:
        emitter.ended(order, *_IOC_REMAINDER)
