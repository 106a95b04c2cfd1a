"""What follows from a fill, an end or a changed position: legs wake, OCO groups end, and orders whose position is gone end with it."""

from collections.abc import Iterable

from exchange.engine.conditional.order import ConditionalOrder, Stage
from exchange.engine.emitter import Emitter
from exchange.engine.order import Order
from exchange.engine.reduce_only import reducible
from exchange.position import closing_side
from schemas.events import OrderEnded, TradeExecuted
from schemas.orders import EndReason, OrderStatus


def end_waiting(emitter: Emitter, orders: Iterable[ConditionalOrder], reason: EndReason) -> None:
    """Cancel waiting orders."""
    for order in orders:
        emitter.market.stop_waiting(order)
        emitter.ended(order, OrderStatus.CANCELLED, reason)


def follow_trade(emitter: Emitter, event: TradeExecuted, maker: Order, taker: Order) -> None:
    """Follow a trade, once both positions are booked. Every trade of a market with waiting orders comes here."""
    market, waiting = emitter.market, emitter.market.waiting
    if not waiting.on_last.floor < event.price < waiting.on_last.ceiling:
        waiting.needs_a_look = True
    lots, held, taken = maker.side.sign * event.quantity, event.maker.position, event.taker.position
    if held * (held - lots) <= 0:
        follow_position(emitter, maker.user, held - lots, held)
    if taken * (taken + lots) <= 0:
        follow_position(emitter, taker.user, taken + lots, taken)
    if waiting.legs or market.groups.group_of:
        _follow_fill(emitter, maker)
        _follow_fill(emitter, taker)


def _follow_fill(emitter: Emitter, order: Order) -> None:
    market = emitter.market
    if order.order_seq in market.waiting.legs:
        _wake_legs(emitter, order)
    if order.order_seq in market.groups.group_of:
        end_group(emitter, order.order_seq)
        if not order.remaining:
            market.groups.leave(order.order_seq)


def follow_position(emitter: Emitter, user: int, before: int, after: int) -> None:
    """End the reduce-only orders that wait to close a position which has become flat or changed its sign.

    Orders that sleep belong to the position which their parent will open: they stay.
    """
    market = emitter.market
    if before and before * after <= 0 and market.waiting.may_close(user):
        side = closing_side(before)
        gone = [
            order
            for order in market.waiting.of_user(user)
            if order.reduce_only and order.side is side and order.stage is not Stage.ASLEEP
        ]
        end_waiting(emitter, gone, EndReason.POSITION_CLOSED)


def end_group(emitter: Emitter, order_seq: int) -> None:
    """The order has fired or filled: the others of its group end."""
    market = emitter.market
    for other_seq in market.groups.others(order_seq):
        market.groups.leave(other_seq)
        if (waiting := market.waiting.orders.get(other_seq)) is not None:
            end_waiting(emitter, [waiting], EndReason.OCO)
        elif (resting := market.book.find(other_seq)) is not None:
            market.remove(resting)
            emitter.ended(resting, OrderStatus.CANCELLED, EndReason.OCO)


def follow_ends(emitter: Emitter) -> None:
    """Follow the orders that this command has ended: they leave their groups, and legs that still sleep end with their parent."""
    market = emitter.market
    if not (market.waiting.legs or market.groups.group_of):
        return
    while emitter.followed < len(emitter.events):
        event = emitter.events[emitter.followed]
        emitter.followed += 1
        if isinstance(event, OrderEnded):
            market.groups.leave(event.order)
            end_legs(emitter, event.order, EndReason.PARENT_ENDED)


def end_legs(emitter: Emitter, parent: int, reason: EndReason) -> None:
    """End the legs of an order that still sleep."""
    market = emitter.market
    end_waiting(emitter, [market.waiting.orders[seq] for seq in market.waiting.legs.get(parent, ())], reason)


def _wake_legs(emitter: Emitter, parent: Order) -> None:
    """Wake the legs of an order that has filled, once there is a position which they close.

    An order that only closes a position of the other side has nothing for them to protect: they end with it.
    """
    market = emitter.market
    for order in [market.waiting.orders[seq] for seq in market.waiting.legs[parent.order_seq]]:
        if reducible(market, order.user, order.side):
            market.waiting.wake(order)
        elif not parent.remaining:
            end_waiting(emitter, [order], EndReason.POSITION_CLOSED)
