"""The resting band: an order never fills at a loss that its margin did not cover (docs/semantics.md, "Resting band").

Not the price band of the market, which limits an order at acceptance (exchange/risk/order_filters.py).
"""

from itertools import takewhile

from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.order import Order
from schemas.market import RULES_SECOND
from schemas.orders import EndReason, OrderStatus, Side
from schemas.units import PPM, Ticks


def is_beyond_resting_band(market: Market, order: Order) -> bool:
    """Whether a fill would cost more than the order's recorded loss per lot plus initialMarginRate / 2 of the mark."""
    return _loses_more_than(market, order, order.loss_per_lot)


def move_to_band(market: Market, order: Order) -> None:
    """Give an order that does not rest the worst price that is within the band."""
    spec = market.spec
    allowed = 2 * PPM * order.loss_per_lot + market.mark * spec.lot_value * spec.initial_margin_rate
    order.price = Ticks(market.mark + order.side.sign * (allowed // (2 * PPM * spec.lot_value)))


def keep_to_band(emitter: Emitter) -> None:
    """Cancel the orders that a new mark has left beyond the band; move the reduce-only ones to its edge.

    A moved order never meets one of the other side: it moves away from them. Orders that meet at one edge keep their
    order of priority. Rules 1 cancel reduce-only orders too.
    """
    market = emitter.market
    for side in Side:
        for order in [order for order in _losing(market, side) if is_beyond_resting_band(market, order)]:
            market.remove(order)
            if order.reduce_only and market.rules >= RULES_SECOND:
                move_to_band(market, order)
                market.rest(order)
                emitter.moved_to_band(order)
            else:
                emitter.ended(order, OrderStatus.CANCELLED, EndReason.PRICE_BAND)


def _losing(market: Market, side: Side) -> list[Order]:
    """The orders that would be beyond the band without a recorded loss: the front of the book."""
    return list(takewhile(lambda order: _loses_more_than(market, order, 0), market.book.walk(side)))


def _loses_more_than(market: Market, order: Order, loss_per_lot: int) -> bool:
    spec = market.spec
    loss = order.side.sign * (order.price - market.mark) * spec.lot_value
    return 2 * PPM * (loss - loss_per_lot) > market.mark * spec.lot_value * spec.initial_margin_rate
