"""A market order's own bound, in place of the market's takeBound: how far its protection price is from the mark."""

import pytest

from tests.api.exchange import Exchange
from tests.api.margin_scene import long_from, market


async def test_a_market_publishes_its_bound(exchange: Exchange) -> None:
    """What bounds a market order that names none."""
    assert {each["id"]: each["takeBound"] for each in (await exchange.anonymous().get("/markets")).body} == {
        "BTC-PERP": "0.01",
        "ETH-PERP": "0.01",
    }


async def test_a_market_order_has_the_bound_it_names(exchange: Exchange) -> None:
    """0.001 of 60,000 is 60, up or down; the order shows it, another order shows none."""
    alice = await exchange.user()
    for side, price in (("BUY", "60060"), ("SELL", "59940")):
        placed = await market(alice, side, "0.01", maxSlippage="0.0010")
        order = (await alice.get(f"/orders/{placed.body['orderId']}")).body
        assert (order["maxSlippage"], order["protectionPrice"]) == ("0.001", price)
    plain = await market(alice, "BUY", "0.01")
    order = (await alice.get(f"/orders/{plain.body['orderId']}")).body
    assert (order["maxSlippage"], order["protectionPrice"]) == (None, "60600")


async def test_a_smaller_bound_needs_less_margin(exchange: Exchange) -> None:
    """With 1,000 a market BUY takes 16.39 times at 1 %, and 19.39 times at 0.1 %."""
    alice = await exchange.user("1000")
    assert (await market(alice, "BUY", "0.274")).status == 422
    preview = {"marketId": "BTC-PERP", "side": "BUY", "type": "MARKET", "quantity": "0.273"}
    assert (await alice.call("POST", "/orders/preview", preview)).body["marginRequired"] == "999.2619"
    assert (await market(alice, "BUY", "0.324", maxSlippage="0.001")).status == 422
    assert (await market(alice, "BUY", "0.323", maxSlippage="0.001")).status == 202


@pytest.mark.parametrize("bound", ["0", "-0.01", "0.0000001", "1e-3", "NaN", "", 0.01])
async def test_a_bound_that_is_none_is_refused(exchange: Exchange, bound: object) -> None:
    """A decimal string above 0, in parts per million."""
    alice = await exchange.user()
    refused = await market(alice, "BUY", "0.01", maxSlippage=bound)
    assert (refused.status, refused.code) == (400, "INVALID_ORDER")


async def test_the_price_band_bounds_the_bound(exchange: Exchange) -> None:
    """The band itself is allowed; beyond it the filter is named; a LIMIT order has a price for that."""
    alice = await exchange.user()
    assert (await market(alice, "BUY", "0.01", maxSlippage="0.1")).status == 202
    refused = await market(alice, "BUY", "0.01", maxSlippage="0.100001")
    assert (refused.code, refused.details) == (
        "INVALID_ORDER",
        {"filter": "MAX_SLIPPAGE", "limit": "0.1", "got": "0.100001"},
    )
    huge = await market(alice, "SELL", "0.01", maxSlippage="1000000000000")
    assert huge.details["filter"] == "MAX_SLIPPAGE"
    limit = await alice.order(maxSlippage="0.01")
    assert (limit.code, limit.details) == ("INVALID_ORDER", {"field": "maxSlippage"})


async def test_a_repeated_order_is_compared_with_its_bound(exchange: Exchange) -> None:
    """The same bound, however written, is the same order; another one, or none, is another body."""
    alice = await exchange.user()
    first = await market(alice, "BUY", "0.01", maxSlippage="0.002", clientOrderId="a")
    again = await market(alice, "BUY", "0.01", maxSlippage="0.00200", clientOrderId="a")
    assert (first.status, again.status, again.body["orderId"]) == (202, 200, first.body["orderId"])
    for other in ({"maxSlippage": "0.003"}, {}):
        conflict = await market(alice, "BUY", "0.01", clientOrderId="a", **other)
        assert (conflict.status, conflict.code) == (409, "DUPLICATE_CLIENT_ORDER_ID")


async def test_a_reduction_with_a_bound_of_its_own_is_brought_nearer_too(exchange: Exchange) -> None:
    """At 5 % a close of 1 could cost 3,030 of the 480; it gets 59,550 as without a bound."""
    trader, _ = await long_from(exchange, "3100", "1")
    await exchange.execute("UPDATE accounts SET wallet = 480000000 WHERE user_id = $1", trader.user)
    placed = await market(trader, "SELL", "1", reduceOnly=True, maxSlippage="0.05")
    order = (await trader.get(f"/orders/{placed.body['orderId']}")).body
    assert (order["protectionPrice"], order["maxSlippage"]) == ("59550", "0.05")
