"""POST /orders/countdown, by the sentences of docs/semantics.md, "Dead-man's switch"."""

import asyncio
import time
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from schemas.commands import AdvanceClock
from schemas.units import Timestamp
from tests.api.exchange import Client, Exchange, Reply, now
from tests.api.test_history import run_command

BTC, ETH = "BTC-PERP", "ETH-PERP"


@pytest_asyncio.fixture(name="exchange")
async def exchange_of_today(exchange: Exchange) -> Exchange:
    """Both markets are listed at a time to come; a tick sets the clock of BTC-PERP back to now."""
    await run_command(exchange, AdvanceClock(now()))
    return exchange


async def count_down(client: Client, ms: Any, **fields: Any) -> Reply:
    """Set the countdown of BTC-PERP, or as the fields say; None removes one."""
    body = {"marketId": BTC, "countdownMs": ms} | fields
    return await client.call(
        "POST", "/orders/countdown", {name: value for name, value in body.items() if value is not None}
    )


async def orders_after(exchange: Exchange, client: Client, seconds: float) -> dict[str, tuple[str, str | None]]:
    """Status and reason of the client's orders in BTC-PERP once its clock is so many seconds ahead."""
    await exchange.run_engine()
    await run_command(exchange, AdvanceClock(Timestamp(now() + int(seconds * 1_000_000))))
    return {each["orderId"]: (each["status"], each["reason"]) for each in (await client.get("/orders")).body}


async def test_the_answer_names_market_length_and_end(exchange: Exchange) -> None:
    """200 with an array of one; the end is the time of the answer plus the length, as ISO 8601."""
    alice = await exchange.user()
    before = time.time()
    reply = await count_down(alice, 30_000)
    assert reply.status == 200
    (only,) = reply.body
    assert (only["marketId"], only["countdownMs"]) == (BTC, 30_000)
    assert before + 29.9 <= datetime.fromisoformat(only["cancelsAt"]).timestamp() <= time.time() + 30.1
    assert reply.headers["X-Command-Id"] == "BTC-PERP:3"


async def test_an_account_that_stops_calling_loses_its_orders(exchange: Exchange) -> None:
    """The walk: placed before and after the call, ended with the reason DEAD_MAN; bob's order stays."""
    alice, bob = await exchange.user(), await exchange.user()
    await alice.order(quantity="0.001")
    assert (await count_down(alice, 1_000)).status == 200
    await alice.order(quantity="0.001")
    await bob.order(quantity="0.001")
    await exchange.run_engine()
    assert set((await orders_after(exchange, alice, 0)).values()) == {("OPEN", None)}
    assert set((await orders_after(exchange, alice, 1.1)).values()) == {("CANCELLED", "DEAD_MAN")}
    assert [each["status"] for each in (await bob.get("/orders")).body] == ["OPEN"]


async def test_zero_stops_it(exchange: Exchange) -> None:
    """The answer has no end, and the order lives."""
    alice = await exchange.user()
    await alice.order(quantity="0.001")
    await count_down(alice, 1_000)
    stopped = await count_down(alice, 0)
    assert (stopped.status, stopped.body) == (200, [{"marketId": BTC, "countdownMs": 0, "cancelsAt": None}])
    assert set((await orders_after(exchange, alice, 9)).values()) == {("OPEN", None)}


async def test_each_call_replaces_the_timer(exchange: Exchange) -> None:
    """The second call asks for more time, and gets it."""
    alice = await exchange.user()
    await alice.order(quantity="0.001")
    await count_down(alice, 1_000)
    await count_down(alice, 60_000)
    assert set((await orders_after(exchange, alice, 9)).values()) == {("OPEN", None)}
    assert set((await orders_after(exchange, alice, 61)).values()) == {("CANCELLED", "DEAD_MAN")}


async def test_without_a_market_it_is_every_listed_one(exchange: Exchange) -> None:
    """The answer lists them, and has no single command to wait for."""
    alice = await exchange.user()
    reply = await count_down(alice, 5_000, marketId=None)
    assert [each["marketId"] for each in reply.body] == [BTC, ETH]
    assert "X-Command-Id" not in reply.headers
    await exchange.run_engine()
    assert await exchange.value("SELECT count(*) FROM countdowns WHERE user_id = $1", alice.user) == 2


async def test_non_reduce_only_spares_reduce_only_orders(exchange: Exchange) -> None:
    """A take-profit stays an exit while its owner is disconnected; all else ends."""
    alice, bob = await exchange.user("100000"), await exchange.user("100000")
    await bob.order(side="SELL", quantity="0.1")
    await alice.order(quantity="0.1")
    await exchange.run_engine()
    profit = (await alice.order(side="SELL", quantity="0.1", price="60500", reduceOnly=True)).body["orderId"]
    bid = (await alice.order(quantity="0.1", price="59900")).body["orderId"]
    await count_down(alice, 1_000, scope="NON_REDUCE_ONLY")
    after = await orders_after(exchange, alice, 2)
    assert (after[profit], after[bid]) == (("OPEN", None), ("CANCELLED", "DEAD_MAN"))


async def test_conditional_orders_are_included(exchange: Exchange) -> None:
    """A stop that waits ends with the order that rests."""
    alice = await exchange.user()
    await alice.order(quantity="0.001")
    stop = await alice.order(type="STOP_MARKET", price=None, triggerPrice="60500", quantity="0.001")
    await exchange.run_engine()
    assert (await alice.get(stop.headers["Location"])).body["status"] == "UNTRIGGERED"
    await count_down(alice, 1_000)
    assert set((await orders_after(exchange, alice, 2)).values()) == {("CANCELLED", "DEAD_MAN")}


@pytest.mark.parametrize("ms", [-1, 1, 999, 3_600_001, 1_000.5, "1000", True, None])
async def test_a_countdown_is_0_or_1000_to_3600000(exchange: Exchange, ms: object) -> None:
    """Anything else is INVALID_ORDER, and sets nothing."""
    alice = await exchange.user()
    assert (await count_down(alice, ms)).code == "INVALID_ORDER"
    assert await exchange.value("SELECT command_seq FROM counters WHERE market_id = 1") == 2


async def test_the_bounds_are_accepted(exchange: Exchange) -> None:
    """A second and an hour."""
    alice = await exchange.user()
    assert [(await count_down(alice, ms)).status for ms in (1_000, 3_600_000)] == [200, 200]


async def test_what_is_no_countdown_is_refused(exchange: Exchange) -> None:
    """An unknown market, scope or field."""
    alice = await exchange.user()
    assert (await count_down(alice, 5_000, marketId="DOGE-PERP")).code == "MARKET_NOT_FOUND"
    assert (await count_down(alice, 5_000, scope="ALL_OF_IT")).code == "INVALID_ORDER"
    assert (await count_down(alice, 5_000, side="BUY")).code == "INVALID_ORDER"


async def test_it_works_in_every_market_state(exchange: Exchange) -> None:
    """Nothing else of the account is accepted in a halted market, but its orders can be cancelled, by this too."""
    alice = await exchange.user()
    await alice.order(quantity="0.001")
    await exchange.run_engine()
    for status in ("INITIALIZING", "CANCEL_ONLY", "HALTED", "SETTLEMENT_ONLY"):
        await exchange.execute("UPDATE markets SET status = $1 WHERE market_id = 1", status)
        assert (await count_down(alice, 1_000)).status == 200
    assert set((await orders_after(exchange, alice, 2)).values()) == {("CANCELLED", "DEAD_MAN")}


async def test_a_cancel_all_and_a_countdown_of_many_at_once_leave_nothing_behind(exchange: Exchange) -> None:
    """Twenty orders, countdowns and cancel-alls in any order: when the timer has run out, no order lives."""
    alice = await exchange.user()
    calls = [alice.order(quantity="0.001"), count_down(alice, 1_000), alice.call("DELETE", "/orders?side=SELL")]
    more = [
        alice.order(quantity="0.001", side=side, price=price)
        for side, price in (("BUY", "59000"), ("SELL", "61000")) * 9
    ]
    await asyncio.gather(*calls, *more)
    after = await orders_after(exchange, alice, 2)
    assert len(after) == 19
    assert {status for status, _ in after.values()} == {"CANCELLED"}
