"""The worked examples of semantics.md and of the venues it follows, with their own numbers."""

import pytest

from exchange.fees import fee_of_fill
from exchange.funding import funding_rate, payment
from exchange.margin import Exposure, Holding, requirement
from exchange.position import Position, fill
from schemas.units import E9, Ticks
from tests.exchange.margin_builders import BTC, USDC, btc


def test_half_a_bitcoin_from_60000_to_65000_leaves_12483_75() -> None:
    """Balance 10,000 after the opening fee; the taker fee is 16.25, the profit 2,500 (semantics.md section 3)."""
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
    assert Holding(BTC, Ticks(mark), selling).exposure.open_loss == 6_500_000
