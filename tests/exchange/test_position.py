"""Positions and fees (docs/semantics.md, "Position, profit, fees")."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.fees import cumulative_fee, fee_of_fill
from exchange.position import Position, fill
from schemas.events import TradeExecuted
from schemas.market import SEED_MARKETS
from schemas.units import Micros
from tests.exchange.builders import ANN, BOB, CAT, USDC, Driver, buy, listed, sell


def holding(*fills: tuple[int, int]) -> tuple[Position, list[int]]:
    """The position after fills of (signed lots, price in USDC), and what each realized, in USDC."""
    position = Position()
    realized = [fill(position, lots, lots * price * USDC, 1) // USDC for lots, price in fills]
    return position, realized


def test_a_fill_that_opens_adds_its_signed_notional_to_the_cost() -> None:
    """Buying 2 at 100 and 1 at 110 costs 310; selling costs less than nothing."""
    long, realized = holding((2, 100), (1, 110))
    short, _ = holding((-2, 100))
    assert (long.lots, long.cost, realized) == (3, 310 * USDC, [0, 0])
    assert (short.lots, short.cost) == (-2, -200 * USDC)


def test_a_fill_that_reduces_releases_cost_in_proportion() -> None:
    """Of 3 lots that cost 300, one sold at 120 releases 100 and realizes 20."""
    position, realized = holding((3, 100), (-1, 120))
    assert (position.lots, position.cost, realized) == (2, 200 * USDC, [0, 20])


def test_a_short_earns_when_it_buys_back_lower() -> None:
    """Sold 2 at 100, one bought back at 90: 10 earned."""
    position, realized = holding((-2, 100), (1, 90))
    assert (position.lots, position.cost, realized) == (-1, -100 * USDC, [0, 10])


@pytest.mark.parametrize(("sign", "kept"), [(1, 67), (-1, -67)])
def test_released_cost_is_rounded_towards_zero(sign: int, kept: int) -> None:
    """A third of 100 micros is 33 released, 67 kept, on both sides alike."""
    position = Position(3 * sign, Micros(100 * sign))
    realized = fill(position, -sign, -50 * sign, 1)
    assert (position.cost, realized) == (kept, 50 * sign - 33 * sign)


def test_a_fill_that_crosses_zero_closes_first_then_opens() -> None:
    """Long 2 from 100, 5 sold at 110: 20 realized, short 3 at a cost of -330, counted from zero."""
    position, realized = holding((2, 100), (-5, 110))
    assert (position.lots, position.cost, realized[1]) == (-3, -330 * USDC, 20)
    assert position.realized == 0


def test_realized_profit_of_a_position_counts_since_it_last_left_zero() -> None:
    """Profit adds up while the position lives, and starts again after it was flat."""
    position, _ = holding((4, 100), (-1, 110), (-1, 120))
    assert position.realized == 30 * USDC
    fill(position, -2, -2 * 100 * USDC, 1)
    fill(position, 1, 100 * USDC, 1)
    assert (position.lots, position.realized) == (1, 0)


@given(st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 10**6)), max_size=30))
@settings(deadline=None)
def test_realized_is_the_change_of_cost_less_the_notional(fills: list[tuple[int, int]]) -> None:
    """The identity that lets clearing be minus the sum of costs; and a flat position has no cost."""
    position = Position()
    for lots, price in fills:
        before = position.cost
        realized = fill(position, lots, lots * price * 7, 1)
        assert realized == position.cost - before - lots * price * 7
        assert position.lots or not position.cost
        assert position.lots * position.cost >= 0


@pytest.mark.parametrize(
    ("notional", "rate", "fee"), [(1_000_000, 500, 500), (1, 500, 1), (0, 500, 0), (3_999, -500, -1), (1, -500, 0)]
)
def test_a_fee_rounds_up_and_a_rebate_down(notional: int, rate: int, fee: int) -> None:
    """What is owed rounds up, what is paid out rounds down."""
    assert cumulative_fee(notional, rate) == fee


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=20), st.integers(-500, 500))
@settings(deadline=None)
def test_many_small_fills_cost_no_more_than_one(notionals: list[int], rate: int) -> None:
    """The fees of the parts are exactly the fee of the whole."""
    done = paid = 0
    for notional in notionals:
        paid += fee_of_fill(done, notional, rate)
        done += notional
    assert paid == cumulative_fee(done, rate)


def test_each_role_of_an_order_has_its_own_cumulative_fee() -> None:
    """An order takes 1 lot at 2 %, rests, and makes 1 lot at 1 %: 2 and 1 USDC."""
    driver = Driver()
    driver.send(sell(ANN, 1, 100))
    took = driver.send(buy(BOB, 2, 100))[-1]
    made = driver.send(sell(CAT, 1, 100))[-1]
    assert isinstance(took, TradeExecuted)
    assert isinstance(made, TradeExecuted)
    assert (took.taker.fee, made.maker.fee) == (2 * USDC, 1 * USDC)


def test_the_worked_example_of_the_semantics() -> None:
    """Long 0.5 BTC from 60,000 closed at 65,000 as taker: fee 16.25, realized 2,500."""
    driver = Driver(listed(SEED_MARKETS[0]))
    free = {"loss_per_lot": 10**9}
    driver.send(sell(BOB, 500, 600_000, **free), buy(ANN, 500, 600_000, **free))
    closing = driver.send(buy(CAT, 500, 650_000, **free), sell(ANN, 500, 650_000, **free))[-1]
    assert isinstance(closing, TradeExecuted)
    taker = closing.taker
    assert (taker.fee, taker.realized, taker.position, taker.cost) == (16_250_000, 2_500_000_000, 0, 0)
