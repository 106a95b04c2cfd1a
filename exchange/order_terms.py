"""What an order is priced at: the protection price of a market order, and what each lot adds to the margin sums.

The submission prices orders at acceptance, the engine a conditional one when its condition holds.
"""

from typing import NamedTuple

from schemas.market import MarketSpec
from schemas.orders import Side
from schemas.units import PPM, Micros, Ppm, Ticks, divide_up


class MarginTerms(NamedTuple):
    """The price (ticks) that margin is computed from, and of each lot the loss against the mark and the worst fee (micros)."""

    margin_price: Ticks
    loss_per_lot: Micros
    fee_per_lot: Micros


def margin_terms(spec: MarketSpec, mark: int, side: Side, price: int, *, post_only: bool) -> MarginTerms:
    """The terms of an order at this limit or protection price (docs/semantics.md, "Margin").

    A sell's margin price is at least mark. The loss is exact; the fee is rounded up and never below 0. A sell that fills
    above its margin price owes more fee, but gains more equity than that.
    """
    margin_price = price if side is Side.BUY else max(price, mark)
    rate = spec.maker_fee_rate if post_only else worst_fee_rate(spec)
    loss = max(0, side.sign * (price - mark)) * spec.lot_value
    fee = max(0, divide_up(margin_price * spec.lot_value * rate, PPM))
    return MarginTerms(Ticks(margin_price), Micros(loss), Micros(fee))


def worst_fee_rate(spec: MarketSpec) -> int:
    """The highest rate that a fill may cost; 0 where every fill earns a rebate."""
    return max(spec.taker_fee_rate, spec.maker_fee_rate, 0)


def protection_price(mark: int, side: Side, bound: Ppm) -> Ticks:
    """The worst price at which a market order may trade: mark x (1 +- bound), rounded to a tick towards mark, at least one tick."""
    if side is Side.BUY:
        return Ticks(mark * (PPM + bound) // PPM)
    return Ticks(max(1, divide_up(mark * (PPM - bound), PPM)))


def not_beyond(side: Side, limit: int, protection: int) -> Ticks:
    """The limit, or the protection price where the limit is more aggressive."""
    return Ticks(min(limit, protection) if side is Side.BUY else max(limit, protection))
