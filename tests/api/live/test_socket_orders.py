"""Orders over the socket: the same submissions, errors and bodies as over REST, pipelined."""

from typing import Any

import asyncpg
import pytest

from api.access.budgets import Budget, Rate
from tests.api.exchange import Client, Exchange, Reply
from tests.api.live.client import Live

BID: dict[str, Any] = {"marketId": "BTC-PERP", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "60000"}
NAMES = {"clientOrderId": "first"}


def shape(reply: Reply) -> tuple[int, Any]:
    """Status and body without what differs in every answer."""
    body = reply.body
    if reply.code:
        return reply.status, {**body["error"], "requestId": ""}
    return reply.status, sorted(body) if isinstance(body, dict) else body


async def placed_over_both(rest: Client, live: Live, body: dict[str, Any]) -> None:
    """Place the same order for two users, one over REST, one over the socket: the answers are alike."""
    told, answered = await rest.call("POST", "/orders", body), await live.ask("order.place", **body)
    assert shape(answered) == shape(told)
    assert (answered.headers["X-Command-Id"] is None) == ("X-Command-Id" not in told.headers)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"quantity": "0.0000001"},
        {"price": "60000.001"},
        {"price": "1"},
        {"quantity": "5"},
        {"quantity": 1},
        {"side": "HOLD"},
        {"marketId": "NOPE-PERP"},
        {"clientOrderId": "?"},
        {"type": "STOP_MARKET", "price": None},
        {"type": "STOP_MARKET", "price": None, "triggerPrice": "61000"},
        {"takeProfit": {"triggerPrice": "61000"}, "stopLoss": {"triggerPrice": "59000"}},
        {"takeProfit": {"trigger": "61000"}},
    ],
)
async def test_an_order_is_answered_as_over_rest(exchange: Exchange, changes: dict[str, Any]) -> None:
    """Accepted, refused by syntax, by filter, by margin, by market; with legs too."""
    rest, user = await exchange.user(), await exchange.user()
    live = await Live.open(exchange, user)
    body = {name: value for name, value in (BID | changes).items() if value is not None}
    await placed_over_both(rest, live, body)


async def test_an_unknown_field_is_named(exchange: Exchange) -> None:
    """As over REST; the fields it could be are those of the socket, so `id` is one."""
    live = await Live.open(exchange, await exchange.user())
    refused = await live.ask("order.place", **BID, pirce="1")
    assert (refused.status, refused.code, refused.details) == (400, "INVALID_ORDER", {"field": "pirce"})


async def test_a_client_order_id_is_used_once_over_both(exchange: Exchange) -> None:
    """Placed over REST, repeated on the socket: the first order; with another body: refused."""
    user = await exchange.user()
    live = await Live.open(exchange, user)
    first = await user.call("POST", "/orders", BID | NAMES)
    again = await live.ask("order.place", **BID, **NAMES)
    assert (again.status, again.body["orderId"]) == (200, first.body["orderId"])
    assert again.headers["X-Command-Id"] == first.headers["X-Command-Id"]
    other = await live.ask("order.place", **(BID | NAMES | {"price": "59000"}))
    assert (other.status, other.code) == (409, "DUPLICATE_CLIENT_ORDER_ID")


async def test_placed_amended_cancelled(exchange: Exchange) -> None:
    """The life of an order over the socket, and each step answered as over REST."""
    rest, user = await exchange.user(), await exchange.user()
    live = await Live.open(exchange, user)
    theirs, mine = await rest.call("POST", "/orders", BID), await live.ask("order.place", **BID)
    await exchange.run_engine()
    terms = {"price": "59000"}
    amended = await live.ask("order.amend", orderId=mine.body["orderId"], **terms)
    assert shape(amended) == shape(await rest.call("PUT", f"/orders/{theirs.body['orderId']}", terms))
    again = await live.ask("order.amend", orderId=mine.body["orderId"], **terms)
    assert (again.code, again.details["reason"]) == ("ORDER_NOT_OPEN", "AMEND_PENDING")
    await exchange.run_engine()
    assert (await user.get(f"/orders/{mine.body['orderId']}")).body["price"] == "59000"
    cancelled = await live.ask("order.cancel", orderId=mine.body["orderId"])
    assert shape(cancelled) == shape(await rest.cancel(theirs.body["orderId"]))
    await exchange.run_engine()
    assert (await user.get(f"/orders/{mine.body['orderId']}")).body["status"] == "CANCELLED"
    ended = await live.ask("order.cancel", orderId=mine.body["orderId"])
    assert shape(ended)[0] == 409
    assert ended.details["reason"] == "ENDED"


async def test_an_order_of_another_user_is_unknown(exchange: Exchange) -> None:
    """Like one that does not exist, and like an id that none could have."""
    other, user = await exchange.user(), await exchange.user()
    live = await Live.open(exchange, user)
    theirs = await other.call("POST", "/orders", BID)
    for order_id in (theirs.body["orderId"], "BTC-PERP-999999", "nonsense", "x" * 64, "€"):
        for op in ("order.cancel", "order.amend"):
            answer = await live.ask(op, orderId=order_id, **({"price": "1"} if op == "order.amend" else {}))
            assert (answer.status, answer.code) == (404, "ORDER_NOT_FOUND"), order_id


async def test_a_cancel_names_the_order_by_one_id(exchange: Exchange) -> None:
    """By both or by neither it is refused; by the client's own id it cancels, also right after the order."""
    user = await exchange.user()
    live = await Live.open(exchange, user)
    for named in ({}, {"orderId": "BTC-PERP-1", "clientOrderId": "first"}):
        assert (await live.ask("order.cancel", **named)).code == "INVALID_ORDER"
    placed, cancelled = await live.send("order.place", **BID, **NAMES), await live.send("order.cancel", **NAMES)
    assert (await live.result(placed)).status == 202
    assert (await live.result(cancelled)).status == 202
    unknown = await live.ask("order.cancel", clientOrderId="second")
    assert (unknown.status, unknown.code) == (404, "ORDER_NOT_FOUND")


async def test_cancel_all_includes_what_was_sent_before_it(exchange: Exchange) -> None:
    """Pipelined: three orders, a cancel-all of one market, and one more order that stays."""
    rest, user = await exchange.user(), await exchange.user()
    live = await Live.open(exchange, user)
    sent = [await live.send("order.place", **BID) for _ in range(3)]
    cancelled, later = await live.send("order.cancel_all", marketId="BTC-PERP"), await live.send("order.place", **BID)
    ids = {(await live.result(number)).body["orderId"] for number in sent}
    answer = await live.result(cancelled)
    assert answer.status == 202
    assert {order["orderId"] for order in answer.body["orders"]} == ids
    assert (await live.result(later)).status == 202
    await exchange.run_engine()
    assert len((await user.get("/orders?status=LIVE")).body["data"]) == 1
    for path, fields in (
        ("/orders?marketId=NOPE-PERP", {"marketId": "NOPE-PERP"}),
        ("/orders?side=BUY", {"side": "BUY"}),
    ):
        told, answered = await rest.call("DELETE", path), await live.ask("order.cancel_all", **fields)
        assert answered.status == told.status
        assert answered.code == told.code


async def test_requests_are_not_awaited_one_after_another(exchange: Exchange, database: str) -> None:
    """While the first batch is held, the next orders wait together; each has its own result, accepted or not."""
    user = await exchange.user()
    live = await Live.open(exchange, user)
    held = await asyncpg.connect(database)
    await held.execute("BEGIN; LOCK TABLE accounts")
    sent = [await live.send("order.place", **(BID if number % 3 else BID | {"price": "1"})) for number in range(30)]
    pinged = await live.ask("ping")  # read although no order is answered yet
    assert pinged.status == 200
    assert not live.results
    await held.close()
    statuses = [(await live.result(number)).status for number in sent]
    assert statuses == [202 if number % 3 else 400 for number in range(30)]


async def test_more_in_flight_than_allowed_wait_unread(exchange: Exchange, database: str) -> None:
    """A connection with 64 orders in flight is not read: the ping behind them is answered only once they are."""
    live = await Live.open(exchange, await exchange.user())
    held = await asyncpg.connect(database)
    await held.execute("BEGIN; LOCK TABLE accounts")
    sent = [await live.send("order.place", **BID) for _ in range(70)]
    pinged = await live.send("ping")
    with pytest.raises(TimeoutError):
        await live.socket.receive(0.3)
    await held.close()
    assert {(await live.result(number)).status for number in sent} == {202}
    assert (await live.result(pinged)).status == 200


async def test_the_budgets_are_those_of_rest(database: str) -> None:
    """Orders, cancels and other requests each have theirs; what REST took is gone here too, and cancels go on."""
    rates = {Budget.ORDERS: Rate(3, 3_600), Budget.REQUESTS: Rate(4, 3_600)}
    exchange = await Exchange(database).start(rates=rates)
    user = await exchange.user()
    live = await Live.open(exchange, user)
    assert (await user.call("POST", "/orders", BID)).status == 202
    answers = [await live.ask("order.place", **BID) for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert (answers[-1].code, answers[-1].details["limit"]) == ("RATE_LIMITED", "orders")
    assert (await live.ask("order.cancel_all")).status == 202
    assert [(await live.ask("ping")).status for _ in range(4)] == [200, 200, 200, 429]  # the deposit was the first
    await live.socket.close()
    await exchange.stop()
