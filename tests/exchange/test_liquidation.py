"""The formulas of liquidation, insurance and deleveraging, with their worked examples (docs/semantics.md, "Liquidation")."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.position import settled_part
from exchange.risk.account import PositionRisk
from exchange.risk.deleveraging import (
    Candidate,
    adl_order,
    adl_score,
    can_carry,
    counterparties,
    fund_lots,
    is_beyond_fund,
    needs_deleveraging,
    taken_share,
)
from exchange.risk.liquidation import (
    BankruptShare,
    bankrupt_shares,
    is_liquidatable,
    is_taken_over,
    is_warned,
    limit_price,
    must_cancel_orders,
    orders_to_cancel,
    sale_price,
    step_lots,
)
from exchange.risk.liquidation_policy import BankruptcyTransfer
from exchange.risk.margin import equity, total_maintenance, unrealized_pnl
from schemas.commands import Counterparty
from schemas.units import Micros
from tests.exchange.margin_builders import BTC, USDC, btc, eth, holding, owner_of, terms

WALLET = 3_000 * USDC


def sums_at(wallet: int, lots: int, mark: float) -> tuple[int, int]:
    """Equity and maintenance of a BTC position entered at 60,000."""
    owner = owner_of(wallet, PositionRisk(terms(mark=btc(mark)), holding(lots, 60_000, 60_000).exposure))
    return equity(owner), total_maintenance(owner)


def candidate(user: int, lots: int, entry: int, money: int, *, mark: int = 60_000, opened_seq: int = 1) -> Candidate:
    """A BTC position and its account's only one, with `money` of equity."""
    value = BTC.notional(btc(mark), lots)
    cost = BTC.notional(btc(entry), lots)
    return Candidate(user, lots, cost, value, value - money, money, opened_seq)


def test_a_long_of_one_with_3000_is_liquidated_one_tick_below_the_price_it_is_shown() -> None:
    """The worked example: 57,286.43, shown 57,286.5; the mark meets it at the next tick down."""
    assert not is_liquidatable(*sums_at(WALLET, 1_000, 57_286.5))
    assert is_liquidatable(*sums_at(WALLET, 1_000, 57_286.4))


def test_a_short_of_one_with_3000_is_liquidated_one_tick_above_the_price_it_is_shown() -> None:
    """The worked example: 62,686.57, shown 62,686.5."""
    assert not is_liquidatable(*sums_at(WALLET, -1_000, 62_686.5))
    assert is_liquidatable(*sums_at(WALLET, -1_000, 62_686.6))


def test_an_account_without_a_position_is_never_liquidated() -> None:
    """Its maintenance is zero, whatever its debt."""
    assert not is_liquidatable(-5, 0)
    assert not is_warned(-5, 0)


def test_equity_equal_to_maintenance_is_liquidated_and_5_quarters_of_it_is_warned() -> None:
    """Both borders belong to the worse side."""
    assert is_liquidatable(300, 300)
    assert not is_liquidatable(301, 300)
    assert is_warned(375, 300)
    assert not is_warned(376, 300)


def test_orders_with_the_largest_open_loss_are_cancelled_first_and_no_more_than_needed() -> None:
    """Equity 100 over maintenance 60: orders that may lose 30, 20 and 5 are cut until less than 40 is open."""
    assert must_cancel_orders(100, 55, 60)
    assert orders_to_cancel(100, 60, [(1, 5), (2, 30), (3, 20)]) == [2]
    assert orders_to_cancel(100, 80, [(1, 5), (2, 30), (3, 20)]) == [2, 3]
    assert orders_to_cancel(100, 60, [(1, 5), (2, 20)]) == []


def test_an_account_at_maintenance_loses_all_its_orders() -> None:
    """Those without a loss of their own as well; equal ones in the order they came."""
    assert orders_to_cancel(60, 60, [(3, 0), (2, 0), (1, 7)]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("lots", "step"), [(10_000, 2_000), (10_001, 2_001), (1_667, 334), (1_666, 1_666), (-10_001, 2_001), (1, 1)]
)
def test_a_step_closes_a_fifth_rounded_up_and_everything_below_100000(lots: int, step: int) -> None:
    """At 60,000 a position of 1.666 is worth 99,960."""
    assert step_lots(BTC, btc(60_000), lots) == step


def test_an_only_position_goes_with_the_whole_equity() -> None:
    """Long 1 from 60,000 with 3,000 at 57,200: equity 200, V = 57,000, so that it loses exactly its wallet."""
    (share,) = bankrupt_shares(owner_of(WALLET, holding(1_000, 60_000, 57_200)))
    assert (share.equity, share.amount) == (200 * USDC, 57_000 * USDC)


def test_the_last_position_takes_what_truncation_leaves() -> None:
    """Equity 100.000001 over maintenances 300 and 150 is split 66.666667 (truncated) and 33.333334."""
    owner = owner_of(100 * USDC + 1, holding(1_000, 60_000, 60_000), eth(1_000, 30_000))
    first, last = bankrupt_shares(owner)
    assert (first.equity, last.equity) == (66_666_667, 33_333_334)
    assert (first.amount, last.amount) == (60_000 * USDC - 66_666_667, 30_000 * USDC - 33_333_334)


def test_a_debt_is_truncated_towards_zero() -> None:
    """Equity -1 micro over two equal positions: nothing for the first, the debt for the last."""
    shares = bankrupt_shares(owner_of(-1, holding(1_000, 60_000, 60_000), holding(-1_000, 60_000, 60_000)))
    assert [share.equity for share in shares] == [0, -1]


@given(
    st.integers(-(10**12), 10**12),
    st.lists(
        st.tuples(st.integers(-(10**6), 10**6).filter(bool), st.integers(1, 10**5), st.integers(1, 10**5)), min_size=1
    ),
)
def test_settling_every_position_leaves_the_wallet_at_zero(wallet: int, held: list[tuple[int, int, int]]) -> None:
    """wallet + sum of (V - cost) = 0, for any positions and wallets."""
    holdings = [holding(*position) for position in held]
    shares = bankrupt_shares(owner_of(wallet, *holdings))
    pairs = zip(shares, holdings, strict=True)
    assert wallet + sum(share.amount - each.exposure.cost for share, each in pairs) == 0


def test_the_limit_is_the_bankruptcy_price_rounded_in_the_accounts_favour() -> None:
    """V = 57,000.000001 for one coin: a long sells at 57,000.1 or better; a short buys at 57,000.0 or better."""
    assert limit_price(BTC, 1_000, 57_000 * USDC) == btc(57_000)
    assert limit_price(BTC, 1_000, 57_000 * USDC + 1) == btc(57_000.1)
    assert limit_price(BTC, -1_000, -57_000 * USDC - 1) == btc(57_000)
    assert limit_price(BTC, -1_000, -57_000 * USDC) == btc(57_000)


def test_a_limit_is_at_least_one_tick() -> None:
    """A long with more equity than value would sell below zero, a short that owes more than its value buys there."""
    assert limit_price(BTC, 1_000, -5 * USDC) == 1
    assert limit_price(BTC, -1_000, 5 * USDC) == 1


def test_the_fund_sells_half_a_percent_from_mark_rounded_towards_it() -> None:
    """At 60,000.1: 59,700.0995 is 59,700.1; 60,300.1005 is 60,300.1."""
    assert sale_price(BTC, btc(60_000.1), 5) == btc(59_700.1)
    assert sale_price(BTC, btc(60_000.1), -5) == btc(60_300.1)
    assert sale_price(BTC, 1, 5) == 1


def test_the_fund_takes_over_below_two_thirds_of_maintenance() -> None:
    """200 of 300 may continue, a micro less may not."""
    assert not is_taken_over(200, 300)
    assert is_taken_over(199, 300)


def test_the_fund_takes_over_as_long_as_it_is_not_below_zero_after_it() -> None:
    """A fund of 500 takes a debt of 500 and not of 501."""
    assert not is_beyond_fund(500, -500)
    assert is_beyond_fund(500, -501)
    assert is_beyond_fund(-1, 0)


def bankrupt(lots: int, value: int, share: int) -> BankruptcyTransfer:
    """A position of these lots, worth `value` micros at mark, with this E."""
    return BankruptcyTransfer(1, lots, Micros(0), BankruptShare(Micros(share), Micros(value - share)))


def test_the_fund_takes_as_many_lots_as_it_can_carry() -> None:
    """0.3 long worth 16,500 with E -500 and a fund of 200: 120 lots at 6,800 of 17,000, which cost exactly the 200."""
    transfer = bankrupt(300, 16_500 * USDC, -500 * USDC)
    assert fund_lots(owner_of(200 * USDC), 0, transfer, 16_500 * USDC) == 120
    assert taken_share(transfer, 16_500 * USDC, 120) == BankruptShare(Micros(-200 * USDC), Micros(6_800 * USDC))
    assert fund_lots(owner_of(200 * USDC), -200 * USDC, transfer, 16_500 * USDC) == 0  # take-overs in flight
    assert fund_lots(owner_of(-1), 0, transfer, 16_500 * USDC) == 0


@given(
    lots=st.integers(1, 60),
    is_long=st.booleans(),
    price=st.integers(1, 1_000),
    share=st.integers(-2_000, 200),
    money=st.integers(-100, 2_000),
)
def test_one_lot_more_would_bring_the_fund_below_zero(
    lots: int, is_long: bool, price: int, share: int, money: int
) -> None:
    """Against trying every number of lots; the parts leave nothing to rounding."""
    signed = lots if is_long else -lots
    transfer, value, fund = bankrupt(signed, signed * price, share), signed * price, owner_of(money)
    shares = [taken_share(transfer, value, part) for part in range(1, lots + 1)]
    assert shares[-1] == transfer.share
    can = [part for part, each in enumerate(shares, 1) if money + each.equity >= 0]
    if needs_deleveraging(fund, 0, transfer):
        assert fund_lots(fund, 0, transfer, value) == max(can, default=0) < lots
    else:
        assert lots in can


def test_a_score_multiplies_profit_with_leverage_and_divides_a_loss_by_it() -> None:
    """Long 1 from 50,000 at 60,000 with 6,000 of equity: +20 % at 10 x; from 75,000: -20 % at 10 x."""
    value = 60_000 * USDC
    assert adl_score(value, 50_000 * USDC, value - 6_000 * USDC) == 2
    assert adl_score(value, 75_000 * USDC, value - 6_000 * USDC) == Fraction(-2, 100)
    assert adl_score(-value, -72_000 * USDC, -value - 6_000 * USDC) == Fraction(10, 6)  # a short in profit
    assert adl_score(value, value, value - 6_000 * USDC) == 0


def test_bitmex_example_the_two_best_ranks_share_the_bankrupt_short() -> None:
    """BitMEX: six longs with scores 3, 6, 1, 4, 5, 2; a short of 20 goes to account 2 (10) and account 5 (10 of 20)."""
    sizes = {1: (10, 3), 2: (10, 6), 3: (20, 1), 4: (30, 4), 5: (20, 5), 6: (10, 2)}
    longs = [
        # entered at half the mark: +100 %, so that the score is the leverage
        candidate(user, lots, 30_000, BTC.notional(btc(60_000), lots) // score)
        for user, (lots, score) in sizes.items()
    ]
    assert [adl_score(each.mark_value, each.cost, each.bankrupt_amount) for each in longs] == [3, 6, 1, 4, 5, 2]
    ranked = adl_order(longs)
    assert [each.user for each in ranked] == [2, 5, 4, 1, 6, 3]
    chosen = counterparties(BTC, btc(60_000), -20, BTC.notional(btc(60_000), -20), ranked)
    assert chosen == [Counterparty(2, 10), Counterparty(5, 10)]


def test_equal_scores_are_ordered_by_the_age_of_the_position_then_by_user() -> None:
    """The position that left zero first goes first."""
    made = [(3, 20), (1, 20), (2, 10)]
    ranked = adl_order(candidate(user, 10, 50_000, 60 * USDC, opened_seq=seq) for user, seq in made)
    assert [each.user for each in ranked] == [2, 1, 3]


def test_a_counterparty_that_the_settlement_would_bankrupt_is_spared() -> None:
    """A long of 1 owing 100 goes to shorts at 60,100 when the mark is 60,000: 99 cannot pay the 100, 100 can."""
    amount, mark = 60_100 * USDC, btc(60_000)
    poor, exact = candidate(1, -1_000, 70_000, 99 * USDC), candidate(2, -1_000, 65_000, 100 * USDC)
    assert counterparties(BTC, mark, 1_000, amount, [poor, exact]) == [Counterparty(2, 1_000)]
    assert counterparties(BTC, mark, 1_000, amount, [poor]) == []


def test_a_counterparty_without_equity_is_spared_at_any_price() -> None:
    """Even where the settlement would make it richer."""
    assert not can_carry(0, 60_000, 59_000)
    assert can_carry(1, 60_000, 60_001)
    assert not can_carry(1, 60_000, 60_002)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(1, 1_000), min_size=1))
def test_the_parts_of_a_settlement_add_up(amount: int, parts: list[int]) -> None:
    """However the lots are split, the amounts sum to the whole."""
    lots, done, paid = sum(parts), 0, 0
    for part in parts:
        paid += settled_part(amount, lots, done, done + part)
        done += part
    assert paid == amount


def test_what_is_closed_at_the_bankrupt_amount_changes_a_counterparty_by_the_bankrupts_share() -> None:
    """Long 1 with equity -100 at 60,000 is settled at 60,100; the short that pays it loses those 100."""
    wallet = -100 * USDC
    held = holding(1_000, 60_000, 60_000)
    (share,) = bankrupt_shares(owner_of(wallet, held))
    assert share.amount == 60_100 * USDC
    assert unrealized_pnl(BTC, held.exposure, held.market.mark) + wallet == share.equity
