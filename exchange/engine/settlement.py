"""The end of a market: every position closes at one price, without a fee (docs/semantics.md, "Market states")."""

from exchange.engine.emitter import Emitter
from exchange.engine.market import Market
from schemas.events import Settlement
from schemas.units import Micros, Ticks, divide_half_even

INDEX_MINUTES = 30


def settlement_price(market: Market) -> Ticks:
    """The mean of the last 30 index minutes, rounded half even to a tick; the index if no minute was sampled yet."""
    minutes = market.index_minutes or [market.index]
    return market.spec.mark_of_index(divide_half_even(sum(minutes), len(minutes)))


def settle_positions(emitter: Emitter) -> None:
    """Close every position at the settlement price; sizes sum to zero, so gains and losses are equal."""
    market = emitter.market
    price = settlement_price(market)
    settlements = [
        Settlement(user, position.lots, Micros(market.spec.notional(price, position.lots) - position.cost))
        for user, position in sorted(market.positions.items())
    ]
    market.positions.clear()
    emitter.positions_settled(price, settlements)
