"""The trace of an order: each hop as soon as the tables know of it, and only of the user's own order."""

from typing import Any

from tests.api.exchange import Client, Exchange


async def trace(client: Client, order_id: str) -> dict[str, Any]:
    """The trace of an order."""
    body: dict[str, Any] = (await client.get(f"/orders/{order_id}/trace")).body
    return body


def hops(traced: dict[str, Any]) -> list[tuple[str, bool]]:
    """Its hops, and which of them are done."""
    return [(hop["hop"], hop["isDone"]) for hop in traced["hops"]]


async def test_an_order_is_followed_hop_by_hop(exchange: Exchange) -> None:
    """Accepted, relayed, matched, filled twice, and ended by the last fill; every hop names its command or its event."""
    alice, bob = await exchange.user(), await exchange.user()
    placed = await alice.order(quantity="0.3", clientOrderId="mine")
    order_id, command = placed.body["orderId"], placed.headers["X-Command-Id"]
    waiting = await trace(alice, order_id)
    assert hops(waiting) == [("ACCEPTED", True), ("RELAYED", False), ("MATCHED", False), ("PERSISTED", False)]
    assert [waiting[f"{name}CommandSequence"] for name in ("accepted", "relayed", "persisted")] == [2, 0, 0]
    await exchange.relay("BTC-PERP", 2)
    on_its_way = await trace(alice, order_id)
    assert hops(on_its_way)[1:3] == [("RELAYED", True), ("MATCHED", False)]
    assert ["time" in hop for hop in on_its_way["hops"]] == [True, True, False, False]
    await exchange.run_engine()
    await bob.order(side="SELL", quantity="0.1")
    await bob.order(side="SELL", quantity="0.2", price="59990")
    await exchange.run_engine()
    done = await trace(alice, order_id)
    names = ["ACCEPTED", "RELAYED", "MATCHED", "FILLED", "FILLED", "ENDED", "PERSISTED"]
    assert hops(done) == [(name, True) for name in names]
    assert (done["status"], done["clientOrderId"], done["hasMoreFills"]) == ("FILLED", "mine", False)
    fills = (await alice.get("/fills")).body[::-1]
    for hop, fill in zip(done["hops"][3:5], fills, strict=True):
        for name in ("tradeId", "eventId", "liquidityRole", "price", "quantity", "time"):
            assert hop[name] == fill[name]
    order = (await alice.get(f"/orders/{order_id}")).body
    first, end = done["hops"][0], done["hops"][5]
    assert (first["time"], first["commandId"]) == (order["createdAt"], command)
    times = [hop["time"] for hop in (*done["hops"][:3], done["hops"][6])]
    assert times == sorted(times)
    assert {hop.get("commandId") for hop in (*done["hops"][:3], done["hops"][6])} == {command}
    assert (end["time"], end["eventId"]) == (order["updatedAt"], fills[-1]["eventId"])
    assert done["persistedEventSequence"] == await exchange.value("SELECT event_seq FROM progress WHERE market_id = 1")


async def test_a_cancel_is_a_hop_with_a_command_of_its_own(exchange: Exchange) -> None:
    """Asked for while it rests, ended by the user, by the last event of that command."""
    alice = await exchange.user()
    placed = await alice.order()
    await exchange.run_engine()
    cancelled = await alice.cancel(placed.body["orderId"])
    asked = await trace(alice, placed.body["orderId"])
    assert hops(asked)[3:] == [("CANCEL_REQUESTED", True), ("PERSISTED", True)]
    assert asked["hops"][3]["commandId"] == cancelled.headers["X-Command-Id"]
    await exchange.run_engine()
    ended = (await trace(alice, placed.body["orderId"]))["hops"][4]
    last_event = await exchange.value("SELECT event_seq FROM progress WHERE market_id = 1")
    assert (ended["hop"], ended["reason"], ended["eventId"]) == ("ENDED", "USER", f"BTC-PERP:{last_event}")


async def test_what_was_not_kept_is_left_out(exchange: Exchange) -> None:
    """An order of the time before hops were kept has those of later orders for neither time nor event."""
    alice = await exchange.user()
    placed = await alice.order(timeInForce="IOC")
    await exchange.run_engine()
    await exchange.execute("DELETE FROM relayed_records")
    await exchange.execute("DELETE FROM persisted_records")
    await exchange.execute("UPDATE orders SET ended_event_seq = NULL")
    await alice.order()
    await exchange.run_engine()
    old = await trace(alice, placed.body["orderId"])
    assert [(hop["hop"], "time" in hop, "eventId" in hop) for hop in old["hops"]] == [
        ("ACCEPTED", True, False),
        ("RELAYED", False, False),
        ("MATCHED", False, False),
        ("ENDED", True, False),
        ("PERSISTED", False, False),
    ]


async def test_a_trace_reports_that_it_has_more_fills(exchange: Exchange) -> None:
    """500 of them are hops; the rest is in the list of fills."""
    alice, bob = await exchange.user(), await exchange.user()
    order_id = (await alice.order(quantity="0.3")).body["orderId"]
    await bob.order(side="SELL", quantity="0.3")
    await exchange.run_engine()
    await exchange.execute(
        "INSERT INTO fills SELECT market_id, trade_id + n, role, event_seq + n, order_id, user_id, side, price, quantity,"
        " notional, fee, realized, cause, at FROM fills, generate_series(1, 600) n WHERE role = 'MAKER'"
    )
    long = await trace(alice, order_id)
    assert [name for name, _ in hops(long)].count("FILLED") == 500
    assert long["hasMoreFills"] is True
    assert long["hops"][-2]["eventId"] == (await trace(bob, "BTC-PERP-3"))["hops"][-2]["eventId"]


async def test_the_trace_of_anothers_order_is_as_unknown_as_none(exchange: Exchange) -> None:
    """ORDER_NOT_FOUND with the same words."""
    alice, bob = await exchange.user(), await exchange.user()
    order_id = (await alice.order()).body["orderId"]
    foreign = await bob.get(f"/orders/{order_id}/trace")
    assert (foreign.status, foreign.code) == (404, "ORDER_NOT_FOUND")
    for unknown in ("BTC-PERP-99", "nonsense", "DOGE-PERP-2", "BTC-PERP-0", "x" * 70):
        reply = await bob.get(f"/orders/{unknown}/trace")
        assert (reply.status, reply.code) == (404, "ORDER_NOT_FOUND")
        assert reply.body["error"]["message"] == foreign.body["error"]["message"]
