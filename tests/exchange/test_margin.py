"""Margin on the worse side, and the views derived from it (docs/semantics.md, "Margin")."""

from exchange.risk.account import Exposure
from exchange.risk.margin import (
    available_margin,
    equity,
    liquidation_price,
    maintenance,
    requirement,
    total_requirement,
    unrealized_pnl,
    withdrawable,
)
from schemas.units import Ticks, format_e18
from tests.exchange.margin_builders import BTC, USDC, btc, eth, holding, owner_of

MARK = btc(60_000)


def shown(price: Ticks | None) -> str | None:
    """A BTC price as it is answered."""
    return None if price is None else format_e18(price * BTC.tick_size_e18)


def test_a_long_of_one_from_60000_with_3000_is_liquidated_at_57286_5() -> None:
    """The worked example: 57,286.43, shown 57,286.5, rounded towards mark."""
    assert shown(liquidation_price(owner_of(3_000 * USDC, holding(1_000, 60_000, 60_000)), "BTC-PERP")) == "57286.5"


def test_a_short_of_one_from_60000_with_3000_is_liquidated_at_62686_5() -> None:
    """The worked example: 62,686.57, shown 62,686.5, rounded towards mark."""
    assert shown(liquidation_price(owner_of(3_000 * USDC, holding(-1_000, 60_000, 60_000)), "BTC-PERP")) == "62686.5"


def test_a_liquidation_price_that_no_price_reaches_is_null() -> None:
    """A long whose wallet covers its whole value, and a flat position, have none."""
    assert liquidation_price(owner_of(60_000 * USDC, holding(1_000, 60_000, 60_000)), "BTC-PERP") is None
    assert liquidation_price(owner_of(1, holding(0, 60_000, 60_000)), "BTC-PERP") is None


def test_another_market_moves_the_liquidation_price_by_its_profit_and_its_maintenance() -> None:
    """Equity elsewhere counts, less what must be kept there."""
    elsewhere = eth(1_000, 29_000)  # +1,000, keeps 150
    alone = liquidation_price(owner_of(3_850 * USDC, holding(1_000, 60_000, 60_000)), "BTC-PERP")
    assert liquidation_price(owner_of(3_000 * USDC, holding(1_000, 60_000, 60_000), elsewhere), "BTC-PERP") == alone


def test_the_requirement_takes_the_worse_side_and_not_the_sum_of_holds() -> None:
    """BUY 10 holds 10 r; SELL 10 in addition adds nothing; without the BUY the SELL holds as much."""
    ten = 10 * 60_000 * USDC
    both = Exposure(leverage=20, buy_notional=ten, sell_notional=ten)
    for exposure in (Exposure(leverage=20, buy_notional=ten), both, Exposure(leverage=20, sell_notional=ten)):
        assert requirement(BTC, exposure, MARK) == 30_000 * USDC


def test_an_order_against_the_position_adds_nothing_until_it_would_flip_it() -> None:
    """Long 1: selling 2 ends at short 1, which asks as much as long 1."""
    one = 60_000 * USDC
    for sold, asked in ((0, 3_000), (1, 3_000), (2, 3_000), (3, 6_000)):
        exposure = Exposure(leverage=20, lots=1_000, sell_notional=sold * one)
        assert requirement(BTC, exposure, MARK) == asked * USDC


def test_lower_leverage_asks_more_and_the_initial_rate_is_the_least() -> None:
    """r = max(1 / leverage, initialMarginRate)."""
    asked = [requirement(BTC, Exposure(leverage=leverage, lots=1_000), MARK) for leverage in (1, 10, 20, 100)]
    assert asked == [60_000 * USDC, 6_000 * USDC, 3_000 * USDC, 3_000 * USDC]


def test_requirements_and_maintenance_round_up_and_open_loss_and_fees_are_added_whole() -> None:
    """One micro of notional already asks one micro."""
    exposure = Exposure(leverage=3, buy_notional=100, open_loss=7, open_fees=5)
    assert requirement(BTC, exposure, MARK) == 34 + 7 + 5
    assert maintenance(BTC, Exposure(leverage=20, lots=-1), 3) == 2  # 300 micros x 0.005 = 1.5


def test_equity_counts_profit_but_profit_is_not_withdrawn() -> None:
    """Long 0.1 from 60,000 at 61,000: +100; requirement 305; wallet 1,000."""
    up = holding(100, 60_000, 61_000)
    assert unrealized_pnl(up.market.spec, up.exposure, up.market.mark) == 100 * USDC
    assert equity(owner_of(1_000 * USDC, up)) == 1_100 * USDC
    assert total_requirement(owner_of(0, up)) == 305 * USDC
    assert available_margin(owner_of(1_000 * USDC, up)) == 795 * USDC
    assert withdrawable(owner_of(1_000 * USDC, up)) == 695 * USDC


def test_losses_reduce_what_can_be_withdrawn_and_nothing_goes_below_zero() -> None:
    """Long 0.1 from 60,000 at 59,000: -100; requirement 295."""
    down = holding(100, 60_000, 59_000)
    assert withdrawable(owner_of(1_000 * USDC, down)) == 605 * USDC
    assert available_margin(owner_of(1_000 * USDC, down)) == 605 * USDC
    assert withdrawable(owner_of(300 * USDC, down)) == available_margin(owner_of(300 * USDC, down)) == 0
