"""The mark, and the band that resting orders must keep to (docs/semantics.md, "Index, mark, funding" and "Orders"). Integers only, no last
price alone: two machines get the same bytes, and one trade moves nothing."""

from itertools import takewhile

from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.order import Order
from exchange.engine.prices.impact import ImpactPrices, impact_prices
from schemas.market import MarketSpec
from schemas.orders import EndReason, OrderStatus, Side
from schemas.units import E9, NANO_E18, PPM, Nanos, Ticks, divide_toward_zero, divide_up

BASIS_SECONDS = 150
"""The period of the moving average of mid - index."""


def follow(emitter: Emitter) -> None:
    """Move the mark to the price computed from index, funding and book."""
    move(emitter, mark_price(emitter.market, impact_prices(emitter.market)))


def move(emitter: Emitter, mark: Ticks) -> None:
    """Move the mark; orders beyond the new band are cancelled before anything can match them."""
    market = emitter.market
    market.mark = mark
    emitter.mark_moved()
    for side in Side:
        for order in [order for order in _losing(market, side) if is_beyond_resting_band(market, order)]:
            market.remove(order)
            emitter.ended(order, OrderStatus.CANCELLED, EndReason.PRICE_BAND)


def mark_price(market: Market, impact: ImpactPrices) -> Ticks:
    """median(index with the funding still to come, index + basis, median(bid, ask, last)), clamped to the index."""
    candidates = sorted((_with_funding(market), market.index + market.basis, _of_the_book(market, impact)))
    return clamp_to_index(market.spec, market.index, market.spec.mark_of_index(candidates[1]))


def clamp_to_index(spec: MarketSpec, index: int, mark: int) -> Ticks:
    """The mark within index x (1 +- markClamp), whose ends are rounded to a tick towards the index."""
    unit = spec.tick_size_e18 * PPM
    lowest = divide_up(index * NANO_E18 * (PPM - spec.mark_clamp), unit)
    highest = index * NANO_E18 * (PPM + spec.mark_clamp) // unit
    if lowest > highest:  # a tick is wider than the clamp
        return spec.mark_of_index(index)
    return Ticks(max(1, lowest, min(mark, highest)))


def follow_book(market: Market, impact: ImpactPrices) -> None:
    """One second's step of the basis towards mid - index, rounded towards zero; none without a mid."""
    if impact.mid is not None:
        distance = impact.mid - market.index - market.basis
        market.basis = Nanos(market.basis + divide_toward_zero(distance, BASIS_SECONDS))


def is_beyond_resting_band(market: Market, order: Order) -> bool:
    """Whether a fill would cost more than the order's recorded loss per lot plus initialMarginRate / 2 of the mark.

    Not the price band of the market, which limits an order at acceptance (exchange/risk/order_filters.py).
    """
    return _loses_more_than(market, order, order.loss_per_lot)


def _with_funding(market: Market) -> int:
    """index x (1 + fundingRate x timeToFunding / interval), the addend rounded towards zero."""
    time_left = max(0, market.funding.ends_at - market.clock)
    addend = market.index * market.funding.rate * time_left
    return market.index + divide_toward_zero(addend, E9 * market.spec.funding_interval_us)


def _of_the_book(market: Market, impact: ImpactPrices) -> int:
    """The median of impact bid, impact ask and last price; the index if one of them is missing."""
    if impact.bid is None or impact.ask is None or not market.last_price:
        return market.index
    return sorted((impact.bid, impact.ask, market.last_price * market.spec.tick_size_e18 // NANO_E18))[1]


def _losing(market: Market, side: Side) -> list[Order]:
    """The orders that would be beyond the band without a recorded loss: the front of the book."""
    return list(takewhile(lambda order: _loses_more_than(market, order, 0), market.book.walk(side)))


def _loses_more_than(market: Market, order: Order, loss_per_lot: int) -> bool:
    spec = market.spec
    loss = order.side.sign * (order.price - market.mark) * spec.lot_value
    return 2 * PPM * (loss - loss_per_lot) > market.mark * spec.lot_value * spec.initial_margin_rate
