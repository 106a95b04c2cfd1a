"""Reduce-only: the reduce-only orders of a side never exceed the position together (docs/semantics.md, "Orders").

Enforced after every trade, for both parties, and when a remainder comes to rest. An arriving order is cut to the position
alone: it takes lots off the others by what it fills, so one that fills nothing changes nothing. The least aggressive
order is cut first, of equals the newest: it shrinks, or is cancelled when nothing is left of it. Rules 1 cut all of them,
the arriving one included, before it matched.
"""

from collections.abc import Iterable

from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.order import Order
from schemas.orders import EndReason, OrderStatus, Side
from schemas.units import Lots


def reducible(market: Market, user: int, side: Side) -> int:
    """Lots that orders of this side can take off the account's position."""
    return reducible_of(market.position_of(user), side)


def reducible_of(position: int, side: Side) -> int:
    """Lots that orders of this side can take off a position of these signed lots."""
    return max(0, -side.sign * position)


def room_for(market: Market, order: Order) -> int:
    """Lots that a reduce-only order may rest with, given the position and the other orders at least as aggressive.

    An order that is amended rests itself, at its old terms: it is none of the others.
    """
    room = reducible(market, order.user, order.side)
    group = market.reduce_only.groups.get(order.user)
    if group is None or group.side is not order.side:
        return room
    others = [other for other in group.orders.values() if other.order_seq != order.order_seq]
    return room - sum(other.remaining for other in others if _rank(other) >= _rank(order))


def enforce(emitter: Emitter, user: int) -> None:
    """Cut the account's resting reduce-only orders down to its position, which may have shrunk."""
    market = emitter.market
    group = market.reduce_only.groups.get(user)
    if group is not None:
        _cut_down(emitter, group.orders.values(), group.lots - reducible(market, user, group.side))


def cut_to_position(emitter: Emitter, order: Order) -> None:
    """Cut an arriving order down to the position it can reduce; every order cut by this has some lots left."""
    by = order.remaining - reducible(emitter.market, order.user, order.side)
    if by > 0:
        order.remaining = Lots(order.remaining - by)
        emitter.shrunk(order, by)


def enforce_at_arrival(emitter: Emitter, order: Order) -> None:
    """Rules 1: cut the reduce-only orders down to the position, the arriving one included, least aggressive first."""
    market = emitter.market
    group = market.reduce_only.groups.get(order.user)
    orders = [*group.orders.values(), order] if group is not None else [order]
    lots = sum(other.remaining for other in orders)
    _cut_down(emitter, orders, lots - reducible(market, order.user, order.side))


def _cut_down(emitter: Emitter, orders: Iterable[Order], excess: int) -> None:
    if excess <= 0:
        return
    for order in sorted(orders, key=lambda order: (_rank(order), -order.order_seq)):
        by = min(order.remaining, excess)
        _cut(emitter, order, by)
        excess -= by
        if not excess:
            return


def _cut(emitter: Emitter, order: Order, by: int) -> None:
    if by == order.remaining:
        emitter.market.remove(order)
        emitter.ended(order, OrderStatus.CANCELLED, EndReason.REDUCE_ONLY)
        return
    if emitter.market.book.find(order.order_seq) is None:  # still arriving
        order.remaining = Lots(order.remaining - by)
    else:
        emitter.market.reduce(order, by)
    emitter.shrunk(order, by)


def _rank(order: Order) -> int:
    """How aggressive an order is among those of its side: the higher, the closer to a trade."""
    return order.side.sign * order.price
