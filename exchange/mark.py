"""The mark, which follows a constant index, and the band that resting orders must keep to (semantics.md section 2)."""

from itertools import takewhile

from exchange.level import Order
from exchange.market import Market
from exchange.turn import Turn
from schemas.orders import EndReason, OrderStatus, Side
from schemas.units import PPM, Nanos


def set_index(turn: Turn, index: Nanos) -> None:
    """Move index and mark; orders that the new mark leaves beyond the band end before anything can match them."""
    market = turn.market
    market.index = index
    market.mark = market.spec.mark_of_index(index)
    turn.mark_moved()
    for side in Side:
        for order in [order for order in _losing(market, side) if is_beyond_band(market, order)]:
            market.remove(order)
            turn.ended(order, OrderStatus.CANCELLED, EndReason.PRICE_BAND)


def is_beyond_band(market: Market, order: Order) -> bool:
    """Whether a fill would cost more than the order's recorded loss per lot plus initialMarginRate / 2 of the mark."""
    return _loses_more_than(market, order, order.loss_per_lot)


def _losing(market: Market, side: Side) -> list[Order]:
    """The orders beyond the band if no loss had been recorded on them: the front of the book."""
    return list(takewhile(lambda order: _loses_more_than(market, order, 0), market.book.walk(side)))


def _loses_more_than(market: Market, order: Order, loss_per_lot: int) -> bool:
    spec = market.spec
    loss = order.side.sign * (order.price - market.mark) * spec.lot_value
    return 2 * PPM * (loss - loss_per_lot) > market.mark * spec.lot_value * spec.initial_margin_rate
