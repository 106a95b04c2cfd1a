"""The private channels: the present state, then every change, equal to REST; and from a cursor on, nothing twice and nothing left out."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.live.client import Live
from tests.api.live.live_exchange import LiveExchange, frames, ids, live_exchange, subscribed
from tests.conftest import Broker
from tests.eventually import eventually


async def test_orders_are_shown_as_over_rest_on_every_change(broker: Broker, database: str) -> None:
    """Accepted, filled in part, amended, cancelled; before the projection, and equal to REST after it."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        before = await exchange.place(alice, price="59000")
        await exchange.step()
        live = await Live.open(exchange, alice)
        told = await subscribed(live, "orders")
        (present,) = told.of("order")
        assert present["data"] == (await alice.get(f"/orders/{before.body['orderId']}")).body
        assert "commandId" not in present
        placed = await exchange.place(alice, quantity="0.3", clientOrderId="mine", takeProfit={"triggerPrice": "70000"})
        order_id = placed.body["orderId"]
        await exchange.match()
        leg, accepted = await frames(live, 2)
        assert {leg["data"]["status"], accepted["data"]["status"]} == {"UNTRIGGERED", "OPEN"}
        assert accepted["commandId"] == placed.headers["X-Command-Id"]
        await exchange.project()
        for shown in (leg, accepted):
            assert shown["data"] == (await alice.get(f"/orders/{shown['data']['orderId']}")).body
        await exchange.place(bob, side="SELL", quantity="0.1")
        await exchange.match()
        (filled,) = await frames(live, 1)
        assert (filled["data"]["status"], filled["data"]["filledQuantity"]) == ("PARTIALLY_FILLED", "0.1")
        await exchange.project()
        assert filled["data"] == (await alice.get(f"/orders/{order_id}")).body
        await alice.call("PUT", f"/orders/{order_id}", {"price": "59500"})
        await exchange.step()
        (amended,) = await frames(live, 1)
        assert amended["data"] == (await alice.get(f"/orders/{order_id}")).body
        assert amended["data"]["price"] == "59500"
        await alice.cancel(order_id)
        await exchange.step()
        (cancelled,) = await frames(live, 1)
        assert cancelled["data"] == (await alice.get(f"/orders/{order_id}")).body
        assert cancelled["data"]["status"] == "CANCELLED"
        assert [frame["sequence"] for frame in (accepted, filled, amended, cancelled)] == sorted(
            frame["sequence"] for frame in (accepted, filled, amended, cancelled)
        )
        assert not live.others


async def test_fills_come_before_the_projection(broker: Broker, database: str) -> None:
    """Each once, of both sides, equal to REST, with the command that caused it."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        await exchange.place(alice, quantity="0.3", clientOrderId="mine")
        await exchange.step()
        maker, taker = await Live.open(exchange, alice), await Live.open(exchange, bob)
        for live in (maker, taker):
            assert [frame["op"] for frame in (await subscribed(live, "fills")).frames] == ["subscribed", "current"]
        commands = [(await exchange.place(bob, side="SELL", quantity="0.1")).headers["X-Command-Id"] for _ in range(3)]
        await exchange.match()
        for live, user in ((maker, alice), (taker, bob)):
            told = await frames(live, 3)
            assert [frame["commandId"] for frame in told] == commands
            live.others += told
            assert (await user.get("/fills")).body == []
        await exchange.project()
        for live, user in ((maker, alice), (taker, bob)):
            assert [frame["data"] for frame in live.others] == (await user.get("/fills")).body[::-1]


@pytest.mark.parametrize("door", ["socket", "rest", "batch"])
async def test_the_first_order_in_a_market_is_shown_at_once(
    broker: Broker, database: str, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    """However it was placed at this process; the next look at all accounts is not waited for."""
    monkeypatch.setattr("api.live.accounts.accounts.SEEN_EVERY_S", 3_600.0)
    async with live_exchange(broker, database) as exchange:
        alice = await exchange.user("100000")
        live = await Live.open(exchange, alice)
        assert (await subscribed(live, "orders")).of("order") == []
        order = {"side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000", "marketId": exchange.first}
        if door == "socket":
            assert (await live.ask("order.place", **order)).status == 202
        elif door == "rest":
            assert (await alice.order(**order)).status == 202
        else:
            assert (await alice.call("POST", "/orders/batch", {"orders": [order]})).status == 200
        await exchange.match()
        shown = await newest(live, "order", lambda frame: frame["data"]["status"] == "OPEN")
        assert shown["market"] == exchange.first


async def test_a_cursor_resumes_without_a_gap_and_without_a_double(broker: Broker, database: str) -> None:
    """Every cursor that came: what is told after it is what had been told after it, whether it is persisted or not."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        live = await Live.open(exchange, alice)
        begun = await subscribed(live, "fills")
        for number, market in enumerate(
            [exchange.first, exchange.first, exchange.second, exchange.first, exchange.second]
        ):
            await exchange.place(alice, marketId=market, quantity="0.01")
            await exchange.place(bob, marketId=market, side="SELL", quantity="0.01")
            await (exchange.match() if number > 2 else exchange.step())
        told = await frames(live, 5)
        assert len(set(ids(told, "tradeId"))) == 5
        await exchange.project()
        for number, cursor in enumerate([begun.frames[-1]["cursor"], *(frame["cursor"] for frame in told)]):
            again = await Live.open(exchange, alice)
            resumed = await subscribed(again, "fills", **{"from": cursor})
            assert sorted(ids(resumed.of("fill"), "tradeId")) == sorted(ids(told[number:], "tradeId")), cursor
            await again.socket.close()


async def test_a_cursor_is_good_at_another_process(broker: Broker, database: str) -> None:
    """One that has followed nothing yet, and then one whose log is read on meanwhile: nothing twice, nothing left out."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        live = await Live.open(exchange, alice)
        cursor = (await subscribed(live, "fills")).frames[-1]["cursor"]
        other = await LiveExchange(
            database, bootstrap=broker.bootstrap, first=exchange.first, second=exchange.second
        ).start()
        told: list[dict[str, Any]] = []
        for number in range(4):
            await exchange.place(alice, quantity="0.01")
            await exchange.place(bob, side="SELL", quantity="0.01")
            await exchange.match()
            told += await frames(live, 1)
            elsewhere = await Live.open(other, alice)
            number_of_request = await elsewhere.send("subscribe", channel="fills", **{"from": cursor})
            await exchange.project()
            assert (await elsewhere.result(number_of_request)).status == 200
            shown = await frames(
                elsewhere, 3
            )  # the fill before `current` or after it: the other process may read it only then
            (fill,) = [frame for frame in shown if frame["op"] == "fill"]
            assert fill["data"] == told[-1]["data"], number
            cursor = told[-1]["cursor"] if number % 2 else fill["cursor"]
            await elsewhere.socket.close()
        await other.stop()


async def test_a_resumed_subscription_goes_on_with_what_is_not_persisted(broker: Broker, database: str) -> None:
    """What was matched before, and persisted after, the subscription: once."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        live = await Live.open(exchange, alice)
        cursor = (await subscribed(live, "fills")).frames[-1]["cursor"]
        await exchange.place(alice, quantity="0.3")
        await exchange.step()
        for _ in range(2):
            await exchange.place(bob, side="SELL", quantity="0.1")
        await exchange.match()
        told = await frames(live, 2)
        again = await Live.open(exchange, alice)
        number = await again.send("subscribe", channel="fills", **{"from": cursor})
        await exchange.project()
        assert (await again.result(number)).status == 200
        await exchange.place(bob, side="SELL", quantity="0.1")
        await exchange.step()
        (last,) = await frames(live, 1)
        shown = [frame for frame in await frames(again, 5) if frame["op"] == "fill"]
        assert ids(shown, "tradeId") == ids([*told, last], "tradeId")


async def test_what_the_log_has_lost_comes_from_the_tables(broker: Broker, database: str) -> None:
    """The reader reports a loss: each fill of meanwhile comes once, then the orders as they are, then what happens."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        resting = await exchange.place(alice, quantity="0.5")
        await exchange.step()
        live = await Live.open(exchange, alice)
        for channel in ("fills", "orders"):
            await subscribed(live, channel)
        feeds = exchange.services.live
        assert feeds is not None
        reader = feeds.accounts._markets[exchange.first]
        reader.follower.leave(reader)
        for _ in range(2):
            await exchange.place(bob, side="SELL", quantity="0.1")
        await exchange.step()
        await eventually(lambda: reader.follower.position.event_seq >= exchange.markets[exchange.first].event_seq)
        reader.interrupted()
        first, second, order = await frames(live, 3)
        assert (first["op"], second["op"], order["op"]) == ("fill", "fill", "order")
        assert ids([first, second], "tradeId") == [fill["tradeId"] for fill in (await alice.get("/fills")).body][::-1]
        assert order["data"] == (await alice.get(f"/orders/{resting.body['orderId']}")).body
        await exchange.place(bob, side="SELL", quantity="0.1")
        await exchange.step()
        assert {frame["op"] for frame in await frames(live, 2)} == {"fill", "order"}
        again = await Live.open(exchange, alice)
        resumed = await subscribed(again, "fills", **{"from": first["cursor"]})
        assert ids(resumed.of("fill"), "tradeId")[0] == second["data"]["tradeId"]
        assert len(resumed.of("fill")) == 2


async def test_orders_resume_with_the_latest_state_of_what_has_changed(broker: Broker, database: str) -> None:
    """Ended ones since the cursor, and all that are open; not what had ended before."""
    async with live_exchange(broker, database) as exchange:
        alice = await exchange.user("100000")
        old, ended, open_ = [await exchange.place(alice, price=price) for price in ("58000", "58500", "59000")]
        await exchange.step()
        await alice.cancel(old.body["orderId"])
        await exchange.step()
        live = await Live.open(exchange, alice)
        cursor = (await subscribed(live, "orders")).frames[-1]["cursor"]
        await live.socket.close()
        await alice.cancel(ended.body["orderId"])
        await exchange.step()
        again = await Live.open(exchange, alice)
        told = (await subscribed(again, "orders", **{"from": cursor})).of("order")
        assert ids(told, "orderId") == [ended.body["orderId"], open_.body["orderId"]]
        assert ids(told, "status") == ["CANCELLED", "OPEN"]


async def test_positions_and_balances_are_the_latest(broker: Broker, database: str) -> None:
    """The present ones, then those that an event or a deposit has touched; null for a closed position; equal to REST."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("100000"), await exchange.user("100000")
        live = await Live.open(exchange, alice)
        assert (await subscribed(live, "positions")).of("position") == []
        (balance,) = (await subscribed(live, "balances")).of("balance")
        assert balance["data"] == (await alice.get("/balances")).body[0]
        await exchange.place(alice, quantity="0.3")
        await exchange.place(bob, side="SELL", quantity="0.3")
        await exchange.step()
        shown = await newest(live, "position", lambda frame: frame["data"] is not None)
        (expected,) = (await alice.get("/positions")).body
        assert shown["data"] == expected
        (expected,) = (await alice.get("/balances")).body
        await newest(live, "balance", lambda frame: frame["data"] == expected)
        cursor = shown["cursor"]
        await alice.deposit("5")
        total = (await alice.get("/balances")).body[0]["total"]
        await newest(live, "balance", lambda frame: frame["data"]["total"] == total)
        await exchange.place(alice, side="SELL", quantity="0.3", price="59000")
        await exchange.place(bob, side="BUY", quantity="0.3", price="59000")
        await exchange.step()
        await newest(live, "position", lambda frame: frame["data"] is None)
        again = await Live.open(exchange, alice)
        (closed,) = (await subscribed(again, "positions", **{"from": cursor})).of("position")
        assert (closed["market"], closed["data"]) == (exchange.first, None)


async def newest(live: Live, op: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for a frame of a kind that is wanted; those of other kinds are kept."""
    passed: list[dict[str, Any]] = []
    while True:
        frame = await live.other()
        if frame["op"] != op:
            passed.append(frame)
        elif wanted(frame):
            live.others = passed + live.others
            return frame


async def test_what_is_refused(broker: Broker, database: str) -> None:
    """Without a user, a scope, a cursor that is one; a market where there is none; twice the same; an unknown channel."""
    async with live_exchange(broker, database) as exchange:
        alice = await exchange.user()
        live = await Live.open(exchange)
        assert (await live.ask("subscribe", channel="fills")).status == 401
        key = await alice.call("POST", "/api-keys", {"label": "bot", "scopes": ["trade"]})
        await live.ask("auth", token=key.body["secret"])
        assert (await live.ask("subscribe", channel="fills")).status == 403
        assert (await live.ask("auth", token=alice.token)).status == 200
        for fields, named in (
            ({"channel": "fills", "from": 1}, "from"),
            ({"channel": "fills", "from": "1.2"}, "from"),
            ({"channel": "fills", "market": exchange.first}, "market"),
            ({"channel": "book"}, "market"),
            ({"channel": "trades", "market": exchange.first, "from": "1"}, "from"),
            ({"channel": "dance"}, "channel"),
            ({}, "channel"),
        ):
            refused = await live.ask("subscribe", **fields)
            assert (refused.status, refused.code, refused.details["field"]) == (400, "INVALID_REQUEST", named), fields
        assert (await live.ask("subscribe", channel="book", market="NOPE-PERP")).status == 404
        assert (await live.ask("unsubscribe", channel="fills")).status == 400
        await subscribed(live, "fills")
        assert (await live.ask("subscribe", channel="fills")).status == 400
        assert (await live.ask("unsubscribe", channel="fills")).status == 200
        await subscribed(live, "fills")


async def test_an_account_is_told_nothing_of_another(broker: Broker, database: str) -> None:
    """The other trader."""
    async with live_exchange(broker, database) as exchange:
        alice, bob, eve = [await exchange.user("100000") for _ in range(3)]
        live = await Live.open(exchange, eve)
        await exchange.place(eve, price="50000")
        await exchange.step()
        for channel in ("orders", "fills", "positions", "balances"):
            await subscribed(live, channel)
        for _ in range(3):
            await exchange.place(alice)
            await exchange.place(bob, side="SELL")
        await exchange.step()
        own = await exchange.place(eve, price="50001")
        await exchange.step()
        first = await newest(live, "order", lambda _: True)
        assert first["data"]["orderId"] == own.body["orderId"]
        assert not [frame for frame in live.others if frame["op"] in ("fill", "position")]


@pytest.mark.parametrize("what", ["token", "key"])
async def test_the_end_of_the_authorisation_ends_private_channels(broker: Broker, database: str, what: str) -> None:
    """By the clock or by a revocation, without a request: `unsubscribed` says why; public channels go on."""
    async with live_exchange(broker, database) as exchange:
        alice = await exchange.user("100000")
        live = await Live.open(exchange)
        key = await alice.call("POST", "/api-keys", {"label": "bot", "scopes": ["read"]})
        word = exchange.services.tokens.issue(alice.user) if what == "token" else key.body["secret"]
        await live.ask("auth", token=word)
        await subscribed(live, "fills")
        if what == "token":
            exchange.services.tokens._secret = "another one, by which no token of today is signed"
            exchange.services.tokens._accepted = (exchange.services.tokens._secret,)
            exchange.services.tokens._remembered.clear()
        else:
            await alice.call("DELETE", f"/api-keys/{key.body['key']['keyId']}")
        ended = await live.other()
        assert ended == {"op": "unsubscribed", "channel": "fills", "code": "UNAUTHENTICATED"}
        assert (await live.ask("ping")).status == 200
        assert (await live.ask("subscribe", channel="fills")).status == 401


async def test_nothing_is_read_once_nobody_listens(broker: Broker, database: str) -> None:
    """The last connection ends: no task and no listener of the account is left."""
    async with live_exchange(broker, database) as exchange:
        alice = await exchange.user("100000")
        await exchange.place(alice)
        await exchange.step()
        feeds = exchange.services.live
        assert feeds is not None
        live = await Live.open(exchange, alice)
        for channel in ("orders", "fills", "positions", "balances"):
            await subscribed(live, channel)
        assert not feeds.accounts.is_idle
        await live.cut()
        await eventually(lambda: feeds.accounts.is_idle)
