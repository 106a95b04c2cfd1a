"""The states of a market: which orders each takes, and what a change does to those that rest (semantics.md section 8)."""

from exchange.turn import Turn
from schemas.commands import OrderCreated
from schemas.market import MarketStatus
from schemas.orders import EndReason, OrderStatus, Side

_STAGES = {
    MarketStatus.INITIALIZING: 0,
    MarketStatus.ACTIVE: 1,
    MarketStatus.CANCEL_ONLY: 1,
    MarketStatus.HALTED: 1,
    MarketStatus.SETTLEMENT_ONLY: 2,
    MarketStatus.SETTLED: 3,
}


def takes(status: MarketStatus, order: OrderCreated) -> bool:
    """Whether a market in this state takes the order on."""
    match status:
        case MarketStatus.ACTIVE:
            return True
        case MarketStatus.INITIALIZING:
            return order.post_only
        case MarketStatus.SETTLEMENT_ONLY:
            return order.reduce_only
        case _:
            return False


def set_status(turn: Turn, status: MarketStatus) -> None:
    """Change the status, unless it leads back to an earlier stage of the market's life; tell the one in force."""
    market = turn.market
    if _STAGES[status] >= _STAGES[market.status]:
        market.status = status
    turn.status_changed()
    if market.status in {MarketStatus.SETTLEMENT_ONLY, MarketStatus.SETTLED}:
        _end_what_may_not_rest(turn, is_settled=market.status is MarketStatus.SETTLED)


def _end_what_may_not_rest(turn: Turn, *, is_settled: bool) -> None:
    for side in Side:
        for order in [order for order in turn.market.book.walk(side) if is_settled or not order.reduce_only]:
            turn.market.remove(order)
            turn.ended(order, OrderStatus.CANCELLED, EndReason.MARKET_STATUS)
