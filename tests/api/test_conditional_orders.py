"""Conditional orders over REST: placed, triggered, filled, and read (docs/semantics.md, "Conditional orders")."""

from tests.api.exchange import Exchange
from tests.api.margin_scene import findings_of, long_from, move_index


async def test_a_stop_closes_the_position_when_the_mark_reaches_its_trigger(exchange: Exchange) -> None:
    """The walk: a reduce-only STOP_MARKET over REST, a mark that moves, the fill in GET /fills."""
    alice, bob = await long_from(exchange, "10000", "0.1")
    stop = await alice.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59500", reduceOnly=True)
    assert (stop.status, stop.body) == (202, {"orderId": "BTC-PERP-4", "status": "PENDING"})
    await bob.order(price="59300", quantity="1")
    await exchange.run_engine()
    waiting = (await alice.get("/orders?status=UNTRIGGERED")).body["data"]
    assert [(order["orderId"], order["triggerPrice"], order["workingType"]) for order in waiting] == [
        ("BTC-PERP-4", "59500", "MARK")
    ]
    await move_index(exchange, 59_400)
    fill = (await alice.get("/fills")).body[0]
    assert (fill["orderId"], fill["side"], fill["price"], fill["quantity"]) == ("BTC-PERP-4", "SELL", "59300", "0.1")
    order = (await alice.get("/orders/BTC-PERP-4")).body
    assert (order["status"], order["triggeredWorkingPrice"]) == ("FILLED", "59400")
    assert order["triggeredAt"] is not None
    assert (await alice.get("/positions")).body == []
    assert await findings_of(exchange) == []
