"""Risk tiers, position and open-interest limits (docs/semantics.md, "Risk tiers"): a test for each of its sentences.

How they are published and changed is in tests/api/test_risk_tiers.py and tests/store/test_spec_changes.py.
"""

from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.activation import Activation, TriggeredOrder, activation_of
from exchange.risk.admission import set_leverage
from exchange.risk.liquidation import bankrupt_shares, sale_price
from exchange.risk.liquidation_policy import Past, Step, next_action
from exchange.risk.margin import (
    equity,
    initial_margin,
    liquidation_price,
    maintenance,
    requirement,
    total_maintenance,
)
from schemas.market import MarketSpec, spec_faults
from schemas.orders import EndReason, Side
from schemas.refusals import ErrorCode, Refused
from schemas.risk_tiers import NOTIONAL_MAX, RiskTier
from schemas.units import PPM, Lots, Micros, Ppm, Ticks, format_e18
from schemas.wire import encode
from tests.exchange.margin_builders import BTC, USDC, account, admitted, btc, decide, owner_of, refused, request, terms
from tests.exchange.margin_model import OneMarket

MARK = btc(50_000)
EXAMPLES = settings(max_examples=200, deadline=None)


def tier(up_to: int, initial: float, kept: float, leverage: int) -> RiskTier:
    """A tier up to a notional in USDC, rates in percent."""
    return RiskTier(Micros(up_to * USDC), Ppm(round(initial * 10_000)), Ppm(round(kept * 10_000)), leverage)


TWO = (tier(50_000, 5, 0.5, 20), tier(250_000, 10, 1, 10))
"""The tiers of the worked example."""
TIERED = replace(BTC, risk_tiers=TWO)
THREE = replace(BTC, risk_tiers=(*TWO, tier(1_000_000, 25, 2.5, 4)))


def long_of(lots: int, spec: MarketSpec = TIERED, wallet: int = 10_000, **sums: Any) -> MarginAccount:
    """An account with a position entered at the mark of 50,000: 1,000 lots are 50,000 USDC."""
    exposure = Exposure(leverage=20, lots=lots, cost=spec.notional(MARK, lots), **sums)
    return owner_of(wallet * USDC, PositionRisk(terms(spec, mark=MARK), exposure))


def any_tiers() -> st.SearchStrategy[tuple[RiskTier, ...]]:
    """One to five valid tiers next to the rates of BTC-PERP, the borders anywhere."""

    def tiers_of(borders: set[int], steps: list[tuple[int, int, int]]) -> tuple[RiskTier, ...]:
        initial, kept, made = 50_000, 5_000, []
        for border, (more, kept_more, less) in zip(sorted(borders), steps, strict=False):
            made.append(RiskTier(Micros(border * USDC), Ppm(initial), Ppm(kept), max(1, PPM // initial - less)))
            initial, kept = initial + more + kept_more, kept + kept_more
        highest = made[0].leverage_max
        lowered = []
        for each in made:
            highest = min(highest, each.leverage_max)
            lowered.append(replace(each, leverage_max=highest))
        return tuple(lowered)

    borders = st.sets(st.integers(1, 300_000), min_size=1, max_size=5)
    steps = st.lists(
        st.tuples(st.integers(1, 150_000), st.integers(1, 30_000), st.integers(0, 2)), min_size=5, max_size=5
    )
    return st.builds(tiers_of, borders, steps)


def as_a_tax(tiers: tuple[RiskTier, ...], notional: int, rates: list[Fraction]) -> int:
    """Each part of the notional at the rate of its tier, the last one's beyond it; rounded up once, at the end."""
    owed, below = Fraction(0), 0
    for each, rate in zip(tiers, rates, strict=True):
        part = notional if each is tiers[-1] else min(notional, each.notional_up_to)
        owed += max(0, part - below) * rate
        below = each.notional_up_to
    return ceil(owed)


# --- the tiers of a market


def test_valid_tiers_have_no_faults() -> None:
    """Those of the worked example, three, and any that are drawn here."""
    assert spec_faults(TIERED) == spec_faults(THREE) == []


@EXAMPLES
@given(tiers=any_tiers())
def test_tiers_drawn_at_random_are_valid(tiers: tuple[RiskTier, ...]) -> None:
    """What the properties below draw may be set."""
    assert spec_faults(replace(BTC, risk_tiers=tiers)) == []


@pytest.mark.parametrize(
    ("tiers", "fault"),
    [
        ((tier(50_000, 5, 0.5, 20), tier(50_000, 10, 1, 10)), "notionalUpTo rises"),
        ((tier(50_000, 5, 0.5, 20), tier(40_000, 10, 1, 10)), "notionalUpTo rises"),
        ((tier(0, 5, 0.5, 20),), "notionalUpTo is a whole number"),
        ((RiskTier(Micros(1_500_000), Ppm(50_000), Ppm(5_000), 20),), "notionalUpTo is a whole number"),
        ((tier(10**12 + 1, 5, 0.5, 20),), "notionalUpTo is a whole number"),
        ((tier(50_000, 5, 0.5, 20), tier(90_000, 5, 1, 20)), "MarginRate rise"),
        ((tier(50_000, 5, 0.5, 20), tier(90_000, 10, 0.5, 10)), "MarginRate rise"),
        ((tier(50_000, 4, 0.5, 20),), "below that of the market"),
        ((tier(50_000, 5, 5, 20),), "liquidationFeeRate < maintenanceMarginRate"),
        ((tier(50_000, 5, 0.25, 20),), "liquidationFeeRate < maintenanceMarginRate"),
        ((tier(50_000, 5, 3, 20),), "markClamp"),
        ((tier(50_000, 5, 0.5, 20), tier(90_000, 6, 4, 16)), "markClamp"),
        ((tier(50_000, 5, 0.5, 21),), "maxLeverage x initialMarginRate"),
        ((tier(50_000, 5, 0.5, 0),), "maxLeverage x initialMarginRate"),
        ((tier(50_000, 5, 0.5, 4), tier(90_000, 10, 1, 5)), "maxLeverage never rises"),
        (tuple(tier(n, 5 + n / 10, 0.5 + n / 10, 3) for n in range(1, 22)), "at most 20 tiers"),
    ],
)
def test_tiers_that_no_market_can_have_are_refused(tiers: tuple[RiskTier, ...], fault: str) -> None:
    """Rates and notionals rise, and each tier keeps the conditions of a market's rates."""
    faults = spec_faults(replace(BTC, risk_tiers=tiers))
    assert any(fault in each for each in faults), faults


def test_an_open_interest_limit_is_an_amount() -> None:
    """At most 10^12; 0 is none."""
    assert spec_faults(replace(BTC, open_interest_max=NOTIONAL_MAX)) == []
    for limit in (-1, NOTIONAL_MAX + 1):
        assert spec_faults(replace(BTC, open_interest_max=Micros(limit))) == ["0 <= maxOpenInterest <= 10^12"]


def test_the_last_notional_is_the_largest_position_an_account_may_hold() -> None:
    """250,000 USDC at 50,000 is 5: that much may be bought, a lot more may not, whatever the margin."""
    rich = lambda: long_of(1_000, wallet=10**6)  # noqa: E731 - a fresh account for each order
    market = terms(TIERED, mark=MARK)
    admitted(request("4", "50000"), rich(), market)
    answer = refused(request("4.001", "50000"), rich(), market)
    assert (answer.code, answer.details) == (
        ErrorCode.INVALID_ORDER,
        {"filter": "MAX_POSITION", "limit": "250000", "got": "250050"},
    )


def test_the_largest_position_counts_the_orders_that_rest_on_its_side() -> None:
    """Those that are not reduce-only, at mark whatever their price: together they may make it, one more may not."""
    owner, market = long_of(0, wallet=10**6), terms(TIERED, mark=MARK)
    admitted(request("2", "45000"), owner, market)
    admitted(request("3"), owner, market)
    assert refused(request("0.001", "45000"), owner, market).details == {
        "filter": "MAX_POSITION",
        "limit": "250000",
        "got": "250050",
    }
    admitted(request("5", "50000", Side.SELL), owner, market)


def test_an_order_that_turns_a_position_around_counts_in_full() -> None:
    """Long 1: SELL 5 is 250,000, a lot more is refused. For a reduce-only SELL 1, which passes, may close the position before it."""
    owner, market = long_of(1_000, wallet=10**6), terms(TIERED, mark=MARK)
    answer = refused(request("5.001", "50000", Side.SELL), owner, market)
    assert answer.details == {"filter": "MAX_POSITION", "limit": "250000", "got": "250050"}
    admitted(request("5", "50000", Side.SELL), owner, market)
    admitted(request("1", "50000", Side.SELL, reduce_only=True), owner, market)


def test_a_triggered_order_keeps_to_the_largest_position_and_to_the_open_interest() -> None:
    """It is judged when it is activated, for the first and only time: beyond a limit it ends, MARGIN; what reduces is free."""
    market, busy = terms(TIERED, mark=MARK), interest(9_500)

    def activated(lots: int, owner: MarginAccount, at: MarketState, side: Side = Side.BUY) -> bool:
        answer = activation_of(TriggeredOrder(side, Lots(lots), MARK, post_only=False), owner, at)
        assert isinstance(answer, Activation) or answer is EndReason.MARGIN
        return isinstance(answer, Activation)

    assert activated(4_000, long_of(1_000, wallet=10**6), market)
    assert not activated(4_001, long_of(1_000, wallet=10**6), market)
    assert activated(500, account(10**12), busy)
    assert not activated(501, account(10**12), busy)
    assert activated(12_000, long_of(12_000, wallet=10**6), market, Side.SELL)


@EXAMPLES
@given(story=st.data())
def test_no_course_of_fills_and_cancels_makes_a_position_larger_than_the_largest(story: st.DataObject) -> None:
    """From a long of 250,000 USDC, orders accepted or refused, filled and cancelled in any order: never more at mark, either way."""
    held = Exposure(leverage=20, lots=5_000, cost=TIERED.notional(MARK, 5_000))
    book = OneMarket(TIERED, account(10**7 * USDC, BTC=held), mark=MARK)
    for _ in range(8):
        if book.live and story.draw(st.booleans(), "happens"):
            order = story.draw(st.sampled_from(book.live), "which")
            if lots := book.fillable(order):
                book.trade(order, lots, order.command.price, BTC.maker_fee_rate)
            else:
                book.cancel(order)
        else:
            quantity = format_e18(story.draw(st.sampled_from((1_000, 5_000, 10_000)), "lots") * 10**15)
            side, is_reduce_only = story.draw(st.sampled_from(list(Side))), story.draw(st.booleans(), "reduce only")
            price = story.draw(st.sampled_from(("48000", "50000", "52000")), "price")
            book.place(request(quantity, price, side, reduce_only=is_reduce_only))
        assert abs(TIERED.notional(MARK, book.exposure.lots)) <= 250_000 * USDC


# --- a market without tiers


@EXAMPLES
@given(notional=st.integers(0, 10**18), leverage=st.integers(1, 100))
def test_a_market_without_tiers_is_one_tier_to_the_micro(notional: int, leverage: int) -> None:
    """ceil(N x max(1 / leverage, initialMarginRate)) and ceil(N x maintenanceMarginRate), as before there were tiers."""
    rate = max(Fraction(1, leverage), Fraction(BTC.initial_margin_rate, PPM))
    assert initial_margin(BTC, leverage, notional) == ceil(notional * rate)
    kept = ceil(notional * Fraction(BTC.maintenance_margin_rate, PPM))
    assert BTC.maintenance_curve.margin(notional) == kept
    one = replace(BTC, risk_tiers=BTC.tiers)
    assert initial_margin(one, min(leverage, 20), notional) == initial_margin(BTC, min(leverage, 20), notional)
    assert one.maintenance_curve.margin(notional) == kept


def test_a_specification_without_tiers_is_written_as_before() -> None:
    """Old logs and snapshots keep their bytes and hashes, and are read without the fields."""
    body = encode(BTC)
    assert b"riskTiers" not in body
    assert b"openInterestMax" not in body
    assert encode(replace(TIERED, risk_tiers=())) == body


# --- margins


def test_a_position_of_100000_at_leverage_20_needs_7500_and_keeps_750() -> None:
    """The worked example: 2,500 + 5,000 initial, 250 + 500 maintenance."""
    assert initial_margin(TIERED, 20, 100_000 * USDC) == 7_500 * USDC
    risk = long_of(2_000).exposures["BTC-PERP"]
    assert requirement(TIERED, risk.exposure, MARK) == 7_500 * USDC
    assert maintenance(TIERED, risk.exposure, MARK) == 750 * USDC
    assert maintenance(TIERED, replace(risk.exposure, lots=-2_000), MARK) == 750 * USDC


@EXAMPLES
@given(
    tiers=any_tiers(),
    notional=st.one_of(st.integers(0, 4 * 10**11), st.integers(0, 10**18)),
    leverage=st.integers(1, 25),
)
def test_margins_are_marginal_as_a_tax_and_round_up_once_at_the_end(
    tiers: tuple[RiskTier, ...], notional: int, leverage: int
) -> None:
    """Against the sums written down in fractions; a leverage above a tier's counts as the tier's."""
    spec = replace(BTC, risk_tiers=tiers)
    initial = [max(Fraction(1, min(leverage, t.leverage_max)), Fraction(t.initial_margin_rate, PPM)) for t in tiers]
    kept = [Fraction(t.maintenance_margin_rate, PPM) for t in tiers]
    assert initial_margin(spec, leverage, notional) == as_a_tax(tiers, notional, initial)
    assert spec.maintenance_curve.margin(notional) == as_a_tax(tiers, notional, kept)


@EXAMPLES
@given(tiers=any_tiers(), near=st.integers(0, 4), notional=st.integers(0, 4 * 10**11), more=st.integers(0, 10**10))
def test_margins_have_no_jump_at_a_border_and_grow_with_the_notional(
    tiers: tuple[RiskTier, ...], near: int, notional: int, more: int
) -> None:
    """By at most as much as the notional grows, and a micro of rounding: a micro at a border adds no more than a micro."""
    spec = replace(BTC, risk_tiers=tiers)
    border = tiers[near % len(tiers)].notional_up_to
    for smaller, larger in ((border - 1, border), (border, border + 1), (notional, notional + more)):
        for margin in (lambda n: initial_margin(spec, 7, n), spec.maintenance_curve.margin):
            assert 0 <= margin(larger) - margin(smaller) <= larger - smaller + 1


def test_the_requirement_takes_the_initial_margin_of_each_candidate() -> None:
    """Flat with BUY 2 and SELL 1: the worse side is 100,000, 7,500; next to a reduce-only order the other side counts alone."""
    both = Exposure(leverage=20, buy_notional=100_000 * USDC, sell_notional=50_000 * USDC)
    assert requirement(TIERED, both, MARK) == 7_500 * USDC
    owner, market = long_of(1_000, wallet=10**6), terms(TIERED, mark=MARK)
    admitted(request("3", "50000", Side.SELL), owner, market)  # short 2 would need 7,500, 3 alone 12,500
    admitted(request("1", "50000", Side.SELL, reduce_only=True), owner, market)
    exposure = owner.exposures["BTC-PERP"].exposure
    cost = exposure.reduce_only.sell_cost
    assert requirement(TIERED, exposure, MARK) == 12_500 * USDC + exposure.open_loss + exposure.open_fees
    assert cost > 0


def test_a_leverage_above_that_of_the_tier_counts_as_the_tiers() -> None:
    """50,000 at 20 and 50,000 at 10; at leverage 5 both count 5. A tier's maxLeverage binds also where its rate is lower."""
    asked = [initial_margin(TIERED, leverage, 100_000 * USDC) for leverage in (5, 10, 16, 20, 50)]
    assert asked == [needed * USDC for needed in (20_000, 10_000, 8_125, 7_500, 7_500)]
    careful = replace(BTC, risk_tiers=(tier(50_000, 5, 0.5, 20), tier(250_000, 10, 1, 5)))
    assert initial_margin(careful, 20, 100_000 * USDC) == 12_500 * USDC


def test_the_leverage_of_an_order_and_of_an_account_is_at_most_that_of_the_lowest_tier() -> None:
    """A smaller position may use it; what an account has not set is that."""
    market = terms(replace(BTC, risk_tiers=(tier(50_000, 10, 0.5, 10),)), mark=MARK)
    answer = refused(request("0.1", "50000", leverage=11), account(10_000 * USDC), market)
    assert answer.details == {"filter": "MAX_LEVERAGE", "limit": 10, "got": 11}
    flat = account(10_000 * USDC)
    denied = set_leverage("BTC-PERP", 11, flat, {"BTC-PERP": market})
    assert isinstance(denied, Refused)
    assert flat.risk_in(market).exposure.leverage == 10


def test_an_order_needs_the_margin_of_the_tiers_it_reaches() -> None:
    """2 at 50,000 need 7,500 and the taker fee of 50: with 7,550 they are admitted, with a micro less they are not."""
    market = terms(TIERED, mark=MARK)
    admitted(request("2", "50000"), account(7_550 * USDC), market)
    answer = refused(request("2", "50000"), account(7_550 * USDC - 1), market)
    assert answer.code is ErrorCode.INSUFFICIENT_MARGIN
    assert answer.details == {"required": "7550", "available": "7549.999999"}


def test_a_position_of_100000_with_10000_may_grow_by_0_497() -> None:
    """The table of docs/risk.md: each further quote needs 10 % and 0.05 % of fee, of the 2,500 that are left."""
    market = terms(TIERED, mark=MARK)
    owner = long_of(2_000)
    assert admitted(request("0.001", "50000"), owner, market)
    assert requirement(TIERED, owner.exposures["BTC-PERP"].exposure, MARK) == 7_505_025_000
    admitted(request("0.497", "50000"), long_of(2_000), market)
    assert refused(request("0.498", "50000"), long_of(2_000), market).code is ErrorCode.INSUFFICIENT_MARGIN


# --- liquidation


@pytest.mark.parametrize(
    ("lots", "wallet", "expected"),
    [
        # 2 P - 90,000 = 250 + 1 % of (2 P - 50,000): 89,750 / 1.98, up to a tick
        (2_000, 10_000, "45328.3"),
        # 110,000 - 2 P = 250 + 1 % of (2 P - 50,000): 110,250 / 2.02, down to a tick
        (-2_000, 10_000, "54579.2"),
        # 2 P - 40,000 = 0.5 % of 2 P: 40,000 / 1.99, in the first tier
        (2_000, 60_000, "20100.6"),
        # 8 P - 340,000 = 250 + 1 % of (8 P - 50,000): 339,750 / 7.92; beyond the last tier its rate goes on
        (8_000, 60_000, "42897.8"),
        (2_000, 100_000, None),
    ],
)
def test_the_liquidation_price_is_solved_in_the_tier_in_which_it_lies(
    lots: int, wallet: int, expected: str | None
) -> None:
    """Worked by hand, entered and valued at 50,000."""
    price = liquidation_price(long_of(lots, wallet=wallet), "BTC-PERP")
    assert (None if price is None else format_e18(price * BTC.tick_size_e18)) == expected


@EXAMPLES
@given(
    tiers=any_tiers(),
    lots=st.integers(-8_000, 8_000).filter(bool),
    wallet=st.integers(-50_000, 500_000),
    entry=st.integers(450_000, 550_000),
)
def test_at_the_liquidation_price_equity_meets_maintenance_and_nowhere_nearer(
    tiers: tuple[RiskTier, ...], lots: int, wallet: int, entry: int
) -> None:
    """A tick farther from the safe side equity is at most maintenance, a tick nearer it is at least that."""
    spec = replace(BTC, risk_tiers=tiers)

    def left_at(mark: int) -> int:
        exposure = Exposure(leverage=20, lots=lots, cost=spec.notional(entry, lots))
        owner = owner_of(wallet * USDC, PositionRisk(terms(spec, mark=Ticks(mark)), exposure))
        return equity(owner) - total_maintenance(owner)

    exposure = Exposure(leverage=20, lots=lots, cost=spec.notional(entry, lots))
    price = liquidation_price(owner_of(wallet * USDC, PositionRisk(terms(spec, mark=MARK), exposure)), "BTC-PERP")
    step = 1 if lots > 0 else -1
    if price is None:
        assert left_at(1) >= 0 if lots > 0 else left_at(1) <= 0
        return
    assert left_at(price + step) >= -1  # maintenance rounds up to a micro
    assert left_at(price - step) <= 0


def test_a_liquidation_prices_its_steps_with_the_margins_of_the_tiers() -> None:
    """Equity 740 of a long 2 at 100,000 is below 750: a step is ordered; with 751 nothing is. One tier would keep 500."""
    ordered = next_action(long_of(2_000, wallet=740), Past())
    assert isinstance(ordered, Step)
    assert ordered.lots == 400
    assert not isinstance(next_action(long_of(2_000, wallet=751), Past()), Step)
    (share,) = bankrupt_shares(long_of(2_000, wallet=740))
    assert (share.equity, share.amount) == (740 * USDC, 99_260 * USDC)


def test_the_bankrupt_amounts_share_equity_by_maintenance_of_the_tiers() -> None:
    """Maintenance 750 and 250 of equity 400: 300 and 100."""
    second = PositionRisk(terms(BTC, mark=MARK), Exposure(leverage=20, lots=1_000, cost=BTC.notional(MARK, 1_000)))
    first = long_of(2_000).exposures["BTC-PERP"]
    shares = bankrupt_shares(owner_of(400 * USDC, first, second))
    assert [share.equity for share in shares] == [300 * USDC, 100 * USDC]


def test_the_fund_sells_its_inventory_within_the_maintenance_rate_of_the_lowest_tier() -> None:
    """1 % here, whatever the market's rate is."""
    spec = replace(BTC, risk_tiers=(tier(50_000, 10, 1, 10),))
    assert sale_price(spec, MARK, 1) == btc(49_500)
    assert sale_price(spec, MARK, -1) == btc(50_500)


# --- open interest


def interest(lots: int, limit: int = 500_000) -> Any:
    """BTC-PERP at 50,000 with a limit in USDC and this open interest."""
    return terms(replace(BTC, open_interest_max=Micros(limit * USDC)), mark=MARK, open_interest=lots)


def test_an_order_that_could_raise_the_open_interest_above_the_limit_is_refused_at_acceptance() -> None:
    """9.5 of 10 are open: 0.5 may be opened, a lot more may not, on either side, resting or not."""
    for side in Side:
        admitted(request("0.5", "50000", side), account(10**12), interest(9_500))
        answer = refused(request("0.501", "50000", side), account(10**12), interest(9_500))
        assert (answer.code, answer.details) == (
            ErrorCode.INVALID_ORDER,
            {"filter": "MAX_OPEN_INTEREST", "limit": "500000", "got": "500050"},
        )


def test_reducing_is_free_of_the_open_interest_limit() -> None:
    """Open interest is far beyond the limit: what reduces passes, of what goes beyond the position only the rest counts."""
    held = {"BTC": Exposure(leverage=20, lots=1_000, cost=BTC.notional(MARK, 1_000))}
    for more in ({}, {"reduce_only": True}):
        admitted(request("1", "50000", Side.SELL, **more), account(10**12, **held), interest(90_000))
    answer = refused(request("1.002", "50000", Side.SELL), account(10**12, **held), interest(90_000))
    assert answer.details is not None
    assert answer.details["got"] == "4500100"
    admitted(request("1.002", "50000", Side.SELL), account(10**12, **held), interest(9_998))


def test_only_what_live_orders_leave_of_the_position_reduces() -> None:
    """Long 1 with SELL 0.8 resting: of SELL 0.5 only 0.2 reduce, 0.3 open."""
    owner, market = (
        account(10**12, BTC=Exposure(leverage=20, lots=1_000, cost=BTC.notional(MARK, 1_000))),
        interest(9_800),
    )
    admitted(request("0.8", "50000", Side.SELL), owner, market)
    answer = refused(request("0.5", "50000", Side.SELL), owner, market)
    assert answer.details == {"filter": "MAX_OPEN_INTEREST", "limit": "500000", "got": "505000"}
    admitted(request("0.4", "50000", Side.SELL), owner, market)


def test_a_market_without_a_limit_has_none() -> None:
    """0 is none, whatever is open."""
    assert not isinstance(decide(request("1", "50000"), account(10**12), interest(10**9, limit=0)), Refused)
