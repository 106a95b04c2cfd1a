"""Impact prices: the average price of filling a given notional against the book (docs/semantics.md, "Index, mark, funding"; DYD).

One lot at the top of the book cannot move them; a side that cannot fill the notional has none.
"""

from typing import NamedTuple

from exchange.engine.market import Market
from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.units import NANO_E18, PPM, Micros, Nanos, divide_up

IMPACT_NOTIONAL_AT_FULL_MARGIN = 500 * 10**6
"""Micros; divided by the initial margin rate it is the impact notional."""


class ImpactPrices(NamedTuple):
    """Average prices (nanos) of selling and of buying the impact notional; None for a side that cannot fill it."""

    bid: Nanos | None
    ask: Nanos | None

    @property
    def mid(self) -> Nanos | None:
        """The mean of bid and ask, rounded down; None unless both exist."""
        return None if self.bid is None or self.ask is None else Nanos((self.bid + self.ask) // 2)


def impact_notional(spec: MarketSpec) -> Micros:
    """500 / initialMarginRate quote units, rounded down to a micro (DYD)."""
    return Micros(IMPACT_NOTIONAL_AT_FULL_MARGIN * PPM // spec.initial_margin_rate)


def impact_prices(market: Market) -> ImpactPrices:
    """Both sides of the current book; the bid rounds down, the ask up."""
    return ImpactPrices(impact_price(market, Side.BUY), impact_price(market, Side.SELL))


def impact_price(market: Market, side: Side) -> Nanos | None:
    """Average price (nanos) of filling the impact notional against the resting orders of `side`, best first.

    With `lots` from the earlier levels and the rest of the notional from the last level, at `price`, it is
    notional / (lots + rest / price): only the needed part of the last level counts.
    """
    spec = market.spec
    wanted = rest = impact_notional(spec)
    lots = 0
    for price, waiting in market.book.depth(side):
        value = spec.notional(price, waiting)
        if value >= rest:
            numerator = wanted * price * spec.tick_size_e18
            denominator = (lots * price * spec.lot_value + rest) * NANO_E18
            return Nanos(numerator // denominator if side is Side.BUY else divide_up(numerator, denominator))
        lots += waiting
        rest = Micros(rest - value)
    return None
