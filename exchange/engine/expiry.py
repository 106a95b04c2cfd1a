"""Orders with an end: they expire when the market's clock reaches it, before anything else happens at that time."""

from exchange.engine.emitter import Emitter
from schemas.orders import EndReason, OrderStatus


def expire_due(emitter: Emitter) -> None:
    """End every resting order whose time has come, earliest first."""
    market = emitter.market
    while (order_seq := market.expiries.first_due(market.clock)) is not None:
        order = market.book.find(order_seq)
        if order is None:
            raise LookupError(order_seq)
        market.remove(order)
        emitter.ended(order, OrderStatus.EXPIRED, EndReason.GTD_EXPIRED)
