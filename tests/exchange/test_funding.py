"""Funding: premium, rate, payments, and that nothing is made or lost by them."""

import pytest

from exchange.engine.prices.funding import funding_rate, next_interval_end, payment, premium
from exchange.engine.prices.impact import ImpactPrices
from schemas.events import FundingPaid, FundingPayment, FundingSettled, PremiumSampled
from schemas.market import MarketStatus
from schemas.units import E9, Nanos, Timestamp
from tests.exchange.builders import ANN, BOB, CAT, USDC, Driver, buy, sell, sources, status, tick
from tests.exchange.invariants import check_all

SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
INTERVAL = 8 * HOUR
CAP = 3_750


def test_a_premium_is_what_the_book_pays_over_the_index() -> None:
    """Bid 101 over an index of 100 is +1 %, ask 99 under it -1 %; a missing side adds nothing."""
    hundred = 100 * E9
    assert premium(ImpactPrices(Nanos(101 * E9), Nanos(102 * E9)), hundred) == E9 // 100
    assert premium(ImpactPrices(Nanos(98 * E9), Nanos(99 * E9)), hundred) == -E9 // 100
    assert premium(ImpactPrices(Nanos(99 * E9), Nanos(101 * E9)), hundred) == 0
    assert premium(ImpactPrices(None, None), hundred) == 0


@pytest.mark.parametrize(
    ("mean", "hours", "rate"),
    [
        (0, 8, 100_000),  # interest alone: 0.01 %
        (100_000, 8, 100_000),
        (600_000, 8, 100_000),  # 0.06 %: interest - premium = -0.05 %, at the edge of the clamp
        (1_000_000, 8, 500_000),  # 0.1 % - 0.05 %
        (-1_000_000, 8, -500_000),
        (10_000_000, 8, 3_750_000),  # 1 % is above the cap of 0.375 %
        (-10_000_000, 8, -3_750_000),
        (1_000_000, 1, 62_500),  # an eighth of it in one hour
    ],
)
def test_the_rate_is_the_published_formula(mean: int, hours: int, rate: int) -> None:
    """F = clamp((meanP + clamp(I - meanP, +-0.0005)) x N/8, +-cap), as Binance publishes it."""
    assert funding_rate(mean * 60 * hours, 60 * hours, hours, CAP) == rate


def test_a_minute_without_a_sample_counts_as_zero() -> None:
    """One sample of 48 % in 480 minutes is a mean premium of 0.1 %."""
    assert funding_rate(480 * 1_000_000, 480, 8, CAP) == 500_000


def test_payers_round_up_and_receivers_down() -> None:
    """3 lots at 100 micros and a rate of 10^-3 are 0.3 micros: one pays 1, the other gets 0."""
    assert payment(3, 100, 1, E9 // 1_000) == -1
    assert payment(-3, 100, 1, E9 // 1_000) == 0


def test_intervals_end_at_multiples_from_midnight() -> None:
    """At 08:00 itself the next one is 16:00."""
    assert next_interval_end(8 * HOUR - 1, INTERVAL) == 8 * HOUR
    assert next_interval_end(8 * HOUR, INTERVAL) == 16 * HOUR


def held() -> Driver:
    """Ann is long 3 and Bob short 3, from 100."""
    driver = Driver()
    driver.send(sell(BOB, 3, 100), buy(ANN, 3, 100))
    return driver


def settled(driver: Driver) -> list[FundingSettled]:
    """Every funding so far."""
    return [event for event in driver.events if isinstance(event, FundingSettled)]


def test_longs_pay_shorts_at_a_positive_rate_once_however_often_the_clock_ticks() -> None:
    """An empty book: 0.01 % of 300 USDC is 0.03 USDC from Ann to Bob."""
    driver = held()
    driver.send(tick(INTERVAL), tick(INTERVAL), tick(INTERVAL + SECOND))
    (funding,) = settled(driver)
    (paid,) = [event for event in driver.events if isinstance(event, FundingPaid)]
    assert (funding.interval_end, funding.rate, funding.mark, funding.residue) == (INTERVAL, 100_000, 100, 0)
    assert paid.payments == (FundingPayment(ANN, 3, -30_000), FundingPayment(BOB, -3, 30_000))
    assert driver.market.funding.ends_at == 2 * INTERVAL
    check_all(driver)


def test_what_rounding_leaves_goes_to_the_fund_and_the_sum_is_zero() -> None:
    """Three positions at a rate that divides nothing evenly."""
    driver = Driver()
    driver.send(sell(BOB, 3, 100), buy(ANN, 1, 100), buy(CAT, 2, 100))
    driver.market.funding.premium_sum = 480 * 1_234_567
    driver.send(tick(INTERVAL))
    (funding,) = settled(driver)
    assert funding.rate == 734_567
    payments = [each for event in driver.events if isinstance(event, FundingPaid) for each in event.payments]
    assert [each.amount for each in payments] == [-73_457, 220_370, -146_914]
    assert funding.residue == 1
    assert USDC == 1_000_000
    check_all(driver)


def test_premiums_are_sampled_once_a_minute_and_predict_the_rate() -> None:
    """The bid is 1 % over the index: after the first minute the mean so far is what the rate would be made of."""
    driver = held()
    driver.send(buy(ANN, 100, 101), sell(BOB, 100, 103))
    driver.send(tick(MINUTE), tick(MINUTE + SECOND), tick(2 * MINUTE))
    samples = [event for event in driver.events if isinstance(event, PremiumSampled)]
    assert [(each.premium, each.interval_end) for each in samples] == [(10_000_000, INTERVAL)] * 2
    assert driver.market.funding.premium_sum == 20_000_000
    assert samples[0].predicted_rate == 3_750_000  # (1 % / 2 minutes so far - 0.05 %) is above the cap
    check_all(driver)


def test_an_interval_whose_end_was_missed_settles_at_zero() -> None:
    """The clock was down for a day: three intervals, no payment; a minute's delay is none."""
    driver = held()
    driver.send(tick(3 * INTERVAL + 60 * SECOND + 1))
    assert [(each.interval_end, each.rate, each.is_void) for each in settled(driver)] == [
        (INTERVAL, 0, True),
        (2 * INTERVAL, 0, True),
        (3 * INTERVAL, 0, True),
    ]
    driver.send(tick(4 * INTERVAL + 60 * SECOND))
    assert settled(driver)[-1].rate == 100_000
    check_all(driver)


@pytest.mark.parametrize("how", ["frozen", "halted"])
def test_an_interval_that_ends_frozen_or_halted_settles_at_zero(how: str) -> None:
    """No funding is paid for an interval without a trusted mark."""
    driver = held()
    driver.send(sources("x", quorum=1) if how == "frozen" else status(MarketStatus.HALTED))
    driver.send(tick(INTERVAL))
    (funding,) = settled(driver)
    assert (funding.rate, funding.is_void) == (0, True)


def test_no_premium_is_sampled_while_the_mark_is_frozen() -> None:
    """A frozen minute is a missing minute."""
    driver = held()
    driver.send(sources("x", quorum=1), tick(MINUTE))
    assert not [event for event in driver.events if isinstance(event, PremiumSampled)]


def test_a_position_closed_before_the_funding_pays_nothing() -> None:
    """Positions are those of the funding command's sequence."""
    driver = held()
    driver.send(buy(BOB, 3, 100), sell(ANN, 3, 100), tick(INTERVAL))
    assert not [event for event in driver.events if isinstance(event, FundingPaid)]
    assert settled(driver)[0].interval_end == Timestamp(INTERVAL)


def test_many_payments_come_in_events_of_five_hundred() -> None:
    """1,201 positions: 500, 500 and 201, in the order of users."""
    driver = Driver()
    driver.send(sell(5_000, 1_200, 100))
    for user in range(1, 1_201):
        driver.send(buy(user, 1, 100))
    driver.send(tick(INTERVAL))
    batches = [event.payments for event in driver.events if isinstance(event, FundingPaid)]
    assert [len(batch) for batch in batches] == [500, 500, 201]
    assert [each.user for batch in batches for each in batch] == [*range(1, 1_201), 5_000]
    check_all(driver)
