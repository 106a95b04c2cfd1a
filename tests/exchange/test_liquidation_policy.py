"""The steps of a liquidation, one by one (docs/semantics.md, "Liquidation")."""

import msgspec

from exchange.risk.account import MarginAccount, PositionRisk
from exchange.risk.liquidation import BankruptShare
from exchange.risk.liquidation_policy import (
    BankruptcyTransfer,
    Past,
    Release,
    Step,
    Wait,
    inventory_step,
    next_action,
)
from schemas.orders import Side
from schemas.units import Lots, Micros
from tests.exchange.margin_builders import USDC, btc, eth, holding, owner_of

STEPPED = Past(has_stepped=True)


def matching(risk: PositionRisk, *, is_open: bool, is_frozen: bool = False) -> PositionRisk:
    """The position in a market where positions can be forced, or not."""
    market = msgspec.structs.replace(risk.market, is_matching=is_open, is_frozen=is_frozen)
    return PositionRisk(market, risk.exposure)


def long_of_two(mark: int, wallet: int = 6_000, *, is_open: bool = True) -> MarginAccount:
    """Long 2 from 60,000, alone."""
    return owner_of(wallet * USDC, matching(holding(2_000, 60_000, mark), is_open=is_open))


def test_an_account_above_maintenance_is_released() -> None:
    """At 57,300 it has 600 and must keep 573."""
    assert next_action(long_of_two(57_300), STEPPED) == Release()


def test_an_account_without_a_position_is_released_with_any_debt() -> None:
    """The fund covers a negative wallet if needed; no step is left."""
    assert next_action(owner_of(-1), STEPPED) == Release()


def test_the_first_rung_closes_a_fifth_at_the_bankruptcy_price() -> None:
    """At 57,286 equity 572 is below 572.86: 0.4 of 2 is sold at 57,000 or better."""
    step = next_action(long_of_two(57_286), Past())
    assert step == Step(1, Side.SELL, Lots(400), btc(57_000), Micros(6_000 * USDC), 20)


def test_the_fund_takes_over_below_two_thirds_but_only_after_a_step() -> None:
    """At 57,100 equity 200 is below two thirds of 571."""
    debtor = long_of_two(57_100)
    assert isinstance(next_action(debtor, Past()), Step)
    share = BankruptShare(Micros(200 * USDC), Micros(114_000 * USDC))
    assert next_action(debtor, STEPPED) == BankruptcyTransfer(1, 2_000, Micros(120_000 * USDC), share)


def test_a_step_that_filled_one_lot_does_not_put_the_take_over_off() -> None:
    """Whatever filled: fills of one lot per step do not delay the take-over."""
    one_lot_less = owner_of(5_997 * USDC, holding(1_999, 60_000, 57_100))
    assert isinstance(next_action(one_lot_less, STEPPED), BankruptcyTransfer)


def test_a_market_that_filled_nothing_is_left_alone_for_a_while() -> None:
    """Between two thirds and all of maintenance there is time to wait."""
    assert next_action(long_of_two(57_286), Past(has_stepped=True, tired=frozenset({1}))) == Wait()


def test_nothing_is_done_where_matching_or_mark_is_not_live() -> None:
    """A halted market takes no step and no take-over; a frozen one leaves the whole account alone."""
    assert next_action(long_of_two(57_000, is_open=False), STEPPED) == Wait()
    frozen = matching(holding(2_000, 60_000, 50_000), is_open=False, is_frozen=True)
    assert next_action(owner_of(0, frozen), STEPPED) == Wait()


def test_the_largest_share_of_maintenance_goes_first_and_its_fee_is_bounded_by_the_whole_equity() -> None:
    """ETH 200 at 3,000 keeps 3,000, BTC 2 keeps 600: a fifth of the ETH goes, and BTC counts at its current size."""
    debtor = owner_of(500 * USDC, holding(2_000, 60_000, 60_500), eth(20_000, 601_000, leverage=10))
    step = next_action(debtor, Past())
    assert isinstance(step, Step)
    assert (step.market_id, step.lots, step.leverage) == (2, 4_000, 10)
    assert step.equity_elsewhere == 1_500 * USDC
    # equity 500 over 605 and 3,000: ETH's part is 416.088765, so that 200 go at 2,997.919...
    assert step.price == 299_792
    tired = next_action(debtor, Past(has_stepped=True, tired=frozenset({2})))
    assert isinstance(tired, BankruptcyTransfer)


def test_the_fund_sells_its_inventory_near_the_mark() -> None:
    """Long 2 at 60,000: 0.4 at 59,700 or better."""
    held = holding(2_000, 57_000, 60_000)
    step = inventory_step(owner_of(1_000 * USDC, held), held)
    assert (step.side, step.lots, step.price) == (Side.SELL, 400, btc(59_700))
