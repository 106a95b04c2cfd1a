"""The states of a market: which of them permit forced actions, and what a change does to resting orders (docs/semantics.md, "Market states")."""

from exchange.engine.conditional.following import end_waiting
from exchange.engine.dead_man.switch import stop_all
from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.settlement import settle_positions
from exchange.market_status import MATCHING
from schemas.market import MarketStatus
from schemas.orders import EndReason, OrderStatus, Side

STAGES = {
    MarketStatus.INITIALIZING: 0,
    MarketStatus.ACTIVE: 1,
    MarketStatus.CANCEL_ONLY: 1,
    MarketStatus.HALTED: 1,
    MarketStatus.SETTLEMENT_ONLY: 2,
    MarketStatus.SETTLED: 3,
}
"""The stage of a market's life in each status; it never goes back."""


def is_forced_action_possible(market: Market) -> bool:
    """Whether positions can be liquidated: matching and mark must be live. CANCEL_ONLY stops users, not liquidations."""
    return market.operator_status in MATCHING and not market.is_frozen


def freeze(emitter: Emitter, *, is_frozen: bool) -> None:
    """Freeze the market because its price sources are stale, or restore the operator's status."""
    market = emitter.market
    if market.is_frozen != is_frozen:
        market.set_status(market.operator_status, is_frozen=is_frozen)
        emitter.status_changed()


def set_status(emitter: Emitter, status: MarketStatus) -> None:
    """Change the operator's status, unless that returns to an earlier stage; emits the current status. SETTLED closes all.

    Every market except a settled one can be halted, and continues from its stage.
    """
    market = emitter.market
    is_settled = market.operator_status is MarketStatus.SETTLED
    if STAGES[status] >= market.stage or (status is MarketStatus.HALTED and not is_settled):
        market.set_status(status, is_frozen=market.is_frozen)
        market.stage = max(market.stage, STAGES[status])
    emitter.status_changed()
    if market.operator_status in {MarketStatus.SETTLEMENT_ONLY, MarketStatus.SETTLED}:
        _end_what_may_not_rest(emitter, is_settled=market.operator_status is MarketStatus.SETTLED)
    if market.operator_status is MarketStatus.SETTLED and not is_settled:
        settle_positions(emitter)
        stop_all(emitter)


def _end_what_may_not_rest(emitter: Emitter, *, is_settled: bool) -> None:
    for side in Side:
        for order in [order for order in emitter.market.book.walk(side) if is_settled or not order.reduce_only]:
            emitter.market.remove(order)
            emitter.ended(order, OrderStatus.CANCELLED, EndReason.MARKET_STATUS)
    waiting = [order for order in emitter.market.waiting.orders.values() if is_settled or not order.reduce_only]
    end_waiting(emitter, sorted(waiting, key=lambda order: order.order_seq), EndReason.MARKET_STATUS)
