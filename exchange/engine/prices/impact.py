"""Impact prices: the average price of filling a given quantity against the book (docs/semantics.md, "Index, mark, funding"; DYD).

One lot at the top of the book cannot move them; a side that cannot fill the quantity has none. The quantity is that of
the index: a few lots at a price far away, though worth the notional there, are no side.
"""

from typing import NamedTuple

from exchange.engine.market import Market
from schemas.market import RULES_SECOND, MarketSpec
from schemas.orders import Side
from schemas.units import E18, NANO_E18, PPM, Micros, Nanos, divide_up

_NANOS_A_MICRO = 1_000
IMPACT_NOTIONAL_AT_FULL_MARGIN = 500 * 10**6
"""Micros; divided by the initial margin rate it is the impact notional."""


class ImpactPrices(NamedTuple):
    """Average prices (nanos) of selling and of buying the impact quantity; None for a side that cannot fill it.

    `is_wide`: the two are so far apart that they say nothing about a price between them.
    """

    bid: Nanos | None
    ask: Nanos | None
    is_wide: bool = False

    @property
    def mid(self) -> Nanos | None:
        """The mean of bid and ask, rounded down; None unless both exist and are not too far apart."""
        return None if self.bid is None or self.ask is None or self.is_wide else Nanos((self.bid + self.ask) // 2)


def impact_notional(spec: MarketSpec) -> Micros:
    """500 / initialMarginRate quote units, rounded down to a micro (DYD)."""
    return Micros(IMPACT_NOTIONAL_AT_FULL_MARGIN * PPM // spec.initial_margin_rate)


def impact_lots(market: Market) -> int:
    """The whole lots that the impact notional buys at the index, at least one: a far price makes them no fewer."""
    return max(1, impact_notional(market.spec) * _NANOS_A_MICRO * E18 // (market.index * market.spec.lot_size_e18))


def impact_prices(market: Market) -> ImpactPrices:
    """Both sides of the current book, each limited to index x (1 +- markClamp); the bid rounds down, the ask up.

    A spread of more than 2 x markClamp of the index before limiting is wide. Rules 1 neither limit nor call wide.
    """
    bid, ask = impact_price(market, Side.BUY), impact_price(market, Side.SELL)
    if market.rules < RULES_SECOND:
        return ImpactPrices(bid, ask)
    spread = 0 if bid is None or ask is None else ask - bid
    is_wide = spread * PPM > 2 * market.index * market.spec.mark_clamp
    return ImpactPrices(_limited(market, bid), _limited(market, ask), is_wide)


def _limited(market: Market, price: Nanos | None) -> Nanos | None:
    return None if price is None else within_clamp(market, price)


def within_clamp(market: Market, price: Nanos) -> Nanos:
    """The price within index x (1 +- markClamp), whose ends are rounded to a nano towards the index."""
    lowest = divide_up(market.index * (PPM - market.spec.mark_clamp), PPM)
    highest = market.index * (PPM + market.spec.mark_clamp) // PPM
    return Nanos(max(lowest, min(price, highest)))


def impact_price(market: Market, side: Side) -> Nanos | None:
    """Average price (nanos) of filling the impact lots against the resting orders of `side`, best first."""
    if market.rules < RULES_SECOND:
        return _price_of_notional(market, side)
    rest = lots = impact_lots(market)
    ticks = 0
    for price, waiting in market.book.depth(side):
        ticks += price * min(waiting, rest)
        rest -= min(waiting, rest)
        if not rest:
            numerator, denominator = ticks * market.spec.tick_size_e18, lots * NANO_E18
            return Nanos(numerator // denominator if side is Side.BUY else divide_up(numerator, denominator))
    return None


def _price_of_notional(market: Market, side: Side) -> Nanos | None:
    """Rules 1: average price (nanos) of filling the impact notional against the resting orders of `side`, best first.

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
