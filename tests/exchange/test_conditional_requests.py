"""Which conditional orders are well-formed, in which words others are refused, and what a repeated client id compares."""

from typing import Any

import pytest

from exchange.risk.order_draft import ParsedOrder, parse_order, request_hash
from schemas.orders import OrderType, Side, TimeInForce, WorkingType
from schemas.refusals import ErrorCode, Refused
from schemas.rest.orders import LegRequest, OrderRequest
from schemas.units import datetime_of
from tests.exchange.margin_builders import NOW

LATER = datetime_of(NOW + 60_000_000)


def asked(order_type: OrderType, **fields: Any) -> OrderRequest:
    """A SELL of this type, with what it needs unless something else is given; None leaves it out."""
    usual: dict[str, Any] = {"market_id": "BTC-PERP", "side": Side.SELL, "quantity": "0.1"}
    if order_type.is_limit:
        usual["price"] = "59000"
    if order_type is OrderType.TRAILING_STOP_MARKET:
        usual["callback_rate"] = "0.01"
    elif order_type.is_conditional:
        usual["trigger_price"] = "59500"
    fields = {name: value for name, value in (usual | fields).items() if value is not None}
    return OrderRequest(type=order_type, **fields)


@pytest.mark.parametrize("order_type", OrderType)
def test_every_type_is_placed_by_the_same_request(order_type: OrderType) -> None:
    """With what it needs, and nothing else."""
    assert isinstance(parse_order(asked(order_type)), ParsedOrder)


@pytest.mark.parametrize(
    ("order_type", "fields", "field", "words"),
    [
        (OrderType.STOP, {"price": None}, "price", "STOP needs a price"),
        (OrderType.TAKE_PROFIT, {"trigger_price": None}, "triggerPrice", "TAKE_PROFIT needs a triggerPrice"),
        (OrderType.STOP_MARKET, {"price": "1"}, "price", "STOP_MARKET has no price"),
        (OrderType.STOP_MARKET, {"trigger_price": "0"}, "triggerPrice", "triggerPrice must be above zero"),
        (OrderType.LIMIT, {"trigger_price": "1"}, "triggerPrice", "LIMIT has no triggerPrice"),
        (OrderType.MARKET, {"working_type": WorkingType.LAST}, "workingType", "MARKET has no workingType"),
        (OrderType.TRAILING_STOP_MARKET, {"trigger_price": "1"}, "triggerPrice", "has no triggerPrice"),
        (OrderType.TRAILING_STOP_MARKET, {"callback_rate": None}, "callbackRate", "needs a callbackRate"),
        (OrderType.TRAILING_STOP_MARKET, {"callback_rate": "0.0009"}, "callbackRate", '"0.001" to "0.1"'),
        (OrderType.TRAILING_STOP_MARKET, {"callback_rate": "0.100001"}, "callbackRate", '"0.001" to "0.1"'),
        (OrderType.TRAILING_STOP_MARKET, {"callback_rate": "0.0010001"}, "callbackRate", "at most 6 decimals"),
        (OrderType.STOP_MARKET, {"callback_rate": "0.01"}, "callbackRate", "STOP_MARKET has no callbackRate"),
        (OrderType.STOP_MARKET, {"activation_price": "1"}, "activationPrice", "has no activationPrice"),
        (OrderType.STOP_MARKET, {"quantity": None}, "quantity", "quantity is missing"),
        (OrderType.STOP_MARKET, {"close_position": True}, "quantity", "give no quantity with it"),
        (
            OrderType.STOP,
            {"close_position": True, "quantity": None},
            "closePosition",
            "closePosition is for STOP_MARKET",
        ),
        (OrderType.MARKET, {"close_position": True, "quantity": None}, "closePosition", "closePosition is for"),
        (OrderType.STOP_MARKET, {"time_in_force": TimeInForce.IOC}, "timeInForce", "STOP_MARKET is GTC, or GTD"),
        (OrderType.STOP_MARKET, {"time_in_force": TimeInForce.GTD}, "expiresAt", "GTD needs expiresAt"),
        (OrderType.STOP_MARKET, {"post_only": True}, "postOnly", "an order that can rest"),
        (OrderType.STOP_MARKET, {"max_slippage": "0.01"}, "maxSlippage", "maxSlippage is for MARKET"),
        (
            OrderType.LIMIT,
            {"reduce_only": True, "stop_loss": LegRequest("58000")},
            "stopLoss",
            "not for a reduce-only one",
        ),
    ],
)
def test_a_contradiction_is_refused_in_clear_words(
    order_type: OrderType, fields: dict[str, Any], field: str, words: str
) -> None:
    """INVALID_ORDER names the field and what is wrong with it."""
    refused = parse_order(asked(order_type, **fields))
    assert isinstance(refused, Refused)
    assert refused.code is ErrorCode.INVALID_ORDER
    assert refused.details == {"field": field}
    assert words in refused.message


@pytest.mark.parametrize("rate", ["0.001", "0.1", "0.0123"])
def test_the_callback_rate_goes_from_a_thousandth_to_a_tenth(rate: str) -> None:
    """Both bounds included."""
    assert isinstance(parse_order(asked(OrderType.TRAILING_STOP_MARKET, callback_rate=rate)), ParsedOrder)


def test_close_position_implies_reduce_only() -> None:
    """And has no quantity of its own."""
    draft = parse_order(asked(OrderType.STOP_MARKET, close_position=True, quantity=None))
    assert isinstance(draft, ParsedOrder)
    assert (draft.reduce_only, draft.quantity_e18) == (True, 0)


def test_a_conditional_market_order_may_expire_while_it_waits() -> None:
    """GTD with expiresAt, also without a limit."""
    draft = parse_order(asked(OrderType.STOP_MARKET, time_in_force=TimeInForce.GTD, expires_at=LATER))
    assert isinstance(draft, ParsedOrder)
    assert draft.expires_at == NOW + 60_000_000


def test_each_new_field_makes_another_body_and_defaults_make_the_same() -> None:
    """What a repeated client id compares: MARK is the default, and no field of a plain order changes its hash."""
    usual = asked(OrderType.STOP_MARKET)
    hashes = [
        hash_of(usual),
        hash_of(asked(OrderType.STOP_MARKET, working_type=WorkingType.LAST)),
        hash_of(asked(OrderType.STOP_MARKET, trigger_price="59400")),
        hash_of(asked(OrderType.STOP_MARKET, close_position=True, quantity=None)),
        hash_of(asked(OrderType.STOP_MARKET, oco_group="a")),
        hash_of(asked(OrderType.TRAILING_STOP_MARKET)),
        hash_of(asked(OrderType.TRAILING_STOP_MARKET, callback_rate="0.02")),
        hash_of(asked(OrderType.TRAILING_STOP_MARKET, activation_price="61000")),
        hash_of(asked(OrderType.LIMIT)),
        hash_of(asked(OrderType.LIMIT, oco_group="a")),
        hash_of(asked(OrderType.LIMIT, stop_loss=LegRequest("62000"))),
        hash_of(asked(OrderType.LIMIT, take_profit=LegRequest("62000"))),
        hash_of(asked(OrderType.LIMIT, take_profit=LegRequest("62000", WorkingType.LAST))),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hash_of(asked(OrderType.STOP_MARKET, working_type=WorkingType.MARK)) == hash_of(usual)
    assert hash_of(asked(OrderType.STOP_MARKET, trigger_price="59500.0")) == hash_of(usual)


def hash_of(request: OrderRequest) -> bytes:
    """The hash of a well-formed request."""
    draft = parse_order(request)
    assert isinstance(draft, ParsedOrder)
    return request_hash(draft)
