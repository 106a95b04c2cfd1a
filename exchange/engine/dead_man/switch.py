"""Starting, stopping and firing the timers of the dead-man's switch."""

from exchange.engine.dead_man.countdowns import Countdown
from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from schemas.commands import SetCountdown
from schemas.market import RULES_FOURTH, MarketStatus
from schemas.orders import CountdownScope, EndReason, OrderStatus
from schemas.units import MILLISECOND_US, Timestamp


def set_countdown(emitter: Emitter, command: SetCountdown) -> None:
    """Replace the account's timer, or stop it with 0. It counts from the market's time, so that no sender's clock shortens it."""
    market = emitter.market
    if not command.countdown_ms or not _has_timers(market):
        _stop(emitter, command.user, command.scope)
        return
    deadline = Timestamp(market.clock + command.countdown_ms * MILLISECOND_US)
    market.watch(command.user)
    market.countdowns.start(Countdown(command.user, deadline, command.scope))
    emitter.countdown_changed(command.user, deadline, command.scope)


def fire_due(emitter: Emitter) -> None:
    """End the orders of every account whose time has run out, earliest first, each account's oldest first."""
    market = emitter.market
    while market.countdowns.first_at <= market.clock:
        due = market.countdowns.first
        _stop(emitter, due.user, due.scope)
        for order in market.orders_of(due.user):
            if due.scope is CountdownScope.ALL or not order.reduce_only:
                market.take_out(order.order_seq)
                emitter.ended(order, OrderStatus.CANCELLED, EndReason.DEAD_MAN)


def stop_all(emitter: Emitter) -> None:
    """Stop every timer: the market has ended."""
    countdowns = emitter.market.countdowns.by_user
    for user in sorted(countdowns):
        _stop(emitter, user, countdowns[user].scope)


def _has_timers(market: Market) -> bool:
    return market.rules >= RULES_FOURTH and market.operator_status is not MarketStatus.SETTLED


def _stop(emitter: Emitter, user: int, scope: CountdownScope) -> None:
    emitter.market.countdowns.stop(user)
    emitter.countdown_changed(user, None, scope)
