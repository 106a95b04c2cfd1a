"""Funding: keeps a perpetual near its index (docs/semantics.md, "Index, mark, funding"; BNC for the rate, DYD for the impact notional).

Rates and premiums are integers of 10^-9. Payers round up, receivers down, and the residue goes to the insurance fund: a
funding always sums to zero.
"""

from exchange.engine.emitter import Emitter
from exchange.engine.market import Funding, Market
from exchange.engine.prices.impact import ImpactPrices
from schemas.events import FundingPayment
from schemas.market import MarketStatus
from schemas.units import E9, MINUTE_US, PPM, Micros, RateE9, Timestamp, divide_toward_zero

INTEREST_E9 = 100_000
"""I, the interest component: 0.01 % for eight hours."""
INTEREST_SPREAD_E9 = 500_000
"""The most that I may move the mean premium: 0.05 %."""
EIGHT_HOURS_MINUTES = 480
MISSED_AFTER_US = MINUTE_US
"""A clock tick later than this has missed the end of the interval."""


def premium(impact: ImpactPrices, index: int) -> RateE9:
    """(max(0, impactBid - index) - max(0, index - impactAsk)) / index, towards zero; a missing side contributes 0."""
    above = max(0, impact.bid - index) if impact.bid is not None else 0
    below = max(0, index - impact.ask) if impact.ask is not None else 0
    return RateE9(divide_toward_zero((above - below) * E9, index))


def funding_rate(premium_sum: int, minutes: int, interval_hours: int, cap_ppm: int) -> RateE9:
    """F = clamp((meanP + clamp(I - meanP, +-0.0005)) x N/8, +-cap) with meanP over `minutes`, towards zero (BNC)."""
    pulled = INTEREST_E9 * minutes - premium_sum
    limit = INTEREST_SPREAD_E9 * minutes
    mean_x_minutes = premium_sum + max(-limit, min(limit, pulled))
    rate = divide_toward_zero(mean_x_minutes * interval_hours * 60, EIGHT_HOURS_MINUTES * minutes)
    cap = cap_ppm * E9 // PPM
    return RateE9(max(-cap, min(cap, rate)))


def payment(lots: int, mark: int, lot_value: int, rate: int) -> Micros:
    """-signed quantity x mark x F: what a position receives, negative if it pays; always rounded down."""
    return Micros(-lots * mark * lot_value * rate // E9)


def next_interval_end(at: int, interval_us: int) -> Timestamp:
    """The first 00:00 UTC + k x interval after `at`."""
    return Timestamp((at // interval_us + 1) * interval_us)


def predicted_rate(market: Market) -> RateE9:
    """The rate if the premium stayed at its mean over the minutes of the interval so far."""
    spec, funding = market.spec, market.funding
    started_at = funding.ends_at - spec.funding_interval_us
    minutes = min(max(1, (market.clock - started_at) // MINUTE_US + 1), spec.funding_interval_hours * 60)
    return funding_rate(funding.premium_sum, minutes, spec.funding_interval_hours, spec.funding_rate_cap)


def sample_premium(emitter: Emitter, impact: ImpactPrices) -> None:
    """Add this minute's premium to the interval's sum."""
    market = emitter.market
    sampled = premium(impact, market.index)
    market.funding.premium_sum = RateE9(market.funding.premium_sum + sampled)
    emitter.premium_sampled(sampled, predicted_rate(market))


def settle_due(emitter: Emitter) -> None:
    """Settle every interval that has ended, once each; at rate 0 if its end was missed."""
    while emitter.market.clock >= emitter.market.funding.ends_at:
        _settle(emitter)


def _settle(emitter: Emitter) -> None:
    market, spec, ended = emitter.market, emitter.market.spec, emitter.market.funding
    is_void = _is_void(market)
    hours = spec.funding_interval_hours
    rate = RateE9(0) if is_void else funding_rate(ended.premium_sum, hours * 60, hours, spec.funding_rate_cap)
    payments = _payments(market, rate)
    emitter.funding_settled(rate, residue=Micros(-sum(each.amount for each in payments)), is_void=is_void)
    emitter.funding_paid(rate, payments)
    market.funding = Funding(rate, Timestamp(ended.ends_at + spec.funding_interval_us))


def _is_void(market: Market) -> bool:
    is_missed = market.clock - market.funding.ends_at > MISSED_AFTER_US
    return is_missed or market.is_frozen or market.operator_status is MarketStatus.HALTED


def _payments(market: Market, rate: int) -> list[FundingPayment]:
    """One payment per position in the order of users, the insurance fund's included; amounts of zero are left out."""
    lot_value = market.spec.lot_value
    payments = (
        FundingPayment(user, position.lots, payment(position.lots, market.mark, lot_value, rate))
        for user, position in sorted(market.positions.items())
    )
    return [each for each in payments if each.amount]
