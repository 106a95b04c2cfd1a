"""The mark: what moves it, and what does not."""

import pytest

from exchange.engine.prices.impact import impact_notional, impact_price
from exchange.engine.prices.mark import clamp_to_index
from schemas.events import MarkMoved
from schemas.orders import Side
from schemas.units import E9, E18, RateE9
from tests.exchange.builders import ANN, BOB, CAT, Driver, buy, index, sell, small_spec, tick
from tests.exchange.invariants import check_all

SECOND = 1_000_000
USDC_NANOS = 10**9


def quoted(bid: int, ask: int) -> Driver:
    """A market with an index of 100 and room for the impact notional of 5,000 USDC on both sides."""
    driver = Driver()
    driver.send(buy(ANN, 100, bid), sell(BOB, 100, ask, loss_per_lot=10**9))
    return driver


def test_the_impact_price_is_an_average_over_the_notional() -> None:
    """5,000 USDC into bids of 20 at 100 and 40 at 80: 20 lots and 3,000 / 80 = 37.5 lots, 5,000 / 57.5 = 86.956521739."""
    driver = Driver()
    driver.send(buy(ANN, 20, 100), buy(ANN, 40, 80))
    assert impact_notional(driver.market.spec) == 5_000 * 10**6
    assert impact_price(driver.market, Side.BUY) == 86_956_521_739
    assert impact_price(driver.market, Side.SELL) is None


def test_an_impact_ask_rounds_up() -> None:
    """The same average on the other side: 5,000 / 57.5 lots, a nano more."""
    driver = Driver()
    driver.send(sell(ANN, 20, 100), sell(ANN, 100, 125))
    assert impact_price(driver.market, Side.SELL) == -(-5_000 * 125 * 10**9 // (20 * 125 + 3_000))


def test_the_median_of_index_and_book_lets_no_single_one_move_the_mark() -> None:
    """With the basis at 0, index with funding and index + basis are both 100: the book alone moves nothing."""
    driver = quoted(101, 103)
    driver.send(sell(CAT, 1, 101))
    assert driver.market.last_price == 101
    driver.send(tick(SECOND))
    assert driver.market.mark == 100


def test_the_basis_follows_the_mid_by_a_150th_a_second_however_often_the_clock_ticks() -> None:
    """Mid 102: the first second adds trunc(2 / 150) = 0.013333333, the second trunc(1.986666667 / 150) = 0.013244444."""
    driver = quoted(101, 103)
    driver.send(tick(SECOND), tick(SECOND + 1), tick(SECOND + 999_999))
    assert driver.market.basis == 13_333_333
    driver.send(tick(2 * SECOND))
    assert driver.market.basis == 13_333_333 + 13_244_444


def test_the_basis_stays_where_it_is_without_a_mid() -> None:
    """One side that cannot fill the impact notional leaves no mid."""
    driver = Driver()
    driver.send(buy(ANN, 100, 99), tick(SECOND))
    assert driver.market.basis == 0


def test_the_mark_follows_the_book_in_the_end_but_no_further_than_the_clamp() -> None:
    """A book that stays at 104 for an hour pulls the mark to index + 2 %, not beyond."""
    driver = quoted(103, 105)
    for second in range(1, 1_200):
        driver.send(tick(second * SECOND))
    driver.send(sell(CAT, 1, 103, at=1_200 * SECOND), tick(1_200 * SECOND))
    assert driver.market.basis > 3 * USDC_NANOS
    assert driver.market.mark == 102
    check_all(driver)


def test_the_funding_that_is_still_to_come_is_part_of_the_mark() -> None:
    """At a rate of 3 % and half of the interval to go, index 100 becomes 101.5; the other two candidates decide."""
    driver = Driver()
    driver.market.funding.rate = RateE9(3 * E9 // 100)
    driver.market.basis = 2 * USDC_NANOS
    driver.send(tick(4 * 3_600 * SECOND))
    assert driver.market.mark == 102  # 101.5 lies between 100 and 102, and rounds to the even tick


@pytest.mark.parametrize(("mark", "clamped"), [(90, 98), (98, 98), (100, 100), (102, 102), (103, 102)])
def test_the_mark_is_clamped_to_two_percent_of_the_index(mark: int, clamped: int) -> None:
    """98 and 102 around 100."""
    assert clamp_to_index(small_spec(), 100 * USDC_NANOS, mark) == clamped


def test_the_ends_of_the_clamp_round_towards_the_index() -> None:
    """Index 101.5 +- 2 % is 99.47 to 103.53: whole ticks inside are 100 to 103."""
    around = 101 * USDC_NANOS + USDC_NANOS // 2
    assert clamp_to_index(small_spec(), around, 90) == 100
    assert clamp_to_index(small_spec(), around, 110) == 103


def test_a_tick_wider_than_the_clamp_leaves_the_index_itself() -> None:
    """With a tick of 10 no whole tick lies within 2 % of 104: the mark is the nearest, 100."""
    assert clamp_to_index(small_spec(tick_size_e18=10 * E18), 104 * USDC_NANOS, 20) == 10


def test_a_self_made_trade_moves_no_mark() -> None:
    """Two accounts of one owner trade one lot far from the index: neither last nor the thin quotes around it count."""
    driver = Driver()
    driver.send(sell(ANN, 1, 104), buy(BOB, 1, 104))
    assert driver.market.last_price == 104
    for second in range(1, 100):
        driver.send(tick(second * SECOND))
    assert driver.market.mark == 100
    assert not [event for event in driver.events if isinstance(event, MarkMoved)]


def test_the_index_carries_the_mark_with_it() -> None:
    """The basis stays: an index of 110 and a basis of 0 give a mark of 110."""
    driver = Driver()
    driver.send(index(110))
    assert driver.market.mark == 110
