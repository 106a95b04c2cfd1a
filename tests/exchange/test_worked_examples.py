"""The worked examples of docs/semantics.md and of the venues it follows, with their own numbers."""

from fractions import Fraction

import pytest

from exchange.engine.prices.funding import funding_rate, payment
from exchange.fees import fee_of_fill
from exchange.position import Position, fill
from exchange.risk.account import Exposure, MarginAccount, MarketState, PositionRisk
from exchange.risk.admission import Admitted, admit
from exchange.risk.deleveraging import adl_score
from exchange.risk.liquidation import bankrupt_shares, limit_price, step_lots
from exchange.risk.margin import equity, maintenance, requirement
from exchange.risk.order_draft import ParsedOrder, parse_order
from schemas.market import RULES_FOURTH, MarketStatus
from schemas.orders import OrderType, Side
from schemas.rest.orders import OrderRequest
from schemas.units import E9, Micros, Timestamp
from tests.exchange.margin_builders import BTC, USDC, btc, holding, owner_of


def test_half_a_bitcoin_from_60000_to_65000_leaves_12483_75() -> None:
    """Balance 10,000 after the opening fee; the taker fee is 16.25, the profit 2,500 (docs/semantics.md, "Position, profit, fees")."""
    position = Position()
    fill(position, 500, BTC.notional(btc(60_000), 500), 1)
    proceeds = BTC.notional(btc(65_000), 500)
    realized = fill(position, -500, -proceeds, 2)
    fee = fee_of_fill(0, proceeds, BTC.taker_fee_rate)
    assert (fee, realized) == (16_250_000, 2_500 * USDC)
    assert 10_000 * USDC + realized - fee == 12_483_750_000


def test_many_small_fills_cost_no_more_than_one() -> None:
    """Cumulative fee: 7 fills of 0.001 at 60,000.1 pay what one of 0.007 pays, rounded up once."""
    one = BTC.notional(600_001, 1)
    paid = [fee_of_fill(done * one, one, BTC.taker_fee_rate) for done in range(7)]
    assert sum(paid) == fee_of_fill(0, 7 * one, BTC.taker_fee_rate) == 210_001


@pytest.mark.parametrize(
    ("premium", "rate"),
    [
        (400_000, 100_000),  # premium 0.04 %: 0.04 % + clamp(0.01 % - 0.04 %) = 0.01 %
        (700_000, 200_000),  # premium 0.07 %: 0.07 % - 0.05 % = 0.02 %
        (-500_000, 0),  # premium -0.05 %: -0.05 % + 0.05 % = 0
        (0, 100_000),  # no premium: the interest alone, 0.01 %
        (300_000, 100_000),  # premium 0.03 %: 0.03 % + clamp(0.01 % - 0.03 %) = 0.01 %
        (1_000_000, 500_000),  # premium 0.1 %: 0.1 % - 0.05 % = 0.05 %
        (-1_000_000, -500_000),  # premium -0.1 %: -0.1 % + 0.05 % = -0.05 %
    ],
)
def test_the_funding_rate_is_premium_plus_clamped_interest(premium: int, rate: int) -> None:
    """Binance: F = P + clamp(0.01 % - P, -0.05 %, 0.05 %) for eight hours."""
    assert funding_rate(premium * 480, 480, 8, BTC.funding_rate_cap) == rate


def test_a_long_pays_size_times_mark_times_rate() -> None:
    """Binance: 10 BTC at a mark of 8,000 and 0.01 % pay 8 USDT."""
    assert payment(10_000, btc(8_000), BTC.lot_value, E9 // 10_000) == -8 * USDC
    assert payment(-10_000, btc(8_000), BTC.lot_value, E9 // 10_000) == 8 * USDC


def test_the_open_loss_of_a_bid_above_mark_is_part_of_its_cost() -> None:
    """Binance's cost of an order: BUY 1 at 9,253.30 with mark 9,259.84 has no open loss, SELL 1 there 6.54."""
    mark = btc(9_259.8)
    buying = Exposure(leverage=20, buy_notional=BTC.notional(btc(9_253.3), 1_000), buy_lots=1_000)
    loss = 1_000 * (mark - btc(9_253.3)) * BTC.lot_value
    selling = Exposure(leverage=20, sell_notional=BTC.notional(mark, 1_000), sell_lots=1_000, open_loss=loss)
    assert requirement(BTC, buying, mark) == 462_665_000
    assert requirement(BTC, selling, mark) == 462_990_000 + 6_500_000
    assert selling.open_loss == 6_500_000


def test_a_fill_that_crosses_zero_closes_first_and_then_opens() -> None:
    """Long 0.5 from 60,000, SELL 0.8 at 65,000: 2,500 realized, short 0.3 with cost -19,500."""
    position = Position()
    fill(position, 500, BTC.notional(btc(60_000), 500), 1)
    assert fill(position, -800, -BTC.notional(btc(65_000), 800), 2) == 2_500 * USDC
    assert (position.lots, position.cost) == (-300, -19_500 * USDC)


def test_one_of_three_lots_that_cost_10_releases_3_333333() -> None:
    """Rounded towards zero; what is left of the cost stays with the position."""
    position = Position()
    fill(position, 3, 10 * USDC, 1)
    assert fill(position, -1, -4 * USDC, 2) == 666_667
    assert (position.lots, position.cost) == (2, 6_666_667)


def test_the_worse_side_counts_and_losses_and_fees_are_added() -> None:
    """BUY 1 at 59,900, SELL 1 at 60,100, BUY 0.5 at 60,600 at mark 60,000: 3,024.95, then 3,065, then 4,885.15."""
    exposure = Exposure(leverage=20)
    markets = {BTC.market: MarketState(1, BTC, MarketStatus.ACTIVE, btc(60_000), RULES_FOURTH)}
    account = MarginAccount(1, Micros(10_000 * USDC), {BTC.market: PositionRisk(markets[BTC.market], exposure)})
    needed = []
    for side, quantity, price in ((Side.BUY, "1", "59900"), (Side.SELL, "1", "60100"), (Side.BUY, "0.5", "60600")):
        draft = parse_order(OrderRequest(BTC.market, side, OrderType.LIMIT, quantity, price))
        assert isinstance(draft, ParsedOrder)
        admitted = admit(draft, account, markets, Timestamp(1))
        assert isinstance(admitted, Admitted)
        account.exposures[BTC.market] = admitted.risk
        needed.append(requirement(BTC, admitted.risk.exposure, btc(60_000)))
    assert needed == [3_024_950_000, 3_065_000_000, 4_885_150_000]


@pytest.mark.parametrize(
    ("mark", "has", "needs", "amount"),
    [(57_000, 100, 85_500_000, 17_000), (56_900, 70, 85_350_000, 17_000), (55_000, -500, 82_500_000, 17_000)],
)
def test_what_a_long_of_0_3_with_1000_is_settled_at(mark: int, has: int, needs: int, amount: int) -> None:
    """V = size x mark - E is 17,000 at every mark, because it leaves nothing of the 1,000; the step sells no lower."""
    held = holding(300, 60_000, mark)
    share = bankrupt_shares(owner_of(1_000 * USDC, held))[0]
    assert equity(owner_of(1_000 * USDC, held)) == share.equity == has * USDC
    assert maintenance(BTC, held.exposure, btc(mark)) == needs
    assert share.amount == amount * USDC
    assert limit_price(BTC, 300, share.amount) == 566_667
    assert step_lots(BTC, btc(mark), 300) == 300


def test_the_score_of_a_short_of_0_3_from_62000() -> None:
    """Wallet 2,000, mark 55,000: profit 0.1129 of the cost times leverage 16,500 / 4,100 is 0.454."""
    held = holding(-300, 62_000, 55_000)
    amount = bankrupt_shares(owner_of(2_000 * USDC, held))[0].amount
    assert adl_score(-16_500 * USDC, -18_600 * USDC, amount) == Fraction(2_100, 18_600) * Fraction(16_500, 4_100)
