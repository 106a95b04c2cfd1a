"""Firing: the orders whose condition holds once a command's own work is done (docs/semantics.md, "Conditional orders").

Each fires once, the oldest first. A fill of one may move the last price and fire others in the same command.
"""

from exchange.engine.conditional.entry import enter_book
from exchange.engine.conditional.following import end_group, end_waiting, follow_ends
from exchange.engine.conditional.order import ConditionalOrder
from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.matching import MatchParams, match
from exchange.engine.order import Order
from exchange.engine.reduce_only import cut_to_position, reducible
from exchange.order_terms import margin_terms, not_beyond, protection_price
from schemas.commands import AdvanceClock, Command
from schemas.market import MarketStatus
from schemas.orders import EndReason, OrderStatus, WorkingType
from schemas.units import Lots, Ticks

_FIRING = frozenset({MarketStatus.ACTIVE, MarketStatus.SETTLEMENT_ONLY})
"""Where conditions fire; in any other status they fire once trading is possible again."""


def finish(emitter: Emitter, command: Command) -> None:
    """Do what the command leads to among waiting and grouped orders, once its own work is done."""
    market, waiting = emitter.market, emitter.market.waiting
    follow_ends(emitter)
    if market.status in _FIRING:
        if waiting.protecting and isinstance(command, AdvanceClock):
            _protect_again(emitter)
        while due := _due(market):
            for order in due:
                if order.order_seq in waiting.orders:  # not ended by one that fired before it
                    _fire(emitter, order)
    waiting.needs_a_look = bool(waiting.legs or waiting.protecting)


def _due(market: Market) -> list[ConditionalOrder]:
    """The orders whose condition holds, oldest first. There is no last price before the first trade."""
    waiting, found = market.waiting, []
    if not waiting.on_mark.floor < market.mark < waiting.on_mark.ceiling:
        found += waiting.on_mark.holding_at(market.mark)
    if market.last_price and not waiting.on_last.floor < market.last_price < waiting.on_last.ceiling:
        found += waiting.on_last.holding_at(market.last_price)
    if not waiting.on_index.is_empty:
        found += waiting.on_index.holding_at(market.spec.mark_of_index(market.index))
    return [waiting.orders[seq] for seq in sorted(found)]


def _working_price(market: Market, working_type: WorkingType) -> Ticks:
    match working_type:
        case WorkingType.MARK:
            return market.mark
        case WorkingType.LAST:
            return market.last_price
        case WorkingType.INDEX:
            return market.spec.mark_of_index(market.index)


def _fire(emitter: Emitter, order: ConditionalOrder) -> None:
    """Trigger an order. A reduce-only one enters the book; any other waits until the submission has reserved its margin."""
    market = emitter.market
    price = order.price
    if order.reduce_only:
        protection = protection_price(market.mark, order.side, market.spec.take_bound)
        price = not_beyond(order.side, order.price, protection) if order.order_type.is_limit else protection
        if order.closes_position:
            order.remaining = Lots(reducible(market, order.user, order.side))
    order.price = price
    market.waiting.note_triggered(order)
    emitter.triggered(order, _working_price(market, order.working_type))
    end_group(emitter, order.order_seq)
    if order.reduce_only:
        if not reducible(market, order.user, order.side):
            end_waiting(emitter, [order], EndReason.POSITION_CLOSED)
        elif order.order_type.is_limit:
            terms = margin_terms(market.spec, market.mark, order.side, price, post_only=order.post_only)
            enter_book(emitter, order, price, terms)
        else:
            _protect(emitter, order, price)
    follow_ends(emitter)


def _protect_again(emitter: Emitter) -> None:
    """Try the reduce-only market orders again that have fired and have lots left, at the protection price of now."""
    market = emitter.market
    for order in sorted(market.waiting.protecting.values(), key=lambda order: order.order_seq):
        if order.order_seq not in market.waiting.orders:
            continue
        lots = reducible(market, order.user, order.side)
        price = protection_price(market.mark, order.side, market.spec.take_bound)
        if order.closes_position and lots != order.remaining:
            added, order.remaining = lots - order.remaining, Lots(lots)
            order.price = price
            emitter.follows_position(order, added)
        _protect(emitter, order, price)
        follow_ends(emitter)


def _protect(emitter: Emitter, order: ConditionalOrder, price: Ticks) -> None:
    """Trade a reduce-only market order as far as its protection price reaches; what is left of it is tried again.

    It is cut to the position, not to what resting orders leave of it: a take-profit that rests must not disarm a stop.
    """
    market = emitter.market
    market.stop_waiting(order)
    taker = Order(
        order_seq=order.order_seq,
        user=order.user,
        side=order.side,
        price=price,
        remaining=order.remaining,
        reduce_only=True,
        taker_notional=order.taker_notional,
    )
    cut_to_position(emitter, taker)
    if not match(emitter, taker, MatchParams(order.self_trade_prevention, market.spec.taker_fee_rate)):
        return
    if not taker.remaining:
        return
    if not reducible(market, order.user, order.side):
        emitter.ended(taker, OrderStatus.CANCELLED, EndReason.POSITION_CLOSED)
        return
    order.remaining, order.taker_notional = taker.remaining, taker.taker_notional
    market.wait(order)
