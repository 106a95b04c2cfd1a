"""A perpetual market: its units, filters and rates, and its states."""

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property

import msgspec

from schemas.plain_members import plain_members
from schemas.risk_tiers import NOTIONAL_MAX, MarginCurve, RiskTier, initial_curve, maintenance_curve, tier_faults
from schemas.units import E18, MICRO_E18, NANO_E18, PPM, Lots, Micros, Nanos, Ppm, Ticks, divide_half_even

INDEX_MAX = Nanos(10**18)
"""The highest index, 10^9 quote: nanos, and what is computed from the mark, stay within PostgreSQL's int8."""


RULES_FIRST = 1
"""The rules version of every log from before logs recorded theirs."""
RULES_SECOND = 2
"""From this version on an order cuts reduce-only orders by what it fills or rests with alone, the resting band moves a
reduce-only order instead of cancelling it, quotes and prints far from the index count for the mark only up to the clamp, a
take-over may name a part of the position, and a tick sets back a clock that had been wrong."""
RULES_THIRD = 3
"""From this version on every second moves the basis, not only those that are ticked, and prices may be reported together."""
RULES_FOURTH = 4
"""From this version on there are conditional orders, OCO groups, amends and a dead-man's switch, a cancel-all is one command, and the risk
tiers and limits of a market change by a command."""


@plain_members
class MarketStatus(StrEnum):
    """States of a market, from free to closed (docs/semantics.md, "Market states")."""

    INITIALIZING = "INITIALIZING"
    ACTIVE = "ACTIVE"
    CANCEL_ONLY = "CANCEL_ONLY"
    HALTED = "HALTED"
    SETTLEMENT_ONLY = "SETTLEMENT_ONLY"
    SETTLED = "SETTLED"


class PriceSource(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One feed that a market's index is made of: its weight in the median, and how old its price may be (ms)."""

    name: str
    weight: int
    max_age_ms: int


def source_faults(sources: Sequence[PriceSource], quorum: int) -> list[str]:
    """Why an index cannot be made of these sources; empty when it can. No source at all is a constant index."""
    checks = {
        "names are 1 to 32 characters and differ": len({source.name for source in sources}) == len(sources)
        and all(1 <= len(source.name) <= 32 and source.name.isprintable() for source in sources),
        "at most 16 sources": len(sources) <= 16,
        "1 <= weight <= 1000": all(1 <= source.weight <= 1_000 for source in sources),
        "100 <= maxAgeMs <= 600000": all(100 <= source.max_age_ms <= 600_000 for source in sources),
        "1 <= quorum <= number of sources": 1 <= quorum <= len(sources) if sources else quorum == 0,
    }
    return [fault for fault, holds in checks.items() if not holds]


class MarketSpec(msgspec.Struct, frozen=True, rename="camel", dict=True, omit_defaults=True):
    """The rules of one market, carried by the first command of its log. Only `risk_tiers` and `open_interest_max` ever change.

    `tick_size_e18` and `lot_size_e18` are the price and quantity steps in 10^-18; quantities are lots, money is
    micros, rates are parts per million. What has a default is left out of the encoding where it has it: older logs do not know it. Without
    `risk_tiers` the market is one tier; `open_interest_max` 0 is none.
    """

    market: str
    base_asset: str
    quote_asset: str
    tick_size_e18: int
    lot_size_e18: int
    quantity_min: Lots
    quantity_max: Lots
    notional_min: Micros
    orders_max: int
    leverage_max: int
    initial_margin_rate: Ppm
    maintenance_margin_rate: Ppm
    maker_fee_rate: Ppm
    taker_fee_rate: Ppm
    price_band: Ppm
    take_bound: Ppm
    mark_clamp: Ppm
    liquidation_fee_rate: Ppm
    funding_interval_hours: int
    funding_rate_cap: Ppm
    reference_price: Nanos
    conditional_orders_max: int = 50
    risk_tiers: tuple[RiskTier, ...] = ()
    open_interest_max: Micros = Micros(0)

    @cached_property
    def tiers(self) -> tuple[RiskTier, ...]:
        """The risk tiers, or the one that the market's rates are."""
        return self.risk_tiers or (
            RiskTier(NOTIONAL_MAX, self.initial_margin_rate, self.maintenance_margin_rate, self.leverage_max),
        )

    @cached_property
    def maintenance_curve(self) -> MarginCurve:
        """The maintenance margin of a position by its notional."""
        return maintenance_curve(self.tiers)

    def initial_curve(self, leverage: int) -> MarginCurve:
        """The initial margin of a notional at this leverage."""
        curve = self._initial_curves.get(leverage)
        if curve is None:
            curve = self._initial_curves[leverage] = initial_curve(self.tiers, leverage)
        return curve

    @cached_property
    def _initial_curves(self) -> dict[int, MarginCurve]:
        return {}

    @cached_property
    def lot_value(self) -> Micros:
        """Micros that one lot costs per tick of price; exact, because no other market is admitted."""
        return Micros(self.tick_size_e18 * self.lot_size_e18 // (E18 * MICRO_E18))

    def notional(self, price: int, lots: int) -> Micros:
        """Price (ticks) times quantity (lots), in micros, exact."""
        return Micros(price * lots * self.lot_value)

    def mark_of_index(self, index: int) -> Ticks:
        """An index (nanos) as a mark."""
        return mark_of_index(index, self.tick_size_e18)

    @property
    def funding_interval_us(self) -> int:
        """Microseconds from one funding to the next."""
        return self.funding_interval_hours * 3_600_000_000


def mark_of_index(index: int, tick_size_e18: int) -> Ticks:
    """An index (nanos) as a mark: rounded half even to a tick, at least one tick."""
    return Ticks(max(1, divide_half_even(index * NANO_E18, tick_size_e18)))


def spec_faults(spec: MarketSpec) -> list[str]:
    """Why a market cannot be created; empty when it can (docs/semantics.md, "Units")."""
    checks = {
        "tickSize and lotSize must be positive": spec.tick_size_e18 > 0 and spec.lot_size_e18 > 0,
        "tickSize x lotSize must be a whole number of micros": spec.tick_size_e18
        * spec.lot_size_e18
        % (E18 * MICRO_E18)
        == 0,
        "liquidationFeeRate < maintenanceMarginRate < initialMarginRate": spec.liquidation_fee_rate
        < spec.maintenance_margin_rate
        < spec.initial_margin_rate
        <= PPM,
        "markClamp < initialMarginRate - maintenanceMarginRate": spec.mark_clamp
        < spec.initial_margin_rate - spec.maintenance_margin_rate,
        "1 <= minQuantity <= maxQuantity": 1 <= spec.quantity_min <= spec.quantity_max,
        "maxLeverage x initialMarginRate <= 1": spec.leverage_max >= 1
        and spec.leverage_max * spec.initial_margin_rate <= PPM,
        "referencePrice must be positive, at most 10^9": 0 < spec.reference_price <= INDEX_MAX,
        "fees: -takerFee <= makerFee <= takerFee < 1": -spec.taker_fee_rate
        <= spec.maker_fee_rate
        <= spec.taker_fee_rate
        < PPM,
        "fundingIntervalHours divides 24": spec.funding_interval_hours > 0 and 24 % spec.funding_interval_hours == 0,
        "0 <= fundingRateCap < 1": 0 <= spec.funding_rate_cap < PPM,
        "0 < priceBand < 1 and 0 < takeBound < 1": 0 < spec.price_band < PPM and 0 < spec.take_bound < PPM,
        "0 <= maxOpenInterest <= 10^12": 0 <= spec.open_interest_max <= NOTIONAL_MAX,
    }
    return [fault for fault, holds in checks.items() if not holds] + tier_faults(
        spec.risk_tiers,
        least_initial=spec.initial_margin_rate,
        liquidation_fee=spec.liquidation_fee_rate,
        mark_clamp=spec.mark_clamp,
    )


def _seed(base: str, tick_e18: int, lot_e18: int, lots_max: int, reference_price: int) -> MarketSpec:
    return MarketSpec(
        market=f"{base}-PERP",
        base_asset=base,
        quote_asset="USDC",
        tick_size_e18=tick_e18,
        lot_size_e18=lot_e18,
        quantity_min=Lots(1),
        quantity_max=Lots(lots_max),
        notional_min=Micros(5_000_000),
        orders_max=500,
        leverage_max=20,
        initial_margin_rate=Ppm(50_000),
        maintenance_margin_rate=Ppm(5_000),
        maker_fee_rate=Ppm(200),
        taker_fee_rate=Ppm(500),
        price_band=Ppm(100_000),
        take_bound=Ppm(10_000),
        mark_clamp=Ppm(20_000),
        liquidation_fee_rate=Ppm(2_500),
        funding_interval_hours=8,
        funding_rate_cap=Ppm(3_750),
        reference_price=Nanos(reference_price),
    )


SEED_MARKETS = (
    _seed("BTC", E18 // 10, E18 // 1_000, 1_000_000, 60_000 * 10**9),
    _seed("ETH", E18 // 100, E18 // 100, 1_000_000, 3_000 * 10**9),
)
"""The markets a new exchange starts with: BTC-PERP and ETH-PERP (docs/semantics.md, "Units")."""
