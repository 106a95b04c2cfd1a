"""Liquidation orders, take-overs and deleveragings as the engine carries them out."""

from schemas.events import ForcedActionDone, LiquidationStepped, OrderEnded, PositionTransferred, TradeExecuted
from schemas.ids import INSURANCE_FUND
from schemas.market import MarketStatus
from schemas.orders import EndReason, FillCause
from tests.exchange.builders import (
    ANN,
    BOB,
    BUY,
    CAT,
    DAN,
    SELL,
    USDC,
    Driver,
    buy,
    deleveraging,
    index,
    liquidation,
    rules,
    sell,
    status,
    take_over,
)
from tests.exchange.invariants import check_all


def long_ann(lots: int = 10) -> Driver:
    """Ann is long and Bob is short from 100."""
    driver = Driver()
    driver.send(sell(BOB, lots, 100), buy(ANN, lots, 100))
    return driver


def last_step(driver: Driver) -> LiquidationStepped:
    """The result of the last step."""
    return next(event for event in reversed(driver.events) if isinstance(event, LiquidationStepped))


def transfers(driver: Driver) -> list[PositionTransferred]:
    """Every transfer so far."""
    return [event for event in driver.events if isinstance(event, PositionTransferred)]


def test_a_liquidation_trades_as_taker_without_a_fee_and_pays_the_fund_its_own() -> None:
    """2 lots at 95 close 190 USDC: 0.25 % is 0.475 USDC while equity covers it; the maker pays 1 %."""
    driver = long_ann()
    driver.send(buy(CAT, 5, 95), liquidation(ANN, SELL, 2, 90, elsewhere=200))
    trade = next(
        event for event in driver.events if isinstance(event, TradeExecuted) and event.cause is FillCause.LIQUIDATION
    )
    assert (trade.price, trade.taker.fee, trade.maker.fee, trade.taker.realized) == (95, 0, 1_900_000, -10 * USDC)
    step = last_step(driver)
    assert (step.quantity, step.notional, step.fee) == (2, 190 * USDC, 475_000)
    assert driver.market.position_of(ANN) == 8
    check_all(driver)


def test_the_liquidation_fee_never_takes_more_than_the_equity_that_is_left() -> None:
    """Elsewhere 10.1, loss of 10 realized, the rest at mark 100 is even: 0.1 is left, and 0 when nothing is."""
    driver = long_ann()
    driver.send(buy(CAT, 9, 95))
    driver.send(liquidation(ANN, SELL, 2, 90, elsewhere=10))
    assert last_step(driver).fee == 0
    driver.send(liquidation(ANN, SELL, 2, 90, elsewhere=20, step=2))
    assert last_step(driver).fee == 475_000
    check_all(driver)


def test_a_liquidation_never_closes_more_than_the_position_and_never_trades_beyond_its_limit() -> None:
    """Asked for 50 of 10 at 95 or better, with 4 bid there and more below: 4 are closed, the rest of the order ends."""
    driver = long_ann()
    driver.send(buy(CAT, 4, 95), buy(CAT, 50, 94))
    events = driver.send(liquidation(ANN, SELL, 50, 95))
    assert last_step(driver).quantity == 4
    assert [(e.reason, e.remaining) for e in events if isinstance(e, OrderEnded)] == [(EndReason.IOC_REMAINDER, 6)]
    assert driver.market.position_of(ANN) == 6
    check_all(driver)


def test_no_band_stops_a_liquidation() -> None:
    """Its limit may lie far from the mark: 20 % below it here."""
    driver = long_ann()
    driver.send(buy(CAT, 10, 96), liquidation(ANN, SELL, 10, 80))
    assert driver.market.position_of(ANN) == 0
    check_all(driver)


def test_an_own_quote_does_not_block_a_liquidation() -> None:
    """The account's own bid is cancelled, and the order after it trades."""
    driver = long_ann()
    driver.send(buy(ANN, 5, 99), buy(CAT, 5, 98))
    events = driver.send(liquidation(ANN, SELL, 5, 90, elsewhere=100))
    assert [(e.order, e.reason) for e in events if isinstance(e, OrderEnded)] == [(4, EndReason.SELF_TRADE)]
    assert last_step(driver).quantity == 5
    check_all(driver)


def test_a_liquidation_without_a_position_or_in_a_halted_market_closes_nothing() -> None:
    """It is answered all the same, so that the liquidator can continue."""
    driver = long_ann()
    driver.send(liquidation(CAT, SELL, 1, 90))
    assert last_step(driver).quantity == 0
    driver.send(status(MarketStatus.HALTED), liquidation(ANN, SELL, 1, 90))
    ended = [event.reason for event in driver.events if isinstance(event, OrderEnded)]
    assert ended == [EndReason.REDUCE_ONLY, EndReason.MARKET_STATUS]
    check_all(driver)


def test_a_market_that_accepts_cancels_only_is_still_liquidated() -> None:
    """CANCEL_ONLY keeps users out; losses do not wait for them."""
    driver = long_ann()
    driver.send(buy(CAT, 5, 99), status(MarketStatus.CANCEL_ONLY), liquidation(ANN, SELL, 2, 90))
    assert last_step(driver).quantity == 2


def test_a_take_over_leaves_nothing_of_the_account_and_gives_the_fund_the_position_at_its_amount() -> None:
    """Long 10 from 100, settled at 950: Ann realizes -50, the fund holds 10 that cost 950."""
    driver = long_ann()
    driver.send(take_over(ANN, 10, 1_000, 950))
    (moved,) = transfers(driver)
    assert (moved.cause, moved.closing_side, moved.quantity, moved.price) == (FillCause.TAKE_OVER, SELL, 10, 95)
    assert (moved.bankrupt.realized, moved.bankrupt.position, moved.bankrupt.cost) == (-50 * USDC, 0, 0)
    assert (moved.counterparty.user, moved.counterparty.position) == (INSURANCE_FUND, 10)
    assert moved.counterparty.cost == 950 * USDC
    assert isinstance(driver.events[-1], ForcedActionDone)
    check_all(driver)


def test_the_fund_takes_over_a_part_at_its_part_of_the_amount_and_the_rest_loses_nothing_to_rounding() -> None:
    """Long 10 settled at 901 in all: 3 lots for 270.3, then the 7 that remain for 630.7; at rules 2."""
    driver = long_ann()
    driver.send(rules(2), take_over(ANN, 10, 1_000, 901, part=3))
    (first,) = transfers(driver)
    assert (first.cause, first.quantity, first.amount) == (FillCause.TAKE_OVER, 3, 270_300_000)
    assert (first.bankrupt.position, first.bankrupt.cost, first.counterparty.position) == (7, 700 * USDC, 3)
    done = driver.events[-1]
    assert isinstance(done, ForcedActionDone)
    assert (done.quantity, done.is_stale) == (3, False)
    check_all(driver)


def test_a_part_is_never_more_than_the_position() -> None:
    """A part of 50 of 10 is all of it, at the whole amount."""
    driver = long_ann()
    driver.send(rules(2), take_over(ANN, 10, 1_000, 901, part=50))
    assert [(each.quantity, each.amount) for each in transfers(driver)] == [(10, 901 * USDC)]
    check_all(driver)


def test_the_first_rules_know_no_parts() -> None:
    """A log of rules 1 gives what it gave: the whole position changes hands."""
    driver = long_ann()
    driver.send(take_over(ANN, 10, 1_000, 901, part=3))
    assert [(each.quantity, each.amount) for each in transfers(driver)] == [(10, 901 * USDC)]
    check_all(driver)


def test_a_take_over_of_a_short_is_the_mirror_image() -> None:
    """Short 10 from 100, settled at -1,050: Bob realizes -50, the fund is short 10 that brought 1,050."""
    driver = long_ann()
    driver.send(take_over(BOB, -10, -1_000, -1_050))
    (moved,) = transfers(driver)
    assert (moved.closing_side, moved.price, moved.bankrupt.realized) == (BUY, 105, -50 * USDC)
    assert (moved.counterparty.position, moved.counterparty.cost) == (-10, -1_050 * USDC)
    check_all(driver)


def test_the_fund_nets_what_it_takes_over_from_both_sides() -> None:
    """Ten from Ann at 950 and ten from Bob at 1,050: the fund is flat, and has paid 100 for it."""
    driver = long_ann()
    driver.send(take_over(ANN, 10, 1_000, 950), take_over(BOB, -10, -1_000, -1_050))
    assert not driver.market.positions
    assert transfers(driver)[-1].counterparty.realized == 100 * USDC
    check_all(driver)


def test_a_position_that_has_changed_is_not_taken_over() -> None:
    """A fill came between the liquidator's reading and the engine's turn: it must read again."""
    driver = long_ann()
    driver.send(buy(CAT, 1, 99), sell(ANN, 1, 99), take_over(ANN, 10, 1_000, 950))
    done = driver.events[-1]
    assert isinstance(done, ForcedActionDone)
    assert (done.is_stale, done.quantity) == (True, 0)
    assert driver.market.position_of(ANN) == 9
    check_all(driver)


def test_deleveraging_closes_against_each_in_turn_and_its_parts_add_up() -> None:
    """Long 10 settled at 901 in all: 3 lots for 270, the next 7 for 631; cumulative, so nothing is lost to rounding."""
    driver = Driver()
    driver.send(sell(BOB, 3, 100), buy(ANN, 3, 100), sell(CAT, 9, 100), buy(ANN, 7, 100), buy(DAN, 2, 100))
    driver.send(deleveraging(ANN, 10, 1_000, 901, (BOB, 5), (CAT, 99)))
    first, second = transfers(driver)
    assert [first.quantity, second.quantity] == [3, 7]
    assert [first.amount, second.amount] == [270_300_000, 630_700_000]
    assert first.counterparty.realized == 29_700_000
    assert driver.market.position_of(ANN) == 0
    assert driver.market.position_of(CAT) == -2
    check_all(driver)


def test_a_deleveraged_account_loses_its_orders_in_that_market_first() -> None:
    """Its margin was reckoned with the position."""
    driver = long_ann()
    driver.send(sell(BOB, 4, 110), buy(BOB, 2, 90, reduce_only=True), sell(CAT, 1, 111))
    events = driver.send(deleveraging(ANN, 10, 1_000, 950, (BOB, 10)))
    assert {(e.order, e.reason) for e in events if isinstance(e, OrderEnded)} == {
        (4, EndReason.ADL),
        (5, EndReason.ADL),
    }
    assert [order.user for order in driver.market.book.walk(SELL)] == [CAT]
    check_all(driver)


def test_who_holds_nothing_opposite_is_passed_over() -> None:
    """Dan is long like Ann, and the fund has no position: only Bob's lots change hands."""
    driver = Driver()
    driver.send(sell(BOB, 12, 100), buy(ANN, 10, 100), buy(DAN, 2, 100))
    driver.send(deleveraging(ANN, 10, 1_000, 950, (DAN, 2), (CAT, 4), (BOB, 4)))
    done = driver.events[-1]
    assert isinstance(done, ForcedActionDone)
    assert (done.quantity, driver.market.position_of(ANN), driver.market.position_of(BOB)) == (4, 6, -8)
    check_all(driver)


def test_a_resting_reduce_only_order_goes_with_the_position_it_would_reduce() -> None:
    """After a take-over nothing is left to reduce."""
    driver = long_ann()
    driver.send(sell(ANN, 4, 105, reduce_only=True))
    events = driver.send(take_over(ANN, 10, 1_000, 950))
    assert [(e.order, e.reason) for e in events if isinstance(e, OrderEnded)] == [(4, EndReason.REDUCE_ONLY)]
    check_all(driver)


def test_a_settled_market_pays_the_mean_of_its_last_minutes() -> None:
    """Thirty minutes of 100 and the last at 130 is a mean of 101; Ann gains what Bob loses."""
    driver = long_ann()
    driver.market.index_minutes = [100 * 10**9] * 29 + [130 * 10**9]
    driver.send(index(101), status(MarketStatus.SETTLED))
    assert driver.events[-1].settlements[0].realized == 10 * USDC
    assert not driver.market.positions
    check_all(driver)
