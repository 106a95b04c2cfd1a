"""Which conditional orders may wait, what they need, and which triggered ones may enter the book."""

from typing import Any

import pytest
from msgspec.structs import replace

from exchange.market_status import accepts_order
from exchange.risk.account import Exposure, MarginAccount, WaitingSums
from exchange.risk.activation import Activation, TriggeredOrder, activation_of
from exchange.risk.admission import Admitted, admit
from exchange.risk.conditional import Surroundings
from exchange.risk.margin import requirement
from exchange.risk.order_draft import ParsedOrder, parse_order
from schemas.commands import PlaceConditional
from schemas.market import RULES_THIRD, MarketStatus
from schemas.orders import EndReason, OrderType, Side, WorkingType
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import LegRequest, OrderRequest
from schemas.units import Lots, Ticks
from schemas.wire import encode
from tests.exchange.margin_builders import BTC, NOW, USDC, account, admitted, btc, refused, request, terms, waiting

STOP, TAKE_PROFIT = OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET
LONG = Exposure(leverage=20, lots=1_000, cost=60_000 * USDC)


def stop(trigger: str = "59000", **more: Any) -> OrderRequest:
    """A stop that sells, without a quantity closing the position."""
    return waiting(STOP, trigger, **more)


def test_a_stop_that_opens_a_position_needs_no_margin_before_its_trigger() -> None:
    """An account with nothing may have one waiting."""
    answer = admitted(waiting(STOP, "61000", Side.BUY, quantity="1"), account(0))
    assert answer.risk.exposure == Exposure(leverage=20, waiting=WaitingSums(orders=1))


def test_the_command_says_all_that_was_asked() -> None:
    """Trigger, limit and rate in the market's units; the quantity of one that closes the position is 0."""
    command = admitted(
        waiting(OrderType.STOP, "59000", quantity="0.1", price="58900", working_type=WorkingType.LAST, oco_group="x")
    ).command
    assert isinstance(command, PlaceConditional)
    assert (command.trigger, command.price, command.quantity) == (590_000, 589_000, 100)
    assert (command.working_type, command.oco_group, command.reduce_only) == (WorkingType.LAST, "x", False)
    trailing = admitted(
        waiting(OrderType.TRAILING_STOP_MARKET, None, callback_rate="0.01", activation_price="61000"),
        account(0, BTC=LONG),
    ).command
    assert isinstance(trailing, PlaceConditional)
    assert (trailing.callback_rate, trailing.activation, trailing.trigger, trailing.quantity) == (10_000, 610_000, 0, 0)
    assert (trailing.closes_position, trailing.reduce_only) == (True, True)


@pytest.mark.parametrize(
    ("order_type", "side", "trigger", "is_refused"),
    [
        (STOP, Side.BUY, "60000", True),
        (STOP, Side.BUY, "60000.1", False),
        (STOP, Side.SELL, "60000", True),
        (STOP, Side.SELL, "59999.9", False),
        (TAKE_PROFIT, Side.BUY, "60000", True),
        (TAKE_PROFIT, Side.BUY, "59999.9", False),
        (TAKE_PROFIT, Side.SELL, "60000", True),
        (TAKE_PROFIT, Side.SELL, "60000.1", False),
    ],
)
def test_a_condition_that_already_holds_is_refused_with_the_working_price(
    order_type: OrderType, side: Side, trigger: str, is_refused: bool
) -> None:
    """WOULD_TRIGGER at the trigger itself: STOP BUY holds at or above it, STOP SELL at or below, TAKE_PROFIT the other way round."""
    asked = waiting(order_type, trigger, side, quantity="0.1")
    if is_refused:
        assert refused(asked).details == {"filter": "WOULD_TRIGGER", "limit": trigger, "got": "60000"}
    else:
        admitted(asked)


@pytest.mark.parametrize(
    ("working_type", "got"), [(WorkingType.MARK, "60000"), (WorkingType.LAST, "59900"), (WorkingType.INDEX, "60100")]
)
def test_each_working_type_is_judged_at_its_own_price(working_type: WorkingType, got: str) -> None:
    """Mark 60,000, last trade 59,900, index 60,100."""
    asked = waiting(STOP, "60500", quantity="0.1", working_type=working_type)
    answer = judged(asked, Surroundings(btc(60_100), btc(59_900)))
    assert isinstance(answer, Refused)
    assert answer.details == {"filter": "WOULD_TRIGGER", "limit": "60500", "got": got}


def test_before_the_first_trade_no_condition_on_it_holds() -> None:
    """A stop on LAST is accepted wherever its trigger is."""
    asked = waiting(STOP, "60500", quantity="0.1", working_type=WorkingType.LAST)
    assert isinstance(judged(asked, Surroundings(btc(60_000), None)), Admitted)


def test_a_trigger_off_the_grid_is_refused() -> None:
    """As any price; the activation price and those of attached orders too."""
    for asked in (
        stop("59000.05"),
        waiting(OrderType.TRAILING_STOP_MARKET, None, callback_rate="0.01", activation_price="61000.05"),
        request("0.1", "60000", stop_loss=LegRequest("59000.05")),
    ):
        assert (refused(asked).details or {})["filter"] == "TICK_SIZE"


def test_an_account_holds_at_most_so_many_conditional_orders_in_a_market() -> None:
    """Fifty by default, attached ones included; what waits is not counted in maxOpenOrders."""
    held = Exposure(leverage=20, waiting=WaitingSums(orders=49))
    admitted(stop(), account(0, BTC=held))
    full = refused(
        request("0.001", "60000", take_profit=LegRequest("61000"), stop_loss=LegRequest("59000")),
        account(USDC * 100, BTC=held),
    )
    assert full.details == {"filter": "MAX_CONDITIONAL_ORDERS", "limit": 50, "got": 51}
    admitted(request("0.001", "60000"), account(USDC * 100, BTC=replace(held, waiting=WaitingSums(orders=50))))
    busy = replace(held, live_orders=BTC.orders_max)
    admitted(stop(), account(0, BTC=busy))


def test_the_number_of_conditional_orders_is_a_parameter_that_old_markets_need_not_name() -> None:
    """The default leaves the encoding as it was."""
    assert b"conditional" not in encode(BTC)
    other = replace(BTC, conditional_orders_max=2)
    assert b'"conditionalOrdersMax":2' in encode(other)
    held = Exposure(leverage=20, waiting=WaitingSums(orders=2))
    assert refused(stop(), account(0, BTC=held), terms(other)).details == {
        "filter": "MAX_CONDITIONAL_ORDERS",
        "limit": 2,
        "got": 3,
    }


def test_the_price_band_is_not_checked_before_the_trigger() -> None:
    """A stop that buys far above the mark, with a limit beyond the band of now."""
    admitted(waiting(OrderType.STOP, "90000", Side.BUY, quantity="0.1", price="91000"))


def test_the_smallest_notional_is_that_of_the_limit_or_the_trigger() -> None:
    """0.001 at a trigger of 4,000 is 4, below 5; reduce-only orders are exempt."""
    asked = waiting(STOP, "4000", quantity="0.001")
    assert refused(asked).details == {"filter": "MIN_NOTIONAL", "limit": "5", "got": "4"}
    admitted(waiting(OrderType.STOP, "4000", quantity="0.001", price="6000"))
    admitted(waiting(STOP, "4000", quantity="0.001", reduce_only=True), account(0, BTC=LONG))


@pytest.mark.parametrize(
    ("parent", "field", "trigger", "words"),
    [
        (request("0.1", "59000"), "take_profit", "59000", "above 59000"),
        (request("0.1", "59000"), "stop_loss", "59000", "below 59000"),
        (request("0.1", "61000", Side.SELL), "take_profit", "61000", "below 61000"),
        (request("0.1", "61000", Side.SELL), "stop_loss", "61000", "above 61000"),
        (request("0.1"), "stop_loss", "60000", "below 60000"),
        (waiting(STOP, "61000", Side.BUY, quantity="0.1"), "stop_loss", "61000", "below 61000"),
    ],
)
def test_a_leg_on_the_wrong_side_is_refused(parent: OrderRequest, field: str, trigger: str, words: str) -> None:
    """Of the parent's limit; of the mark for a market order; of the trigger of a conditional one."""
    answer = refused(replace(parent, **{field: LegRequest(trigger)}))
    assert answer.code is ErrorCode.INVALID_ORDER
    assert words in answer.message


def test_legs_are_two_orders_right_before_their_parent() -> None:
    """The take-profit comes two commands before it, the stop-loss one; both close the position on the other side."""
    asked = request("0.1", "59000", take_profit=LegRequest("61000"), stop_loss=LegRequest("58000", WorkingType.LAST))
    answer = admitted(asked)
    take_profit, stop_loss = answer.legs
    assert (take_profit.order_type, take_profit.trigger, take_profit.parent_after) == (TAKE_PROFIT, 610_000, 2)
    assert (stop_loss.order_type, stop_loss.trigger, stop_loss.parent_after) == (STOP, 580_000, 1)
    assert {leg.side for leg in answer.legs} == {Side.SELL}
    assert all(leg.closes_position and leg.reduce_only for leg in answer.legs)
    assert stop_loss.working_type is WorkingType.LAST
    assert answer.risk.exposure.waiting == WaitingSums(closing_sells=2, orders=2)
    (only,) = admitted(request("0.1", "59000", stop_loss=LegRequest("58000"))).legs
    assert only.parent_after == 1


def test_an_oco_group_has_at_most_ten_orders() -> None:
    """Plain orders are members as well."""
    for asked in (stop(oco_group="exit"), request("0.1", "60000", oco_group="exit")):
        full = judged(asked, Surroundings(btc(60_000), None, group_orders=10))
        assert isinstance(full, Refused)
        assert full.details == {"filter": "MAX_OCO_ORDERS", "limit": 10, "got": 11}
        assert isinstance(judged(asked, Surroundings(btc(60_000), None, group_orders=9)), Admitted)


def test_a_market_of_older_rules_refuses_what_it_does_not_know() -> None:
    """MARKET_NOT_ACTIVE, RULES; it says what an operator does about it. A plain order is accepted."""
    for asked in (stop(), request("0.1", "60000", oco_group="a"), request("0.1", "60000", stop_loss=LegRequest("1"))):
        answer = judged(asked, Surroundings(btc(60_000), None), terms(rules=RULES_THIRD))
        assert isinstance(answer, Refused)
        assert answer.code is ErrorCode.MARKET_NOT_ACTIVE
        assert answer.details == {"marketId": "BTC-PERP", "reason": "RULES"}
        assert "market rules BTC-PERP 4" in answer.message
    assert isinstance(judged(request("0.1", "60000"), None, terms(rules=RULES_THIRD)), Admitted)


def test_a_position_with_any_number_of_stops_costs_no_more_than_the_position() -> None:
    """Equity is exactly the position's margin."""
    owner = account(3_000 * USDC, BTC=LONG)
    for _ in range(20):
        admitted(stop(), owner)
        admitted(waiting(STOP, "59000", quantity="1", reduce_only=True), owner)
    assert requirement(BTC, owner.exposures["BTC-PERP"].exposure, 600_000) == 3_000 * USDC


def test_stops_beside_a_naked_order_count_as_the_risk_page_says() -> None:
    """Its worked example: 3,161 with the SELL 2, 6,791 with a stop, 7,421 with a second one."""
    owner = account(7_421 * USDC, BTC=LONG)
    admitted(request("2", "61000", Side.SELL), owner)
    required = [requirement(BTC, owner.exposures["BTC-PERP"].exposure, 600_000)]
    for _ in range(2):
        admitted(stop(), owner)
        required.append(requirement(BTC, owner.exposures["BTC-PERP"].exposure, 600_000))
    assert required == [3_161 * USDC, 6_791 * USDC, 7_421 * USDC]
    answer = refused(stop(), owner)
    assert answer.code is ErrorCode.INSUFFICIENT_MARGIN
    assert (answer.details or {})["required"] == "8051"
    assert refused(request("2.1", "61000", Side.SELL), owner).code is ErrorCode.INSUFFICIENT_MARGIN


def test_a_losing_account_may_place_a_stop() -> None:
    """Equity 400 of a position that requires 3,000: the stop adds nothing to that."""
    owner = account(400 * USDC, BTC=LONG)
    admitted(stop(), owner)
    admitted(waiting(STOP, "59000", quantity="1", reduce_only=True), owner)


def test_a_lower_leverage_must_be_covered_by_a_conditional_order_too() -> None:
    """Long 1 with 3,100 at leverage 10 needs 6,000."""
    owner = account(3_100 * USDC, BTC=LONG)
    assert refused(stop(leverage=10), owner).code is ErrorCode.INSUFFICIENT_MARGIN
    assert admitted(stop(leverage=20), owner).risk.exposure.leverage == 20


def test_an_account_that_may_only_reduce_places_only_stops_that_reduce() -> None:
    """While it is liquidated."""
    owner = account(400 * USDC, BTC=LONG)
    owner.liquidation_id = 1
    admitted(stop(), owner)
    assert refused(waiting(STOP, "59000", quantity="0.1"), owner).code is not None


TRIGGERED = TriggeredOrder(Side.BUY, Lots(1_000), None, post_only=False)


def test_an_activation_takes_the_margin_terms_of_its_moment() -> None:
    """BUY 1 at mark 60,000: protection price 60,600, loss 600 against the mark."""
    activation = activation_of(TRIGGERED, account(10_000 * USDC), terms())
    assert isinstance(activation, Activation)
    assert (activation.order.price, activation.order.loss_per_lot) == (606_000, 600_000)
    assert (activation.exposure.buy_lots, activation.exposure.live_orders) == (1_000, 1)


@pytest.mark.parametrize(
    ("triggered", "owner", "status", "reason"),
    [
        (TRIGGERED, account(3_660 * USDC), MarketStatus.ACTIVE, EndReason.MARGIN),
        (TRIGGERED, account(10_000 * USDC), MarketStatus.CANCEL_ONLY, EndReason.MARKET_STATUS),
        (TRIGGERED, account(10_000 * USDC), MarketStatus.SETTLEMENT_ONLY, EndReason.MARKET_STATUS),
        (replace(TRIGGERED, limit=Ticks(660_001)), account(10_000 * USDC), MarketStatus.ACTIVE, EndReason.PRICE_BAND),
        (
            TRIGGERED,
            account(10_000 * USDC, BTC=Exposure(leverage=20, live_orders=BTC.orders_max)),
            MarketStatus.ACTIVE,
            EndReason.MARGIN,
        ),
    ],
)
def test_what_cannot_enter_the_book_ends_with_its_reason(
    triggered: TriggeredOrder, owner: MarginAccount, status: MarketStatus, reason: EndReason
) -> None:
    """MARGIN, PRICE_BAND or MARKET_STATUS, as they are when the order is activated."""
    assert activation_of(triggered, owner, terms(status=status)) is reason


def test_an_activation_is_covered_at_exactly_the_requirement() -> None:
    """5 % of 60,600, the loss of 600, and the fee of 30.3."""
    needed = 3_030 * USDC + 600 * USDC + 30_300_000
    assert isinstance(activation_of(TRIGGERED, account(needed), terms()), Activation)
    assert activation_of(TRIGGERED, account(needed - 1), terms()) is EndReason.MARGIN


@pytest.mark.parametrize("status", MarketStatus)
def test_a_conditional_order_is_accepted_where_an_order_of_its_kind_is(status: MarketStatus) -> None:
    """A reduce-only stop also in SETTLEMENT_ONLY."""
    is_accepted = accepts_order(status, post_only=False, reduce_only=True)
    answer = judged(stop(), Surroundings(btc(60_000), None), terms(status=status), account(0, BTC=LONG))
    assert isinstance(answer, Admitted) == is_accepted


def judged(
    asked: OrderRequest, around: Surroundings | None, market: Any = None, owner: MarginAccount | None = None
) -> Admitted | Refused:
    """Decide with these surroundings."""
    draft = parse_order(asked)
    assert isinstance(draft, ParsedOrder), draft
    return admit(draft, owner or account(10_000 * USDC), {"BTC-PERP": market or terms()}, NOW, around)
