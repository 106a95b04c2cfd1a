"""The mark (docs/semantics.md, "Index, mark, funding"). Integers only, no last price alone: two machines get the same
bytes, and one trade moves nothing."""

from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from exchange.engine.prices.impact import ImpactPrices, impact_prices, within_clamp
from exchange.engine.prices.resting_band import keep_to_band
from schemas.market import RULES_SECOND, MarketSpec
from schemas.units import E9, NANO_E18, PPM, Nanos, Ticks, divide_toward_zero, divide_up

BASIS_SECONDS = 150
"""The period of the moving average of mid - index."""


def follow(emitter: Emitter) -> None:
    """Move the mark to the price computed from index, funding and book."""
    move(emitter, mark_price(emitter.market, impact_prices(emitter.market)))


def move(emitter: Emitter, mark: Ticks) -> None:
    """Move the mark; orders beyond the new band leave it before anything can match them."""
    market = emitter.market
    market.mark = mark
    market.waiting.needs_a_look = True  # the index has moved too, perhaps
    emitter.mark_moved()
    keep_to_band(emitter)


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
    """One second's step of the basis towards mid - index, or towards 0 without a mid, rounded towards zero.

    Rules 1 leave the basis where it is without a mid.
    """
    if impact.mid is not None:
        market.basis = Nanos(market.basis + _step(impact.mid - market.index - market.basis))
    elif market.rules >= RULES_SECOND:
        # the last 149 nanos, from which a step is 0, go at once: without quotes the basis ends at 0
        market.basis = Nanos(market.basis + (_step(-market.basis) or -market.basis))


def _step(distance: int) -> int:
    return divide_toward_zero(distance, BASIS_SECONDS)


def _with_funding(market: Market) -> int:
    """index x (1 + fundingRate x timeToFunding / interval), the addend rounded towards zero."""
    time_left = max(0, market.funding.ends_at - market.clock)
    addend = market.index * market.funding.rate * time_left
    return market.index + divide_toward_zero(addend, E9 * market.spec.funding_interval_us)


def _of_the_book(market: Market, impact: ImpactPrices) -> int:
    """The median of impact bid, impact ask and last price; the index if one of them is missing."""
    if impact.bid is None or impact.ask is None or not market.last_price:
        return market.index
    last = Nanos(market.last_price * market.spec.tick_size_e18 // NANO_E18)
    if market.rules >= RULES_SECOND:
        last = within_clamp(market, last)
    return sorted((impact.bid, impact.ask, last))[1]
