"""Trading fees, cumulative per order and role: many small fills cost no more than one (docs/semantics.md, "Position, profit, fees")."""

from schemas.units import PPM, Micros, divide_up


def cumulative_fee(notional: int, rate: int) -> Micros:
    """The total fee of an order for this notional (micros) at a rate (parts per million).

    Rounded up; a rebate, which has a negative rate, is rounded down.
    """
    return Micros(divide_up(notional * rate, PPM))


def fee_of_fill(notional_before: int, notional: int, rate: int) -> Micros:
    """The fee that this fill adds, after fills of `notional_before` in the same role."""
    return Micros(cumulative_fee(notional_before + notional, rate) - cumulative_fee(notional_before, rate))
