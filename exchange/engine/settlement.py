"""The end of a market: every position closes at one price, without a fee (docs/semantics.md, "Market states")."""

from collections.abc import Sequence

from exchange.engine.emitter import Emitter
from schemas.events import Settlement
from schemas.market import MarketSpec
from schemas.units import Micros, Ticks, divide_half_even

INDEX_MINUTES = 30


def settlement_price(spec: MarketSpec, minutes: Sequence[int], index: int) -> Ticks:
    """The mean of the last 30 index minutes, rounded half even to a tick; the index if no minute was sampled yet."""
    sampled = minutes or [index]
    return spec.mark_of_index(divide_half_even(sum(sampled), len(sampled)))


def settle_positions(emitter: Emitter) -> None:
    """Close every position at the settlement price; sizes sum to zero, so gains and losses are equal."""
    market = emitter.market
    price = settlement_price(market.spec, market.index_minutes, market.index)
    settlements = [
        Settlement(user, position.lots, Micros(market.spec.notional(price, position.lots) - position.cost))
        for user, position in sorted(market.positions.items())
    ]
    market.positions.clear()
    emitter.positions_settled(price, settlements)
