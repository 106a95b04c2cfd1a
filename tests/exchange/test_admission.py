"""Which orders may enter, and with which numbers the others are refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.risk.account import Exposure
from exchange.risk.order_draft import parse_order, request_hash
from schemas.market import MarketStatus
from schemas.orders import OrderType, Side, TimeInForce
from schemas.refusals import ErrorCode, Refused
from schemas.units import Micros, datetime_of
from tests.exchange.margin_builders import ETH, NOW, USDC, account, admitted, refused, request, terms

AFTER = datetime_of(NOW + 1_000_000)
BEFORE = datetime_of(NOW - 1_000_000)


def test_the_walk_admits_half_a_bitcoin_at_leverage_ten() -> None:
    """0.5 at 60,000 with 10,000: 3,000 at leverage 10, plus the worst fee of 15."""
    answer = admitted(request("0.5", "60000", leverage=10))
    assert answer.risk.exposure == Exposure(
        leverage=10, buy_notional=30_000 * USDC, open_fees=15 * USDC, buy_lots=500, live_orders=1
    )
    assert (answer.command.user, answer.command.at, answer.command.leverage) == (7, NOW, 10)
    assert (answer.command.margin_price, answer.command.loss_per_lot, answer.command.fee_per_lot) == (
        600_000,
        0,
        30_000,
    )


def test_a_hundred_bitcoin_are_refused_with_the_whole_requirement_and_equity() -> None:
    """100 at 60,000 asks 300,000 and 3,000 fees; there are 10,000."""
    answer = refused(request("100", "60000"))
    assert answer.code is ErrorCode.INSUFFICIENT_MARGIN
    assert answer.details == {"required": "303000", "available": "10000"}


def test_an_order_is_admitted_at_exactly_the_requirement_and_refused_one_micro_below() -> None:
    """The bound is: requirement at most equity."""
    admitted(request("1", "60000"), account(3_030 * USDC))
    assert refused(request("1", "60000"), account(3_030 * USDC - 1)).code is ErrorCode.INSUFFICIENT_MARGIN


def test_the_other_side_adds_only_its_fees() -> None:
    """BUY 1 asks 3,000; SELL 1 in addition asks only 30 of fees; a second SELL asks again."""
    owner = account(3_060 * USDC)
    admitted(request("1", "60000"), owner)
    admitted(request("1", "60000", Side.SELL), owner)
    assert refused(request("1", "60000", Side.SELL), owner).details == {"required": "6090", "available": "3060"}


def test_a_losing_account_can_always_reduce() -> None:
    """Long 1 bought at 70,000, at 60,000: equity 100 is far below the requirement, yet selling up to 1 is accepted.

    What is accepted only because it reduces is reduce-only, so it may wait next to other orders that close the position.
    """
    owner = account(10_100 * USDC, BTC=Exposure(leverage=20, lots=1_000, cost=70_000 * USDC))
    assert admitted(request("0.6", "60000", Side.SELL), owner).command.reduce_only
    assert admitted(request("1", "60000", Side.SELL), owner).command.reduce_only
    assert refused(request("1.001", "60000", Side.SELL), owner).details == {"required": "3081.03", "available": "100"}


def test_reducing_is_refused_when_equity_does_not_cover_its_loss() -> None:
    """Selling 1 at 59,000 while mark is 60,000 loses 1,000 and 30 of fees; equity is 1,029.99."""
    exposure = Exposure(leverage=20, lots=1_000, cost=60_000 * USDC)
    assert refused(request("1", "59000", Side.SELL), account(1_029_990_000, BTC=exposure)).code is (
        ErrorCode.INSUFFICIENT_MARGIN
    )
    admitted(request("1", "59000", Side.SELL), account(1_030_000_000, BTC=exposure))


def test_reduce_only_by_itself_waives_no_margin() -> None:
    """An account without a position cannot open one by calling it a reduction."""
    assert refused(request("1", "60000", reduce_only=True), account(0)).code is ErrorCode.INSUFFICIENT_MARGIN


def test_lowering_the_leverage_must_be_covered_even_by_an_order_that_reduces() -> None:
    """Long 1 with 3,100: leverage 10 asks 6,000; raising it back is always allowed."""
    owner = account(3_100 * USDC, BTC=Exposure(leverage=20, lots=1_000, cost=60_000 * USDC))
    assert refused(request("0.5", "60000", Side.SELL, leverage=10), owner).code is ErrorCode.INSUFFICIENT_MARGIN
    assert admitted(request("0.5", "60000", Side.SELL, leverage=20), owner).risk.exposure.leverage == 20


def test_leverage_applies_to_everything_live_in_the_market_and_stays() -> None:
    """The second order is judged at the leverage that the first one set."""
    owner = account(10_000 * USDC)
    admitted(request("0.5", "60000", leverage=5), owner)
    assert refused(request("0.5", "60000"), owner).details == {"required": "12030", "available": "10000"}
    assert admitted(request("0.5", "60000", leverage=20), owner).risk.exposure.leverage == 20


def test_a_market_order_carries_its_protection_price_and_never_rests() -> None:
    """1 % from the mark, rounded towards mark; the default time in force is IOC."""
    buy, sell = admitted(request("0.1")).command, admitted(request("0.1", side=Side.SELL)).command
    assert (buy.price, buy.margin_price, buy.loss_per_lot) == (606_000, 606_000, 600_000)
    assert (sell.price, sell.margin_price, sell.loss_per_lot) == (594_000, 600_000, 600_000)
    assert buy.time_in_force is TimeInForce.IOC
    assert admitted(request("0.1", time_in_force=TimeInForce.FOK)).command.time_in_force is TimeInForce.FOK


def test_a_post_only_order_reserves_the_maker_fee() -> None:
    """0.0002 of 60 a lot, where others reserve 0.0005."""
    assert admitted(request("0.1", "60000", post_only=True)).command.fee_per_lot == 12_000


@pytest.mark.parametrize(
    ("asked", "details"),
    [
        (request("0.0005", "60000"), {"filter": "LOT_SIZE", "limit": "0.001", "got": "0.0005"}),
        (request("0.1", "60000.05"), {"filter": "TICK_SIZE", "limit": "0.1", "got": "60000.05"}),
        (request("1000.001", "60000"), {"filter": "MAX_QUANTITY", "limit": "1000", "got": "1000.001"}),
        (request("0.1", "66000.1"), {"filter": "PRICE_BAND", "limit": "66000", "got": "66000.1"}),
        (request("0.1", "53999.9", Side.SELL), {"filter": "PRICE_BAND", "limit": "54000", "got": "53999.9"}),
        (request("0.001", "4999.9"), {"filter": "MIN_NOTIONAL", "limit": "5", "got": "4.9999"}),
        (request("0.1", "60000", leverage=21), {"filter": "MAX_LEVERAGE", "limit": 20, "got": 21}),
        (
            request("1000", "1000000000.1", Side.SELL),
            {"filter": "MAX_NOTIONAL", "limit": "1000000000000", "got": "1000000000100"},
        ),
        (
            request("1000", "1000000000", Side.SELL),
            {"filter": "MAX_EXPOSURE", "limit": "1000000000000", "got": "1000000000000"},
        ),
    ],
)
def test_a_filter_is_named_with_its_limit_and_what_it_met(asked: Any, details: dict[str, Any]) -> None:
    """INVALID_ORDER names the filter for programs and the reason for people."""
    answer = refused(asked)
    assert (answer.code, answer.details) == (ErrorCode.INVALID_ORDER, details)


def test_a_position_counts_for_the_greatest_exposure_of_its_side_only() -> None:
    """Long for 999,999,999,990: buying 10 more is too much, selling is not."""
    giant = account(10**17, BTC=Exposure(leverage=20, lots=1_000_000, cost=999_999_999_990 * USDC))
    assert refused(request("0.001", "10000"), giant).details == {
        "filter": "MAX_EXPOSURE",
        "limit": "1000000000000",
        "got": "1000000000000",
    }
    assert refused(request("0.001", "60000", Side.SELL), giant).code is ErrorCode.INSUFFICIENT_MARGIN


def test_only_the_aggressive_side_is_bounded_by_the_price_band() -> None:
    """A far bid and a far offer rest harmlessly."""
    admitted(request("0.001", "5000"))
    admitted(request("0.001", "120000", Side.SELL))


def test_open_orders_are_counted_per_account_and_market() -> None:
    """The 501st is refused."""
    full = account(10_000 * USDC, BTC=Exposure(leverage=20, live_orders=500))
    assert refused(request("0.1", "60000"), full).details == {"filter": "MAX_OPEN_ORDERS", "limit": 500, "got": 501}


def test_orders_that_can_only_reduce_are_exempt_from_the_smallest_notional() -> None:
    """0.001 at 4,000 is 4; to close a dust position it is accepted."""
    dust = account(1_000 * USDC, BTC=Exposure(leverage=20, lots=-1, cost=-60 * USDC))
    admitted(request("0.001", "4000"), dust)
    assert refused(request("0.001", "4000")).details == {"filter": "MIN_NOTIONAL", "limit": "5", "got": "4"}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (request("0", "60000"), "quantity"),
        (request("1e3", "60000"), "quantity"),
        (request("0.1", "0.0"), "price"),
        (request("1000000000000.1", "60000"), "quantity"),
        (request("0.1", "1000000000001"), "price"),
        (request("0.1", "60000", post_only=True, time_in_force=TimeInForce.IOC), "postOnly"),
        (request("0.1", post_only=True), "postOnly"),
        (request("0.1", time_in_force=TimeInForce.GTD, expires_at=AFTER), "timeInForce"),
        (request("0.1", "60000", time_in_force=TimeInForce.GTD), "expiresAt"),
        (request("0.1", "60000", expires_at=AFTER), "expiresAt"),
        (request("0.1", "60000", time_in_force=TimeInForce.GTD, expires_at=BEFORE), "expiresAt"),
        (request("0.1", "60000", valid_until=BEFORE), "validUntil"),
        (request("0.1", "60000", valid_until=datetime(9999, 12, 31, tzinfo=UTC)), "validUntil"),
    ],
)
def test_a_malformed_order_names_its_field(asked: Any, field: str) -> None:
    """Contradictions and bad amounts never reach the arithmetic."""
    answer = refused(asked)
    assert (answer.code, answer.details) == (ErrorCode.INVALID_ORDER, {"field": field})


def test_limit_needs_a_price_and_market_has_none() -> None:
    """The price is part of the type."""
    priced_market = replace(request("0.1", "60000"), type=OrderType.MARKET)
    bare_limit = replace(request("0.1"), type=OrderType.LIMIT)
    assert refused(priced_market).details == refused(bare_limit).details == {"field": "price"}


def test_an_unknown_market_comes_before_its_status() -> None:
    """MARKET_NOT_FOUND names what was asked."""
    answer = refused(request("0.1", "60000", market_id="DOGE-PERP"))
    assert (answer.code, answer.details) == (ErrorCode.MARKET_NOT_FOUND, {"marketId": "DOGE-PERP"})


@pytest.mark.parametrize(
    ("status", "more", "is_taken"),
    [
        (MarketStatus.INITIALIZING, {}, False),
        (MarketStatus.INITIALIZING, {"post_only": True}, True),
        (MarketStatus.CANCEL_ONLY, {"reduce_only": True}, False),
        (MarketStatus.HALTED, {}, False),
        (MarketStatus.SETTLEMENT_ONLY, {}, False),
        (MarketStatus.SETTLEMENT_ONLY, {"reduce_only": True}, True),
        (MarketStatus.SETTLED, {"reduce_only": True}, False),
    ],
)
def test_a_market_accepts_what_its_status_allows(status: MarketStatus, more: dict[str, bool], is_taken: bool) -> None:
    """Post-only while it opens, reduce-only while it settles, nothing while it is closed."""
    asked, market = request("0.1", "60000", **more), terms(status=status)
    if is_taken:
        admitted(asked, market=market)
    else:
        answer = refused(asked, market=market)
        assert (answer.code, (answer.details or {})["status"]) == (ErrorCode.MARKET_NOT_ACTIVE, status.value)


@pytest.mark.parametrize(
    ("lag", "reason"),
    [
        ({"is_stale": True}, "COMMANDS_OLD"),
        ({"is_stale": True, "is_mark_old": True}, "MARK_OLD"),
        ({"is_backlogged": True}, "BACKLOG"),
    ],
)
def test_a_market_that_lags_accepts_reducing_orders_only(lag: dict[str, bool], reason: str) -> None:
    """New risk on old positions waits, and the refusal says for what; the other market continues."""
    owner = account(10_000 * USDC, BTC=Exposure(leverage=20, lots=1_000, cost=60_000 * USDC))
    answer = refused(request("0.1", "60000"), owner, terms(**lag))
    assert (answer.code, answer.details) == (ErrorCode.OVERLOADED, {"marketId": "BTC-PERP", "reason": reason})
    admitted(request("0.1", "60000", Side.SELL), owner, terms(**lag))
    admitted(request("0.1", "60000", reduce_only=True), owner, terms(**lag))
    admitted(request("0.1", "3000", market_id="ETH-PERP"), owner, terms(**lag))


def test_status_comes_before_filters_and_filters_before_margin() -> None:
    """The first refusal in the contract's order wins."""
    worst = request("100.0005", "60000")
    assert refused(worst, market=terms(status=MarketStatus.HALTED, is_stale=True)).code is ErrorCode.MARKET_NOT_ACTIVE
    assert refused(worst, market=terms(is_stale=True)).code is ErrorCode.OVERLOADED
    assert refused(worst).code is ErrorCode.INVALID_ORDER


def test_margin_in_one_market_leaves_less_for_the_other() -> None:
    """Cross margin: 9,000 in BTC leave 910 for ETH."""
    owner = account(10_000 * USDC)
    admitted(request("3", "60000"), owner)
    assert refused(request("6.1", "3000", market_id="ETH-PERP"), owner).code is ErrorCode.INSUFFICIENT_MARGIN
    admitted(request("6", "3000", market_id="ETH-PERP"), owner)
    assert owner.exposures["ETH-PERP"].exposure.buy_notional == 18_000 * USDC
    assert ETH.market == "ETH-PERP"


def test_the_request_hash_knows_the_body_and_not_its_spelling() -> None:
    """Trailing zeros, spelled-out defaults and time zones do not matter; every field does."""
    same = [
        request("0.5", "60000"),
        request("0.50", "60000.000"),
        request("0.5", "60000", time_in_force=TimeInForce.GTC, reduce_only=False),
    ]
    others = [
        request("0.5", "60000.1"),
        request("0.5", "60000", Side.SELL),
        request("0.5", "60000", leverage=10),
        request("0.5", "60000", valid_until=AFTER),
        request("0.5"),
    ]
    assert len({_hash(asked) for asked in same}) == 1
    assert len({_hash(asked) for asked in [same[0], *others]}) == 1 + len(others)
    assert _hash(others[3]) == _hash(
        request("0.5", "60000", valid_until=AFTER.astimezone(timezone(timedelta(hours=3))))
    )


def _hash(asked: Any) -> bytes:
    draft = parse_order(asked)
    assert not isinstance(draft, Refused)
    return request_hash(draft)


def test_an_order_of_an_account_that_is_liquidated_only_reduces_in_the_engine_as_well() -> None:
    """Its position may be gone when the order arrives: the command is reduce-only whatever the request said."""
    held = Exposure(leverage=20, lots=1_000, cost=60_000 * USDC)
    owner = account(10_000 * USDC, BTC=held)
    owner.liquidation_id = 1
    assert admitted(request("1", "60000", Side.SELL), owner).command.reduce_only
    assert not admitted(request("1", "60000", Side.SELL), account(10_000 * USDC, BTC=held)).command.reduce_only


def test_a_frozen_account_only_reduces_in_the_engine_as_well() -> None:
    """An operator's freeze binds like a liquidation, and names itself; a liquidation under way names itself first."""
    owner = account(10_000 * USDC, BTC=Exposure(leverage=20, lots=1_000, cost=60_000 * USDC))
    owner.is_frozen = True
    assert admitted(request("1", "60000", Side.SELL), owner).command.reduce_only
    for opening in (request("0.1", "60000"), request("1.1", "60000", Side.SELL)):
        answer = refused(opening, owner)
        assert (answer.code, answer.details) == (ErrorCode.MARKET_NOT_ACTIVE, {"reason": "ACCOUNT_FROZEN"})
    owner.liquidation_id = 1
    assert refused(request("0.1", "60000"), owner).details == {"reason": "LIQUIDATION"}


def test_an_account_whose_positions_are_closed_without_the_book_places_no_order() -> None:
    """Not even one that reduces: the close covers the position that was read."""
    owner = account(10_000 * USDC, BTC=Exposure(leverage=20, lots=1_000, cost=60_000 * USDC))
    owner.liquidation_id, owner.is_closing = 1, True
    answer = refused(request("1", "60000", Side.SELL), owner)
    assert (answer.code, answer.details) == (ErrorCode.MARKET_NOT_ACTIVE, {"reason": "POSITIONS_CLOSING"})
    owner.wallet = Micros(0)
    answer = refused(request("1", "60000", Side.SELL), owner)
    assert answer.code is ErrorCode.INSUFFICIENT_MARGIN
    assert answer.details == {"required": "3000", "available": "0", "reason": "POSITIONS_CLOSING"}
