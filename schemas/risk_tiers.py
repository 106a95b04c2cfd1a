"""Risk tiers of a market: the larger a position, the more margin its next unit needs (docs/semantics.md, "Risk tiers").

Margins are marginal, as a tax: each part of a notional needs the rate of the tier it lies in. So they are continuous in the notional,
and grow with it by at most as much as it grows.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import lcm
from typing import NamedTuple

import msgspec

from schemas.units import AMOUNT_MAX_E18, MICRO_E18, PPM, Micros, Ppm, divide_up

NOTIONAL_MAX = Micros(AMOUNT_MAX_E18 // MICRO_E18)
"""10^12 quote: the limit for one order, for a side's sum including the position on that side, and for a tier."""
TIERS_MAX = 20


class RiskTier(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The rates and the highest leverage of the part of a position that lies above the tier before, up to `notional_up_to`."""

    notional_up_to: Micros
    initial_margin_rate: Ppm
    maintenance_margin_rate: Ppm
    leverage_max: int


class MarginStep(NamedTuple):
    """A tier of a margin: of notionals from `above` on it is (base + (notional - above) x rate) / the curve's unit."""

    above: int
    base: int
    rate: int


class MarginCurve(NamedTuple):
    """A margin as a function of the notional; exact, because all steps are counted in the same fraction of a micro."""

    unit: int
    steps: tuple[MarginStep, ...]

    def margin(self, notional: int) -> int:
        """The margin of a notional (both micros), rounded up once. Beyond the last tier its rate goes on."""
        step = self.steps[0]
        for later in self.steps:
            if later.above > notional:
                break
            step = later
        return divide_up(step.base + (notional - step.above) * step.rate, self.unit)


def maintenance_curve(tiers: Sequence[RiskTier]) -> MarginCurve:
    """Maintenance margin: each part of the notional at the maintenance rate of its tier."""
    return _curve(PPM, tiers, [tier.maintenance_margin_rate for tier in tiers])


def initial_curve(tiers: Sequence[RiskTier], leverage: int) -> MarginCurve:
    """Initial margin: each part at max(1 / leverage, initial rate of its tier); a leverage above the tier's counts as the tier's."""
    leverages = [min(leverage, tier.leverage_max) for tier in tiers]
    unit = lcm(PPM, *leverages)
    rates = [
        max(unit // counted, tier.initial_margin_rate * (unit // PPM))
        for tier, counted in zip(tiers, leverages, strict=True)
    ]
    return _curve(unit, tiers, rates)


def _curve(unit: int, tiers: Sequence[RiskTier], rates: Sequence[int]) -> MarginCurve:
    steps, above, base = [], 0, 0
    for tier, rate in zip(tiers, rates, strict=True):
        steps.append(MarginStep(above, base, rate))
        base += (tier.notional_up_to - above) * rate
        above = tier.notional_up_to
    return MarginCurve(unit, tuple(steps))


def tier_faults(tiers: Sequence[RiskTier], *, least_initial: Ppm, liquidation_fee: Ppm, mark_clamp: Ppm) -> list[str]:
    """Why a market cannot have these tiers; empty when it can, or has none.

    `least_initial` is the market's initialMarginRate: reduce-only orders count on a fill freeing at least as much, and the resting
    band and the impact notional follow from it, so no tier is below it.
    """
    if not tiers:
        return []
    checks = {
        f"at most {TIERS_MAX} tiers": len(tiers) <= TIERS_MAX,
        "notionalUpTo is a whole number of the quote asset, above 0, at most 10^12": all(
            0 < tier.notional_up_to <= NOTIONAL_MAX and tier.notional_up_to % 10**6 == 0 for tier in tiers
        ),
        "notionalUpTo rises": all(a.notional_up_to < b.notional_up_to for a, b in pairwise(tiers)),
        "initialMarginRate and maintenanceMarginRate rise": all(
            a.initial_margin_rate < b.initial_margin_rate and a.maintenance_margin_rate < b.maintenance_margin_rate
            for a, b in pairwise(tiers)
        ),
        "no initialMarginRate is below that of the market": tiers[0].initial_margin_rate >= least_initial,
        "liquidationFeeRate < maintenanceMarginRate < initialMarginRate": all(
            liquidation_fee < tier.maintenance_margin_rate < tier.initial_margin_rate <= PPM for tier in tiers
        ),
        "markClamp < initialMarginRate - maintenanceMarginRate": all(
            mark_clamp < tier.initial_margin_rate - tier.maintenance_margin_rate for tier in tiers
        ),
        "maxLeverage x initialMarginRate <= 1": all(
            tier.leverage_max >= 1 and tier.leverage_max * tier.initial_margin_rate <= PPM for tier in tiers
        ),
        "maxLeverage never rises": all(a.leverage_max >= b.leverage_max for a, b in pairwise(tiers)),
    }
    return [f"riskTiers: {fault}" for fault, holds in checks.items() if not holds]
