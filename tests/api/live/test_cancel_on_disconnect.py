"""Cancel on disconnect: the end of a connection, however it comes, cancels the orders of the markets it was about."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from api.live.session import disconnecting
from api.live.session import session as session_module
from tests.api.exchange import Client, Exchange
from tests.api.live.client import Live
from tests.api.live.test_socket_orders import BID
from tests.eventually import eventually


async def _close(_: Exchange, live: Live) -> None:
    await live.socket.close()


async def _cut(_: Exchange, live: Live) -> None:
    await live.cut()


async def _break_the_limits(_: Exchange, live: Live) -> None:
    for _ in range(10):
        await live.send("dance")


ENDS: dict[str, Callable[[Exchange, Live], Awaitable[None]]] = {
    "closed by the client": _close,
    "cut": _cut,
    "closed for its bad frames": _break_the_limits,
}


async def cancelled(exchange: Exchange, user: Client) -> list[str]:
    """The markets in which orders of the user are being cancelled."""
    rows = await exchange.value(
        "SELECT array_agg(DISTINCT m.name) FROM orders o JOIN markets m USING (market_id)"
        " WHERE user_id = $1 AND cancel_requested_at IS NOT NULL",
        user.user,
    )
    return sorted(rows or [])


@pytest.mark.parametrize("end", ENDS)
async def test_the_end_of_the_connection_cancels(exchange: Exchange, end: str) -> None:
    """All orders of the account in the market that the connection traded, also those of others; not those of other markets."""
    user = await exchange.user("100000")
    live = await Live.open(exchange, user)
    assert (await user.order()).status == 202
    assert (await user.order(marketId="ETH-PERP", price="2900", quantity="0.1")).status == 202
    await exchange.run_engine()
    assert (await live.ask("cancel_on_disconnect", enabled=True)).body == {"enabled": True}
    placed = await live.ask("order.place", **BID)
    assert placed.status == 202
    await ENDS[end](exchange, live)
    await eventually(lambda: _nonempty(cancelled(exchange, user)))
    await exchange.run_engine()
    assert await cancelled(exchange, user) == ["BTC-PERP"]
    left = (await user.get("/orders?status=LIVE")).body["data"]
    assert [order["marketId"] for order in left] == ["ETH-PERP"]


async def _nonempty(found: Awaitable[list[str]]) -> list[str] | None:
    return await found or None


async def test_it_is_off_unless_it_is_on(exchange: Exchange) -> None:
    """By default, and after it was switched off again, orders stay."""
    user = await exchange.user()
    for switches in ([], [True, False]):
        live = await Live.open(exchange, user)
        for enabled in switches:
            assert (await live.ask("cancel_on_disconnect", enabled=enabled)).status == 200
        assert (await live.ask("order.place", **BID)).status == 202
        await live.socket.close()
    last = await Live.open(exchange, user)
    assert (await last.ask("ping")).status == 200
    assert await cancelled(exchange, user) == []


async def test_what_was_still_in_flight_is_cancelled_too(exchange: Exchange, database: str) -> None:
    """The connection is cut before its order is stored; the cancel comes after it."""
    user = await exchange.user()
    live = await Live.open(exchange, user)
    await live.ask("cancel_on_disconnect", enabled=True)
    held = await asyncpg.connect(database)
    await held.execute("BEGIN; LOCK TABLE accounts")
    for _ in range(3):
        await live.send("order.place", **BID)
    assert (await live.ask("ping")).status == 200
    await live.cut()
    await asyncio.sleep(0.1)
    await held.close()
    await eventually(lambda: _nonempty(cancelled(exchange, user)))
    assert await exchange.value("SELECT count(*) FROM orders WHERE cancel_requested_at IS NULL") == 0
    assert await exchange.value("SELECT count(*) FROM orders") == 3


async def test_silence_cancels(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that answers no ping is gone: this one reads nothing after its order."""
    monkeypatch.setattr(session_module, "PING_EVERY_S", 0.05)
    user = await exchange.user()
    live = await Live.open(exchange, user)
    await live.ask("cancel_on_disconnect", enabled=True)
    await live.ask("order.place", **BID)
    await eventually(lambda: _nonempty(cancelled(exchange, user)))


async def test_an_outage_delays_it(exchange: Exchange, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While PostgreSQL takes nothing it is tried again, until it is stored."""
    monkeypatch.setattr(disconnecting, "TRY_AGAIN_S", 0.05)
    user = await exchange.user()
    live = await Live.open(exchange, user)
    await live.ask("cancel_on_disconnect", enabled=True)
    await live.ask("order.place", **BID)
    held = await asyncpg.connect(database)
    await held.execute("BEGIN; LOCK TABLE accounts")
    await live.cut()
    await eventually(lambda: _true(exchange.services.submissions.is_stuck))
    await held.close()
    await eventually(lambda: _nonempty(cancelled(exchange, user)))


async def _true(value: bool) -> bool:
    return value


async def test_a_stop_cancels_before_the_process_ends(database: str) -> None:
    """SIGTERM: the cancels are stored when the server has stopped, after what it accepted."""
    exchange = await Exchange(database).start()
    user = await exchange.user()
    live = await Live.open(exchange, user)
    await live.ask("cancel_on_disconnect", enabled=True)
    sent = [await live.send("order.place", **BID) for _ in range(10)]
    assert await live.receive()
    reading = asyncio.create_task(live.until_closed())
    await exchange.server.stop()
    assert await reading == 1012
    assert {live.results[number]["status"] for number in sent} == {202}
    await exchange.session.close()
    assert await exchange.value("SELECT count(*) FROM orders WHERE cancel_requested_at IS NOT NULL") == 10


async def test_an_ended_authorisation_does_not_keep_orders(exchange: Exchange) -> None:
    """The token may have ended by then: what was switched on stays on."""
    user = await exchange.user()
    key = await user.call("POST", "/api-keys", {"label": "bot", "scopes": ["trade"]})
    live = await Live.open(exchange)
    assert (await live.ask("auth", token=key.body["secret"])).status == 200
    await live.ask("cancel_on_disconnect", enabled=True)
    await live.ask("order.place", **BID)
    assert (await user.call("DELETE", f"/api-keys/{key.body['key']['keyId']}")).status < 300
    await eventually(lambda: _refused(live))
    await live.socket.close()
    await eventually(lambda: _nonempty(cancelled(exchange, user)))


async def _refused(live: Live) -> bool:
    return (await live.ask("order.place", **(BID | {"price": "1"}))).status == 401
