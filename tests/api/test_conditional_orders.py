"""Conditional orders over REST: placed, triggered, filled, and read (docs/semantics.md, "Conditional orders")."""

from pathlib import Path

from agents.activator import Activator
from agents.worker.settings import StreamSettings
from schemas.commands import AdvanceClock, SetIndex
from schemas.units import Nanos
from store.command_log.commands import append_command
from store.markets.registry import load_registry
from store.session.connect import connect_writer
from tests.api.exchange import Client, Exchange, Reply, now
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


async def test_an_order_shows_every_field_that_was_submitted(exchange: Exchange) -> None:
    """GET /orders answers what was asked; the limit of a stop is its price, and nothing is what it has not."""
    alice, _ = await long_from(exchange, "10000", "0.1")
    await alice.order(
        side="SELL",
        type="STOP",
        triggerPrice="59000",
        price="58900",
        workingType="INDEX",
        ocoGroup="exit",
        reduceOnly=True,
    )
    await alice.order(side="SELL", type="TRAILING_STOP_MARKET", price=None, quantity=None, closePosition=True,
        callbackRate="0.02", activationPrice="61000", ocoGroup="exit")  # fmt: skip
    await exchange.run_engine()
    trailing, stop, *_ = (await alice.get("/orders")).body
    shown = (
        "type",
        "price",
        "triggerPrice",
        "workingType",
        "closePosition",
        "callbackRate",
        "activationPrice",
        "ocoGroup",
    )
    assert [stop.get(name) for name in shown] == ["STOP", "58900", "59000", "INDEX", None, None, None, "exit"]
    assert [trailing.get(name) for name in shown] == [
        *("TRAILING_STOP_MARKET", None, None, "MARK", True, "0.02", "61000", "exit"),
    ]
    assert (trailing["quantity"], trailing["status"]) == ("0", "UNTRIGGERED")
    assert "triggeredAt" not in trailing


async def test_attached_orders_come_with_their_parent_and_their_ids_are_in_the_answer(exchange: Exchange) -> None:
    """Also when the client asks again; they share a group, and sleep until the parent fills."""
    alice, bob = await exchange.user(), await exchange.user()
    legs = {"takeProfit": {"triggerPrice": "61000"}, "stopLoss": {"triggerPrice": "59000"}}
    placed = await alice.order(clientOrderId="with-legs", **legs)
    ids = {"takeProfitOrderId": "BTC-PERP-2", "stopLossOrderId": "BTC-PERP-3"}
    assert placed.body == {"orderId": "BTC-PERP-4", "status": "PENDING", **ids}
    again = await alice.order(clientOrderId="with-legs", **legs)
    assert (again.status, again.body) == (200, placed.body)
    other = await alice.order(clientOrderId="with-legs", takeProfit={"triggerPrice": "61000"})
    assert other.code == "DUPLICATE_CLIENT_ORDER_ID"
    await exchange.run_engine()
    parent, stop_loss, take_profit = (await alice.get("/orders")).body
    assert {name: parent[name] for name in ids} == ids
    assert {leg["parentOrderId"] for leg in (stop_loss, take_profit)} == {"BTC-PERP-4"}
    assert {leg["ocoGroup"] for leg in (stop_loss, take_profit)} == {"order:4"}
    await bob.order(side="SELL")
    await bob.order(price="58900", quantity="1")
    await exchange.run_engine()
    await move_index(exchange, 58_950)
    _, stop_loss, take_profit = (await alice.get("/orders")).body
    assert (stop_loss["status"], take_profit["status"], take_profit["reason"]) == ("FILLED", "CANCELLED", "OCO")
    assert (await alice.get("/positions")).body == []
    assert await findings_of(exchange) == []


async def test_a_parent_that_ends_without_a_fill_ends_its_legs(exchange: Exchange) -> None:
    """PARENT_ENDED, when the parent is cancelled."""
    alice = await exchange.user()
    placed = await alice.order(price="59000", stopLoss={"triggerPrice": "58000"})
    await exchange.run_engine()
    await alice.cancel(placed.body["orderId"])
    await exchange.run_engine()
    parent, leg = (await alice.get("/orders")).body
    assert (parent["reason"], leg["status"], leg["reason"]) == ("USER", "CANCELLED", "PARENT_ENDED")
    assert await findings_of(exchange) == []


async def test_orders_end_with_the_position_they_would_close(exchange: Exchange) -> None:
    """POSITION_CLOSED, in the command that closed it; nothing is left of a stop when its owner closes by hand."""
    alice, rich = await long_from(exchange, "10000", "0.1")
    stop = await alice.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59000", reduceOnly=True)
    await rich.order(price="60000", quantity="1")
    await alice.call("POST", "/positions/BTC-PERP/close")
    await exchange.run_engine()
    order = (await alice.get(stop.headers["Location"])).body
    assert (order["status"], order["reason"]) == ("CANCELLED", "POSITION_CLOSED")
    assert await findings_of(exchange) == []


async def test_an_oco_group_fills_once_and_a_cancel_of_one_leaves_the_other(exchange: Exchange) -> None:
    """A plain take-profit and a stop in one group."""
    alice, rich = await long_from(exchange, "10000", "0.1")
    profit = await alice.order(side="SELL", price="60500", reduceOnly=True, ocoGroup="exit")
    stops = [await alice.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59000", quantity=None,
        closePosition=True, ocoGroup="exit") for _ in range(2)]  # fmt: skip
    await exchange.run_engine()
    await alice.cancel(stops[0].body["orderId"])
    await exchange.run_engine()
    assert [await _status(alice, one) for one in (profit, *stops)] == ["OPEN", "CANCELLED", "UNTRIGGERED"]
    await rich.order(price="60500", quantity="0.05")
    await exchange.run_engine()
    assert await _status(alice, profit) == "PARTIALLY_FILLED"
    assert (await alice.get(stops[1].headers["Location"])).body["reason"] == "OCO"
    assert await findings_of(exchange) == []


async def test_an_eleventh_order_of_a_group_is_refused(exchange: Exchange) -> None:
    """Also within one batch, and beside orders that rest."""
    alice = await exchange.user()
    order = {
        "marketId": "BTC-PERP",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.001",
        "price": "59000",
        "ocoGroup": "g",
    }
    for _ in range(6):
        assert (await alice.order(quantity="0.001", price="59000", ocoGroup="g")).status == 202
    await exchange.run_engine()
    batch = await alice.call("POST", "/orders/batch", {"orders": [order] * 5})
    errors = [answer["error"] for answer in batch.body["orders"]]
    assert errors[:4] == [None] * 4
    assert errors[4]["details"] == {"filter": "MAX_OCO_ORDERS", "limit": 10, "got": 11}


async def test_cancel_all_takes_waiting_orders_along(exchange: Exchange) -> None:
    """Live and waiting ones, and those that have triggered; and a waiting one is cancelled by its id."""
    alice = await exchange.user()
    placed = [
        await alice.order(price="59000"),
        await alice.order(type="STOP_MARKET", price=None, triggerPrice="61000"),
        await alice.order(type="STOP_MARKET", price=None, triggerPrice="60500"),
        await alice.order(type="STOP_MARKET", price=None, triggerPrice="62000"),
    ]
    await exchange.run_engine()
    await move_index(exchange, 60_600)
    assert [await _status(alice, one) for one in placed] == ["OPEN", "UNTRIGGERED", "TRIGGERED", "UNTRIGGERED"]
    assert (await alice.cancel(placed[3].body["orderId"])).status == 202
    await exchange.run_engine()
    assert (await alice.cancel(placed[3].body["orderId"])).code == "ORDER_NOT_OPEN"
    cancelled = await alice.call("DELETE", "/orders")
    assert len(cancelled.body["orders"]) == 3
    await activate(exchange)
    await exchange.run_engine()
    assert {(await alice.get(one.headers["Location"])).body["reason"] for one in placed} == {"USER"}
    assert await findings_of(exchange) == []


async def test_a_preview_of_a_conditional_order_says_what_it_needs_now(exchange: Exchange) -> None:
    """Nothing, as a rule; what becomes of it is not known before it fires."""
    alice, _ = await long_from(exchange, "10000", "0.1")
    view = (
        await alice.preview(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59000", reduceOnly=True)
    ).body
    assert (view["isAccepted"], view["marginAdded"], view["price"], view["feeMax"]) == (True, "0", None, None)
    assert view["outcome"] is None
    refused = (await alice.preview(side="SELL", type="STOP_MARKET", price=None, triggerPrice="60000")).body
    assert refused["refusal"]["details"]["filter"] == "WOULD_TRIGGER"
    parent = (await alice.preview(stopLoss={"triggerPrice": "59000"})).body
    assert parent["outcome"]["status"] == "OPEN"


async def test_the_trace_shows_trigger_and_activation_with_their_prices(exchange: Exchange) -> None:
    """The working price that did it, then the price at which the order entered the book."""
    alice, bob = await exchange.user(), await exchange.user("100000")
    await bob.order(side="SELL", price="60700", quantity="1")
    placed = await alice.order(type="STOP", price="60800", triggerPrice="60500", quantity="0.1")
    await exchange.run_engine()
    await move_index(exchange, 60_600)
    await activate(exchange)
    await exchange.run_engine()
    trace = (await alice.get(f"{placed.headers['Location']}/trace")).body
    assert all("time" in hop for hop in trace["hops"])
    hops = [(hop["hop"], hop.get("commandId"), hop.get("price")) for hop in trace["hops"]]
    assert hops == [
        ("ACCEPTED", "BTC-PERP:3", None),
        ("RELAYED", "BTC-PERP:3", None),
        ("MATCHED", "BTC-PERP:3", None),
        ("PERSISTED", "BTC-PERP:3", None),
        ("TRIGGERED", "BTC-PERP:4", "60600"),
        ("ACTIVATED", "BTC-PERP:5", "60800"),
        ("FILLED", "BTC-PERP:5", "60700"),
        ("ENDED", "BTC-PERP:5", None),
    ]


async def test_a_protective_order_does_not_give_up(exchange: Exchange) -> None:
    """What finds no liquidity stays TRIGGERED, and fills at a later clock tick."""
    alice, rich = await long_from(exchange, "10000", "0.1")
    stop = await alice.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59500", quantity=None,
        closePosition=True)  # fmt: skip
    await exchange.run_engine()
    await move_index(exchange, 59_400)
    order = (await alice.get(stop.headers["Location"])).body
    assert (order["status"], order["quantity"], order["remainingQuantity"]) == ("TRIGGERED", "0.1", "0.1")
    await rich.order(price="59300", quantity="0.04")
    await exchange.run_engine()
    await tick(exchange)
    order = (await alice.get(stop.headers["Location"])).body
    assert (order["status"], order["filledQuantity"], order["remainingQuantity"]) == ("TRIGGERED", "0.04", "0.06")
    assert await findings_of(exchange) == []
    await rich.order(price="59300", quantity="1")
    await exchange.run_engine()
    await tick(exchange)
    assert await _status(alice, stop) == "FILLED"
    assert await findings_of(exchange) == []


async def test_a_condition_that_comes_to_hold_on_the_way_fires_on_arrival(exchange: Exchange) -> None:
    """The API has not seen the mark that the engine has when it reads the order."""
    alice, rich = await long_from(exchange, "10000", "0.1")
    await rich.order(price="59300", quantity="1")
    session = await connect_writer(exchange.dsn, "test index")
    await append_command(session, "BTC-PERP", SetIndex(now(), Nanos(59_400 * 10**9)))
    await session.close()
    stop = await alice.order(side="SELL", type="STOP_MARKET", price=None, triggerPrice="59500", reduceOnly=True)
    assert stop.status == 202
    await exchange.run_engine()
    assert await _status(alice, stop) == "FILLED"


async def test_a_batch_answers_the_ids_of_attached_orders(exchange: Exchange) -> None:
    """Numbered in their order: two legs, their parent, a stop."""
    alice = await exchange.user()
    base = {"marketId": "BTC-PERP", "side": "BUY", "quantity": "0.01"}
    legs = {"takeProfit": {"triggerPrice": "61000"}, "stopLoss": {"triggerPrice": "59000"}}
    orders = [
        base | {"type": "LIMIT", "price": "60000"} | legs,
        base | {"type": "STOP_MARKET", "triggerPrice": "61000"},
    ]
    answers = (await alice.call("POST", "/orders/batch", {"orders": orders})).body["orders"]
    assert [answer["orderId"] for answer in answers] == ["BTC-PERP-4", "BTC-PERP-5"]
    assert (answers[0]["takeProfitOrderId"], answers[0]["stopLossOrderId"]) == ("BTC-PERP-2", "BTC-PERP-3")
    assert "takeProfitOrderId" not in answers[1]


async def test_an_old_market_refuses_conditional_orders_until_it_is_moved(exchange: Exchange) -> None:
    """409 with the command that moves it; plain orders go on."""
    alice = await exchange.user()
    await exchange.execute("UPDATE markets SET rules = 3 WHERE name = 'BTC-PERP'")
    refused = await alice.order(type="STOP_MARKET", price=None, triggerPrice="61000")
    assert (refused.status, refused.code, refused.details["reason"]) == (409, "MARKET_NOT_ACTIVE", "RULES")
    assert (await alice.order()).status == 202
    assert "maxConditionalOrders" not in (await alice.get("/markets/BTC-PERP")).body
    await exchange.execute("UPDATE markets SET rules = 4 WHERE name = 'BTC-PERP'")
    assert (await alice.order(type="STOP_MARKET", price=None, triggerPrice="61000")).status == 202
    assert (await alice.get("/markets/BTC-PERP")).body["maxConditionalOrders"] == 50


async def tick(exchange: Exchange) -> None:
    """One tick of the clock."""
    session = await connect_writer(exchange.dsn, "test clock")
    await append_command(session, "BTC-PERP", AdvanceClock(now()))
    await session.close()
    await exchange.run_engine()


async def activate(exchange: Exchange) -> None:
    """One look of the activator."""
    session = await connect_writer(exchange.dsn, "test activator")
    activator = Activator(StreamSettings(exchange.dsn, "nowhere", datadir=Path()))
    await activator.look(session, await load_registry(session))
    await session.close()


async def _status(client: Client, placed: Reply) -> str:
    return str((await client.get(placed.headers["Location"])).body["status"])
