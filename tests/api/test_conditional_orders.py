"""Conditional orders over REST: placed, triggered, filled, and read (docs/semantics.md, "Conditional orders")."""

from pathlib import Path

from agents.activator import Activator
from agents.worker.settings import StreamSettings
from store.markets.registry import load_registry
from store.session.connect import connect_writer
from tests.api.exchange import Client, Exchange, Reply
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


async def test_a_stop_that_opens_a_position_enters_the_book_once_its_margin_is_reserved(exchange: Exchange) -> None:
    """No margin before the trigger; then the activator reserves it, and the order fills."""
    alice, bob = await exchange.user(), await exchange.user("100000")
    await bob.order(side="SELL", price="60700", quantity="1")
    stop = await alice.order(type="STOP_MARKET", price=None, triggerPrice="60500", quantity="1")
    assert stop.status == 202
    assert (await alice.get("/balances")).body[0]["availableMargin"] == "10000"
    await exchange.run_engine()
    await move_index(exchange, 60_600)
    assert await _status(alice, stop) == "TRIGGERED"
    await activate(exchange)
    assert (await alice.get("/balances")).body[0]["availableMargin"] < "7000"
    await exchange.run_engine()
    assert await _status(alice, stop) == "FILLED"
    assert (await alice.get("/fills")).body[0]["price"] == "60700"
    assert await findings_of(exchange) == []


async def test_a_triggered_order_without_margin_ends_cancelled(exchange: Exchange) -> None:
    """MARGIN is decided when the order fires, exactly once."""
    alice = await exchange.user("100")
    stop = await alice.order(type="STOP_MARKET", price=None, triggerPrice="60500", quantity="1")
    assert stop.status == 202
    await exchange.run_engine()
    await move_index(exchange, 60_600)
    await activate(exchange)
    await activate(exchange)
    await exchange.run_engine()
    order = (await alice.get(stop.headers["Location"])).body
    assert (order["status"], order["reason"], order["triggeredWorkingPrice"]) == ("CANCELLED", "MARGIN", "60600")
    assert await findings_of(exchange) == []


async def activate(exchange: Exchange) -> None:
    """One look of the activator."""
    session = await connect_writer(exchange.dsn, "test activator")
    activator = Activator(StreamSettings(exchange.dsn, "nowhere", datadir=Path()))
    await activator.look(session, await load_registry(session))
    await session.close()


async def _status(client: Client, placed: Reply) -> str:
    return str((await client.get(placed.headers["Location"])).body["status"])
