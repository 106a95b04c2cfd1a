"""What submission and engine both compute of an order: protection price, margin terms, and whether its condition holds.

The submission prices orders at acceptance, the engine a conditional one when its condition holds.
"""

from typing import NamedTuple

from schemas.market import MarketSpec
from schemas.orders import OrderType, Side
from schemas.units import PPM, Micros, Ppm, Ticks, divide_up

_STOPS = frozenset({OrderType.STOP, OrderType.STOP_MARKET, OrderType.TRAILING_STOP_MARKET})


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


def fires_rising(order_type: OrderType, side: Side) -> bool:
    """Whether its condition holds at or above the trigger: of a stop that buys, a take-profit that sells. Else at or below."""
    return (order_type in _STOPS) == (side is Side.BUY)


def condition_holds(order_type: OrderType, side: Side, working: int, trigger: int) -> bool:
    """Whether the condition of an order with a trigger (ticks) holds at this working price (ticks)."""
    return working >= trigger if fires_rising(order_type, side) else working <= trigger
