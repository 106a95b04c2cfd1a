"""Placing an order: it is refused, or accepted and matched, and what remains of it rests or ends. And amending a resting one."""

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
from schemas.commands import AmendOrder, PlaceOrder
from schemas.market import RULES_SECOND
from schemas.orders import AmendRefusal, EndReason, OrderStatus, TimeInForce
from schemas.units import Lots, Ticks


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
AMENDED = Ending(OrderStatus.CANCELLED, EndReason.AMENDED)
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


def amend(emitter: Emitter, command: AmendOrder) -> None:
    """Give a resting order other terms, or refuse that and leave it as it was.

    It keeps its place only when it loses lots at the price it has. Otherwise it arrives again: it is checked, takes what it
    crosses, and rests at the end of its price. With no lots left it ends.
    """
    market = emitter.market
    order = market.book.find(command.order)
    if order is None or order.user != command.user:
        emitter.amend_refused(command, AmendRefusal.ENDED)
        return
    if order.remaining + command.added <= 0:
        market.remove(order)
        emitter.ended(order, *AMENDED)
        return
    amended = _amended(order, command)
    keeps_place = amended.price == order.price and command.added < 0
    moves_to_band = not keeps_place and _moves_to_band(market, amended)
    if moves_to_band:
        move_to_band(market, amended)
    refusal = _amend_refusal(market, amended, command, keeps_place=keeps_place)
    if refusal is not None:
        emitter.amend_refused(command, *refusal)
        return
    if keeps_place:
        market.reduce(order, -command.added)
        order.loss_per_lot = command.loss_per_lot
        emitter.amended(order, command, keeps_place=True)
        return
    market.remove(order)
    emitter.amended(amended, command, keeps_place=False)
    if amended.reduce_only:
        cut_to_position(emitter, amended)
    if match(emitter, amended, MatchParams(command.self_trade_prevention, market.spec.taker_fee_rate)):
        _rest(emitter, amended)


def _amended(order: Order, command: AmendOrder) -> Order:
    """The order as it would be, outside the book; what it has traded counts on, so that its fees stay cumulative."""
    return Order(
        order_seq=order.order_seq,
        user=order.user,
        side=order.side,
        price=order.price if command.price is None else command.price,
        remaining=Lots(order.remaining + command.added),
        reduce_only=order.reduce_only,
        loss_per_lot=command.loss_per_lot,
        expires_at=order.expires_at,
        taker_notional=order.taker_notional,
        maker_notional=order.maker_notional,
    )


def _amend_refusal(
    market: Market, amended: Order, command: AmendOrder, *, keeps_place: bool
) -> tuple[AmendRefusal, Ticks | None] | None:
    """Why the order may not have these terms, as one that arrives with them: the first reason that applies."""
    if not accepts_order(market.status, post_only=command.post_only, reduce_only=amended.reduce_only):
        return AmendRefusal.MARKET_STATUS, None
    if keeps_place:
        return None
    if is_beyond_resting_band(market, amended):
        return AmendRefusal.PRICE_BAND, None
    if amended.reduce_only and room_for(market, amended) <= 0:
        return AmendRefusal.REDUCE_ONLY, None
    if command.post_only and (ending := _would_take(market, amended)) is not None:
        return AmendRefusal.POST_ONLY_WOULD_TAKE, ending.best_opposite
    return None


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
        _rest(emitter, order)
    else:
        emitter.ended(order, *_IOC_REMAINDER)


def _rest(emitter: Emitter, order: Order) -> None:
    """Let what remains of the order rest; a reduce-only one counts with the others of its side from now on."""
    if order.remaining:
        emitter.market.rest(order)
        if order.reduce_only and emitter.market.rules >= RULES_SECOND:
            enforce(emitter, order.user)
