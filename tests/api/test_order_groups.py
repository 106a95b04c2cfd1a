"""Batches, cancel-all and closing a position: several orders in one request, each of them an order like any other."""

import asyncio
from typing import Any

from tests.api.exchange import Client, Exchange, Reply

BTC, ETH = "BTC-PERP", "ETH-PERP"


def order(**fields: Any) -> dict[str, Any]:
    """A bid of 0.1 BTC at 60,000, changed by the fields given."""
    return {"marketId": BTC, "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"} | fields


async def batch(client: Client, *orders: dict[str, Any]) -> Reply:
    """Place several orders."""
    return await client.call("POST", "/orders/batch", {"orders": list(orders)})


async def statuses(client: Client) -> dict[str, str]:
    """The status of each of a client's orders."""
    return {each["orderId"]: each["status"] for each in (await client.get("/orders")).body}


async def test_a_batch_keeps_its_order_and_each_order_succeeds_or_fails_alone(exchange: Exchange) -> None:
    """Three of five are accepted, under commands that follow each other; the others say why not, as a single order would."""
    alice = await exchange.user("10000")
    orders = [
        order(clientOrderId="a"),
        order(quantity="100"),
        order(side="SELL", price="60010"),
        order(marketId="DOGE-PERP"),
        order(clientOrderId="a"),
    ]
    reply = await batch(alice, *orders)
    assert reply.status == 200
    shown = [(each["orderId"], each["isReplay"]) for each in reply.body["orders"]]
    assert shown == [("BTC-PERP-2", False), (None, False), ("BTC-PERP-3", False), (None, False), ("BTC-PERP-2", True)]
    assert reply.headers["X-Command-Id"] == "BTC-PERP:3"
    for refused in (1, 3):
        alone, reason = await alice.call("POST", "/orders", orders[refused]), reply.body["orders"][refused]["error"]
        assert [reason[name] for name in ("code", "message")] == [
            alone.body["error"][name] for name in ("code", "message")
        ]
    await exchange.run_engine()
    assert await statuses(alice) == {"BTC-PERP-2": "OPEN", "BTC-PERP-3": "OPEN"}


async def test_a_batch_spends_no_dollar_twice(exchange: Exchange) -> None:
    """10,000 cover three bids of 1 BTC at 60,000 with leverage 20, not four."""
    alice = await exchange.user("10000")
    answers = (await batch(alice, *[order(quantity="1")] * 4)).body["orders"]
    codes = [each["error"] and each["error"]["code"] for each in answers]
    assert codes == [None, None, None, "INSUFFICIENT_MARGIN"]


async def test_no_strangers_order_comes_between_those_of_a_batch(exchange: Exchange) -> None:
    """Ten accounts send batches of five at once: in each market the sequences of a batch follow one another."""
    clients = [await exchange.user("100000") for _ in range(10)]
    orders = [order(quantity="0.001")] * 3 + [order(marketId=ETH, price="3000")] * 2
    replies = await asyncio.gather(*(batch(client, *orders) for client in clients))
    for reply in replies:
        numbers = [int(each["orderId"].rpartition("-")[2]) for each in reply.body["orders"]]
        assert numbers[:3] == [*range(numbers[0], numbers[0] + 3)]
        assert numbers[3:] == [*range(numbers[3], numbers[3] + 2)]


async def test_what_is_no_batch_is_refused_whole(exchange: Exchange) -> None:
    """Nothing of it is stored: empty, too long, with something in it that is no order, or not JSON."""
    alice = await exchange.user()
    for body in ({"orders": []}, {"orders": [order()] * 21}, {"orders": [order(), order(extra=1)]}, {}, [order()]):
        assert (await alice.call("POST", "/orders/batch", body)).code == "INVALID_ORDER"
    headers = {"Content-Type": "application/json"}
    assert (await alice.call("POST", "/orders/batch", data=b"{", headers=headers)).code == "INVALID_REQUEST"
    assert await statuses(alice) == {}


async def test_cancel_all_ends_every_live_order_and_only_those(exchange: Exchange) -> None:
    """Of one market, then of all; another user's orders and ended ones are left alone."""
    alice, bob = await exchange.user("100000"), await exchange.user("100000")
    await batch(alice, order(), order(price="59990"), order(marketId=ETH, price="3000"))
    await batch(bob, order(price="59980"))
    await exchange.run_engine()
    await alice.cancel("BTC-PERP-2")
    await exchange.run_engine()
    reply = await alice.call("DELETE", f"/orders?marketId={BTC}")
    assert reply.status == 202
    assert [(each["orderId"], each["status"]) for each in reply.body["orders"]] == [("BTC-PERP-3", "PENDING_CANCEL")]
    assert reply.headers["X-Command-Id"] == reply.body["orders"][0]["commandId"] == "BTC-PERP:6"
    await exchange.run_engine()
    assert await statuses(alice) == {"BTC-PERP-2": "CANCELLED", "BTC-PERP-3": "CANCELLED", "ETH-PERP-2": "OPEN"}
    await batch(alice, order())
    everything = await alice.call("DELETE", "/orders")
    assert [each["commandId"] for each in everything.body["orders"]] == ["BTC-PERP:8", "ETH-PERP:3"]
    assert "X-Command-Id" not in everything.headers  # one of two markets' would say too little
    await exchange.run_engine()
    assert set((await statuses(alice)).values()) == {"CANCELLED"}
    assert await statuses(bob) == {"BTC-PERP-4": "OPEN"}
    nothing = await alice.call("DELETE", "/orders")
    assert (nothing.status, nothing.body, "X-Command-Id" in nothing.headers) == (202, {"orders": []}, False)


async def test_cancel_all_of_a_side_leaves_the_other(exchange: Exchange) -> None:
    """The bids of a market maker stay when the offers go."""
    alice = await exchange.user("100000")
    await batch(alice, order(price="59990"), order(side="SELL", price="60010"), order(side="SELL", price="60020"))
    reply = await alice.call("DELETE", f"/orders?marketId={BTC}&side=SELL")
    assert [each["orderId"] for each in reply.body["orders"]] == ["BTC-PERP-3", "BTC-PERP-4"]
    assert {each["commandId"] for each in reply.body["orders"]} == {"BTC-PERP:5"} == {reply.headers["X-Command-Id"]}
    await exchange.run_engine()
    assert await statuses(alice) == {"BTC-PERP-2": "OPEN", "BTC-PERP-3": "CANCELLED", "BTC-PERP-4": "CANCELLED"}


async def test_an_order_accepted_before_a_cancel_all_never_survives_it(exchange: Exchange) -> None:
    """Twenty orders race with five cancel-alls while the engine runs: whatever was accepted before one ends, what came after lives."""
    alice = await exchange.user("100000")
    for _ in range(4):
        orders = [alice.order(quantity="0.001", price=str(59_000 + place)) for place in range(20)]
        calls = [
            *orders[:10],
            alice.call("DELETE", "/orders"),
            *orders[10:],
            *(alice.call("DELETE", "/orders") for _ in range(4)),
        ]
        replies = await asyncio.gather(exchange.run_engine(), *calls)
        cancels = [
            each["commandId"] for reply in replies[1:] if "orders" in reply.body for each in reply.body["orders"]
        ]
        last = max((int(command.rpartition(":")[2]) for command in cancels), default=0)
        await exchange.run_engine()
        survivors = [number for number, status in (await statuses(alice)).items() if status == "OPEN"]
        assert all(int(number.rpartition("-")[2]) > last for number in survivors)
        after = (await alice.order(quantity="0.001")).body["orderId"]
        await exchange.run_engine()
        assert (await statuses(alice))[after] == "OPEN"


async def test_cancel_all_asked_twice_asks_once(exchange: Exchange) -> None:
    """Both answers name the same command: an order already being cancelled is not cancelled again."""
    alice = await exchange.user()
    await batch(alice, order(), order())
    first, second = await asyncio.gather(*[alice.call("DELETE", "/orders") for _ in range(2)])
    assert first.body == second.body
    assert await exchange.value("SELECT command_seq FROM counters WHERE market_id = 1") == 4


async def test_cancel_all_of_no_market(exchange: Exchange) -> None:
    """MARKET_NOT_FOUND; a query that is not known is refused."""
    alice = await exchange.user()
    for name in ("DOGE-PERP", "btc-perp"):
        assert (await alice.call("DELETE", f"/orders?marketId={name}")).code == "MARKET_NOT_FOUND"
    for query in ("marketId=", "marketId=a&marketId=b", "side=", "side=buy", "side=BUY&side=SELL", "status=OPEN"):
        assert (await alice.call("DELETE", f"/orders?{query}")).code == "INVALID_REQUEST"


async def test_closing_sells_all_of_a_long_and_buys_all_of_a_short(exchange: Exchange) -> None:
    """Against the book, at once; without a position or a market it is refused, and closing twice opens nothing."""
    alice, bob, maker = await exchange.user(), await exchange.user(), await exchange.user("1000000")
    await alice.order(quantity="0.3")
    await bob.order(side="SELL", quantity="0.3")
    await batch(maker, order(quantity="1", price="59990"), order(side="SELL", quantity="1", price="60010"))
    await exchange.run_engine()
    for client, side in ((alice, "SELL"), (bob, "BUY")):
        closing = [await client.call("POST", f"/positions/{BTC}/close") for _ in range(2)]
        assert [reply.status for reply in closing] == [202, 202]
        await exchange.run_engine()
        assert (await client.get("/positions")).body == []
        shown = [(await client.get(reply.headers["Location"])).body for reply in closing]
        assert [(each["side"], each["type"], each["reduceOnly"], each["status"]) for each in shown] == [
            (side, "MARKET", True, "FILLED"),
            (side, "MARKET", True, "REJECTED"),
        ]
        nothing = await client.call("POST", f"/positions/{BTC}/close")
        assert (nothing.status, nothing.code, nothing.details) == (400, "INVALID_ORDER", {"marketId": BTC})
    assert (await alice.call("POST", "/positions/DOGE-PERP/close")).code == "MARKET_NOT_FOUND"
