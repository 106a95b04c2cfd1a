"""Expiry: orders end when the market's clock reaches their expiry time, before anything else happens at that time."""

from exchange.engine.emitter import Emitter
from schemas.orders import EndReason, OrderStatus


def expire_due(emitter: Emitter) -> None:
    """End every resting or waiting order whose time has come, earliest first."""
    market = emitter.market
    expiries = market.expiries
    while expiries.first_at <= market.clock:
        order = market.take_out(expiries.first)
        if order is None:
            raise LookupError(expiries.first)
        emitter.ended(order, OrderStatus.EXPIRED, EndReason.GTD_EXPIRED)
