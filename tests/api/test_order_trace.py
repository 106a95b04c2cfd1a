"""The trace of an order: each hop as soon as the tables know of it, and only of the user's own order."""

from datetime import UTC, datetime
from typing import Any

from schemas.commands import AdvanceClock
from schemas.units import timestamp_of
from tests.api.exchange import Client, Exchange
from tests.api.test_history import run_command


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
    names = ["ACCEPTED", "RELAYED", "MATCHED", "PERSISTED", "FILLED", "FILLED", "ENDED"]
    assert hops(done) == [(name, True) for name in names]
    assert (done["status"], done["clientOrderId"], done["hasMoreFills"]) == ("FILLED", "mine", False)
    fills = (await alice.get("/fills")).body[::-1]
    for hop, fill in zip(done["hops"][4:6], fills, strict=True):
        for name in ("tradeId", "eventId", "liquidityRole", "price", "quantity"):
            assert hop[name] == fill[name]
    order = (await alice.get(f"/orders/{order_id}")).body
    first, end = done["hops"][0], done["hops"][6]
    assert (first["time"], first["commandId"]) == (order["createdAt"], command)
    times = [hop["time"] for hop in done["hops"]]
    assert times == sorted(times)
    clocks = ["SENDER", "RELAY", "ENGINE", "DATABASE", "ENGINE", "ENGINE", "ENGINE"]
    assert [hop["clock"] for hop in done["hops"]] == clocks
    commands = [*[command] * 4, "BTC-PERP:3", "BTC-PERP:4", "BTC-PERP:4"]
    assert [hop["commandId"] for hop in done["hops"]] == commands
    assert end["eventId"] == fills[-1]["eventId"]
    assert done["persistedEventSequence"] == await exchange.value("SELECT event_seq FROM progress WHERE market_id = 1")


async def test_a_cancel_is_a_hop_with_a_command_of_its_own(exchange: Exchange) -> None:
    """Asked for while it rests, ended by the user, by the last event of that command."""
    alice = await exchange.user()
    placed = await alice.order()
    await exchange.run_engine()
    cancelled = await alice.cancel(placed.body["orderId"])
    asked = await trace(alice, placed.body["orderId"])
    assert hops(asked)[3:] == [("PERSISTED", True), ("CANCEL_REQUESTED", True)]
    assert asked["hops"][4]["commandId"] == cancelled.headers["X-Command-Id"]
    await exchange.run_engine()
    ended = (await trace(alice, placed.body["orderId"]))["hops"][5]
    assert (ended["commandId"], ended["clock"]) == (cancelled.headers["X-Command-Id"], "ENGINE")
    assert ended["time"] >= asked["hops"][4]["time"]
    last_event = await exchange.value("SELECT event_seq FROM progress WHERE market_id = 1")
    assert (ended["hop"], ended["reason"], ended["eventId"]) == ("ENDED", "USER", f"BTC-PERP:{last_event}")


async def test_a_taker_is_matched_filled_and_persisted_in_time_order(exchange: Exchange) -> None:
    """All by its own command: what the engine did has one time, and the database is last."""
    alice, bob = await exchange.user(), await exchange.user()
    await bob.order(side="SELL", quantity="0.1")
    placed = await alice.order(timeInForce="IOC", quantity="0.3")
    await exchange.run_engine()
    traced = await trace(alice, placed.body["orderId"])
    names = ["ACCEPTED", "RELAYED", "MATCHED", "FILLED", "ENDED", "PERSISTED"]
    assert hops(traced) == [(name, True) for name in names]
    times = [hop["time"] for hop in traced["hops"]]
    assert times == sorted(times)
    assert len(set(times[2:5])) == 1
    assert {hop["commandId"] for hop in traced["hops"]} == {placed.headers["X-Command-Id"]}


async def test_an_end_by_the_clock_names_its_command_and_time(exchange: Exchange) -> None:
    """The record that held no order is kept too, because it ended one."""
    alice = await exchange.user()
    placed = await alice.order(timeInForce="GTD", expiresAt="2030-01-01T00:00:00Z")
    await exchange.run_engine()
    await run_command(exchange, AdvanceClock(timestamp_of(datetime(2030, 1, 1, tzinfo=UTC))))
    traced = await trace(alice, placed.body["orderId"])
    end = traced["hops"][-1]
    assert (end["hop"], end["reason"], end["commandId"], end["clock"]) == (
        "ENDED",
        "GTD_EXPIRED",
        "BTC-PERP:3",
        "ENGINE",
    )


async def test_what_was_not_kept_is_left_out(exchange: Exchange) -> None:
    """An order of the time before hops were kept has those of later orders for neither time nor event."""
    alice = await exchange.user()
    placed = await alice.order(timeInForce="IOC")
    await exchange.run_engine()
    await exchange.execute("DELETE FROM relayed_records")
    await exchange.execute("DELETE FROM persisted_records")
    await exchange.execute("UPDATE orders SET ended_event_seq = NULL, ended_command_seq = NULL")
    await alice.order()
    await exchange.run_engine()
    old = await trace(alice, placed.body["orderId"])
    assert [(hop["hop"], "time" in hop, "eventId" in hop) for hop in old["hops"]] == [
        ("ACCEPTED", True, False),
        ("RELAYED", False, False),
        ("MATCHED", False, False),
        ("PERSISTED", False, False),
        ("ENDED", False, False),
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
    first_of_alice = next(hop for hop in long["hops"] if hop["hop"] == "FILLED")
    first_of_bob = next(hop for hop in (await trace(bob, "BTC-PERP-3"))["hops"] if hop["hop"] == "FILLED")
    assert first_of_alice["eventId"] == first_of_bob["eventId"]


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
