"""Ways to take others' money, each with its numbers, and how margin stops it. A bitcoin is 1,000 lots, mark 60,000."""

import pytest
from msgspec.structs import replace

from exchange.risk.account import Exposure, PositionRisk
from exchange.risk.admission import set_leverage
from exchange.risk.margin import withdrawable
from schemas.events import OrderEnded, TradeExecuted
from schemas.market import MarketStatus
from schemas.orders import EndReason, Side
from schemas.refusals import ErrorCode, Refused
from schemas.units import Ticks
from tests.exchange.builders import ANN, BOB, Driver, buy, index, sell
from tests.exchange.margin_builders import (
    BTC,
    ETH,
    USDC,
    account,
    admitted,
    decide,
    holding,
    owner_of,
    refused,
    request,
    terms,
)
from tests.exchange.margin_model import OneMarket

TAKER = BTC.taker_fee_rate


def test_a_buy_far_above_mark_pays_for_its_loss_before_an_accomplice_fills_it() -> None:
    """BUY 1 at 66,000 needs 3,300 + 6,000 + 33; filled, 3,967 of 10,000 is left where 3,000 is required."""
    market = OneMarket(BTC, account(10_000 * USDC))
    bid = market.take_on(request("1", "66000"))
    before = market.margin
    assert before == (10_000 - 9_333) * USDC
    market.trade(bid, 1_000, 660_000, TAKER)
    assert market.owner.wallet == 9_967 * USDC
    assert market.margin == (10_000 - 6_000 - 33 - 3_000) * USDC >= before
    assert refused(request("2", "66000"), account(18_665 * USDC)).code is ErrorCode.INSUFFICIENT_MARGIN
    assert refused(request("1", "66000.1"), account(10**6 * USDC)).details == {
        "filter": "PRICE_BAND",
        "limit": "66000",
        "got": "66000.1",
    }


def test_a_position_is_not_closed_far_below_mark_beyond_what_the_account_owns() -> None:
    """Long 1 with an equity of 3,100: giving it away at 54,000 would cost 6,030; at 57,000 it costs 3,030 and is accepted."""
    long_one = Exposure(leverage=20, lots=1_000, cost=60_000 * USDC)
    owner = account(3_100 * USDC, BTC=long_one)
    assert refused(request("1", "54000", Side.SELL), owner).code is ErrorCode.INSUFFICIENT_MARGIN
    market = OneMarket(BTC, owner)
    offer = market.take_on(request("1", "57000", Side.SELL))
    market.trade(offer, 1_000, 570_000, TAKER)
    assert (market.owner.wallet, market.exposure.lots) == (71_500_000, 0)


def test_a_second_side_is_not_free_once_equity_has_fallen() -> None:
    """SELL 20 took 60,600; equity falls to 50,000, and BUY 20 in addition asks the whole requirement again."""
    owner = account(60_600 * USDC)
    admitted(request("20", "60000", Side.SELL), owner)
    owner.wallet = 50_000 * USDC
    assert refused(request("20", "60000"), owner).details == {"required": "61200", "available": "50000"}


def test_a_reduce_only_order_that_fills_first_leaves_no_sell_naked() -> None:
    """Long 10, SELL 20, reduce-only SELL 10: S counts 30, so that -20 is covered whichever fills first."""
    market = OneMarket(BTC, account(61_500 * USDC, BTC=Exposure(leverage=20, lots=10_000, cost=600_000 * USDC)))
    first = market.take_on(request("20", "60000", Side.SELL))
    assert refused(request("10", "60000", Side.SELL, reduce_only=True), account(60_899 * USDC, BTC=market.exposure))
    reducing = market.take_on(request("10", "60000", Side.SELL, reduce_only=True))
    assert market.margin == (61_500 - 60_000 - 900) * USDC
    for order, lots in ((reducing, 10_000), (first, 20_000)):
        before = market.margin
        market.trade(order, lots, 600_000, TAKER)
        assert market.margin >= before
    assert market.exposure.lots == -20_000
    assert market.margin >= 0


def test_cancelling_one_side_does_not_strip_the_other() -> None:
    """BUY 10 and SELL 10 share 30,000; with the BUY gone, the SELL still has them."""
    market = OneMarket(BTC, account(30_600 * USDC))
    bid = market.take_on(request("10", "60000"))
    offer = market.take_on(request("10", "60000", Side.SELL))
    assert market.margin == 0
    market.cancel(bid)
    assert market.margin == 300 * USDC
    assert isinstance(market.place(request("1", "60000", Side.SELL)), Refused)
    market.trade(offer, 10_000, 600_000, TAKER)
    assert (market.margin, market.exposure.lots) == (300 * USDC, -10_000)


def test_a_bid_that_a_gap_leaves_above_the_mark_is_gone_before_anyone_can_hit_it() -> None:
    """Bid 100 margined at mark 100; the mark falls to 90, and 100 is beyond 90 x 1.05: cancelled, not filled."""
    driver = Driver()
    driver.send(buy(ANN, 10, 100))
    (ended,) = [event for event in driver.send(index(90)) if isinstance(event, OrderEnded)]
    assert ended.reason is EndReason.PRICE_BAND
    driver.send(sell(BOB, 10, 90))
    assert not [event for event in driver.events if isinstance(event, TradeExecuted)]


def test_a_fill_after_the_mark_moved_costs_at_most_half_the_initial_margin_more() -> None:
    """Bid 100, mark 96: within 5 %, so it stays, and its 4 % loss is below half of the 10 % that was asked for it."""
    driver = Driver()
    driver.send(buy(ANN, 10, 100), index(96), sell(BOB, 10, 96, loss_per_lot=0))
    (trade,) = [event for event in driver.events if isinstance(event, TradeExecuted)]
    assert trade.price == 100


def test_nothing_is_withdrawn_on_a_frozen_mark() -> None:
    """Whatever it says, nobody vouches for it; without a position there, the same market stops nothing."""
    held = holding(1_000, 60_000, 60_000)
    frozen = PositionRisk(replace(held.market, is_frozen=True), held.exposure)
    assert withdrawable(owner_of(10_000 * USDC, held)) == 7_000 * USDC
    assert withdrawable(owner_of(10_000 * USDC, frozen)) == 0
    empty = PositionRisk(frozen.market, Exposure(leverage=20))
    assert withdrawable(owner_of(10_000 * USDC, empty)) == 10_000 * USDC


def test_unrealized_profit_is_not_paid_out() -> None:
    """Long 1 from 50,000 at 60,000 with a wallet of 3,000: equity is 13,000, and nothing can leave."""
    assert withdrawable(owner_of(3_000 * USDC, holding(1_000, 50_000, 60_000))) == 0


def test_leverage_up_and_down_again_frees_nothing_with_open_orders() -> None:
    """BUY 0.5 at leverage 5 asks 6,000; 20 asks 1,500; back to 5 needs the 6,000 again, which another order uses now."""
    owner = account(10_000 * USDC)
    admitted(request("0.5", "60000", leverage=5), owner)
    markets = {"BTC-PERP": terms(), "ETH-PERP": terms(ETH)}
    raised = set_leverage("BTC-PERP", 20, owner, markets)
    assert isinstance(raised, PositionRisk)
    owner.exposures["BTC-PERP"] = raised
    admitted(request("2", "60000"), owner)
    lowered = set_leverage("BTC-PERP", 5, owner, markets)
    assert isinstance(lowered, Refused)
    assert lowered.details == {"required": "30075", "available": "10000"}
    assert owner.exposures["BTC-PERP"].exposure.leverage == 20


@pytest.mark.parametrize(
    ("market", "leverage", "code"),
    [
        ("BTC-PERP", 21, ErrorCode.INVALID_ORDER),
        ("BTC-PERP", 0, ErrorCode.INVALID_ORDER),
        ("DOG-PERP", 5, ErrorCode.MARKET_NOT_FOUND),
    ],
)
def test_a_leverage_that_the_market_does_not_have_is_refused(market: str, leverage: int, code: ErrorCode) -> None:
    """1 to maxLeverage, in a market that is listed."""
    answer = set_leverage(market, leverage, account(0), {"BTC-PERP": terms()})
    assert isinstance(answer, Refused)
    assert answer.code is code


@pytest.mark.parametrize("why", ["liquidated", "frozen"])
def test_an_account_that_may_only_reduce_gets_nothing_else_in(why: str) -> None:
    """In any market, however much it owns: a frozen position, or a liquidation under way."""
    owner = account(10**6 * USDC, ETH=Exposure(leverage=20, lots=100, cost=3_000 * USDC))
    owner.liquidation_id = 1 if why == "liquidated" else None
    frozen = terms(ETH, MarketStatus.CANCEL_ONLY if why == "frozen" else MarketStatus.ACTIVE, is_frozen=why == "frozen")
    answer = decide(request("0.1", "60000"), owner, frozen)
    assert isinstance(answer, Refused)
    reasons = {"liquidated": {"reason": "LIQUIDATION"}, "frozen": {"marketId": "ETH-PERP", "reason": "MARK_FROZEN"}}
    assert (answer.code, answer.details) == (ErrorCode.MARKET_NOT_ACTIVE, reasons[why])
    owner.exposures["BTC-PERP"] = PositionRisk(terms(), Exposure(leverage=20, lots=100, cost=6_000 * USDC))
    assert isinstance(decide(request("0.2", "60000", Side.SELL), owner, frozen), Refused)
    assert not isinstance(decide(request("0.1", "60000", Side.SELL), owner, frozen), Refused)
    assert Ticks(600_000) == terms().mark
