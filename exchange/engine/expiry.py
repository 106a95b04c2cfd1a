"""Orders with an end: they expire when the market's clock reaches it, before anything else happens at that time."""

from exchange.engine.emitter import Emitter
from schemas.orders import EndReason, OrderStatus


def expire_due(emitter: Emitter) -> None:
    """End every resting order whose time has come, earliest first."""
    market = emitter.market
    timed = market.timed
    while timed and timed[0][0] <= market.clock:
        order = market.book.find(timed[0][1])
        if order is None:
            raise LookupError(timed[0])
        market.remove(order)
        emitter.ended(order, OrderStatus.EXPIRED, EndReason.GTD_EXPIRED)
