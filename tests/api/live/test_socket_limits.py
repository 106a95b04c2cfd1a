"""The limits of the socket: frames, connections, silence, pages of other origins, and the end of the process."""

import asyncio
import json

import aiohttp
import pytest

from api.access.budgets import Budget, Rate
from api.live.session import session as session_module
from tests.api.exchange import Exchange
from tests.api.live.client import Live
from tests.api.live.test_socket_orders import BID
from tests.eventually import eventually

GARBAGE = ["", "{", "[]", "1", "null", '{"id": 1}', '{"op": 1}', '{"op": "dance"}', '{"op":"ping","id":{}}']


async def test_a_bad_frame_is_reported_and_costs_nothing_else(exchange: Exchange) -> None:
    """Not JSON, no object, no or an unknown `op`, an id that is none: an error each, with the id where there is one; then it goes on."""
    live = await Live.open(exchange)
    for text in GARBAGE:
        await live.socket.send_str(text)
        error = await live.other()
        assert (error["op"], error["code"], "id" in error) == ("error", "INVALID_REQUEST", False), text
    assert (await live.ask("ping")).status == 200


async def test_ten_bad_frames_in_a_minute_close_the_connection(exchange: Exchange) -> None:
    """With 1008, after the tenth error and a goodbye."""
    live = await Live.open(exchange)
    for _ in range(10):
        await live.send("dance")
    assert await live.until_closed() == 1008
    assert [frame["op"] for frame in live.others] == ["error"] * 10 + ["goodbye"]
    assert live.others[-1]["code"] == 1008
    assert all("id" in frame for frame in live.others[:10])


async def test_a_frame_of_64_kib_is_read_and_a_larger_one_is_refused(exchange: Exchange) -> None:
    """To the byte; a message of more than 256 KiB is not read at all: 1009. Binary frames are refused."""
    live = await Live.open(exchange)
    for size, op in ((64 * 1024, "result"), (64 * 1024 + 1, "error")):
        text = json.dumps({"op": "ping", "id": size, "x": ""})
        await live.socket.send_str(text[:-2] + "x" * (size - len(text)) + text[-2:])
        await live.receive()
        assert (size in live.results, len(live.others)) == (op == "result", op == "error")
    assert live.others.pop()["code"] == "PAYLOAD_TOO_LARGE"
    assert live.results[64 * 1024]["status"] == 400  # `x` is unknown
    await live.socket.send_bytes(b'{"op": "ping"}')
    assert (await live.other())["code"] == "INVALID_REQUEST"
    await live.socket.send_str("x" * (256 * 1024 + 1))
    assert await live.until_closed() == 1009


async def test_a_handshake_of_a_foreign_page_is_refused(database: str) -> None:
    """403 unless the origin is the server's own or an allowed one; programs send none."""
    exchange = await Exchange(database).start(cors_origins=frozenset({"https://desk.example"}))
    own = f"http://127.0.0.1:{exchange.port}"
    for origin in (own, "https://desk.example"):
        live = await Live.open(exchange, origin=origin)
        assert (await live.ask("ping")).status == 200
        await live.socket.close()
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{exchange.port + 1}"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await Live.open(exchange, origin=origin)
        assert refused.value.status == 403
    await exchange.stop()


async def test_a_user_has_twenty_connections(exchange: Exchange) -> None:
    """The next `auth` is refused with 429, and accepted once another connection has ended."""
    user = await exchange.user()
    open_ = [await Live.open(exchange, user) for _ in range(20)]
    late = await Live.open(exchange)
    refused = await late.ask("auth", token=user.token)
    assert (refused.status, refused.code, refused.details) == (429, "RATE_LIMITED", {"limit": "connections", "max": 20})
    assert (await open_[0].ask("auth", token=user.token)).status == 200  # again on its own connection
    await open_[0].socket.close()
    assert await eventually(lambda: _is_accepted(late, user.token or ""))


async def _is_accepted(live: Live, token: str) -> bool:
    return (await live.ask("auth", token=token)).status == 200


async def test_an_address_has_few_connections_without_a_user(database: str) -> None:
    """The next handshake is refused with 429; a connection that names its user makes room."""
    exchange = await Exchange(database).start(strangers_of_address_max=3, strangers_max=4)
    user = await exchange.user()
    strangers = [await Live.open(exchange) for _ in range(3)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Live.open(exchange)
    assert refused.value.status == 429
    assert (await strangers[0].ask("auth", token=user.token)).status == 200
    await Live.open(exchange)
    await exchange.stop()


async def test_strangers_are_bounded_over_all_addresses(database: str) -> None:
    """503 OVERLOADED."""
    exchange = await Exchange(database).start(strangers_max=2)
    strangers = [await Live.open(exchange) for _ in range(2)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Live.open(exchange)
    assert refused.value.status == 503
    assert (await strangers[0].ask("ping")).status == 200
    await exchange.stop()


async def test_strangers_are_limited_by_address(database: str) -> None:
    """Their requests, and handshakes, count against the budget of public calls."""
    exchange = await Exchange(database).start(rates={Budget.PUBLIC: Rate(3, 3_600)})
    live = await Live.open(exchange)
    assert [(await live.ask("ping")).status for _ in range(3)] == [200, 200, 429]
    await exchange.stop()


async def test_a_client_that_answers_no_ping_is_closed(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two unanswered pings; one that answers stays."""
    monkeypatch.setattr(session_module, "PING_EVERY_S", 0.05)
    silent, alive = await Live.open(exchange, autoping=False), await Live.open(exchange)
    pings = 0
    while (message := await silent.socket.receive(10)).type is aiohttp.WSMsgType.PING:
        pings += 1
        with pytest.raises(TimeoutError):
            await alive.socket.receive(0.01)  # which answers pings
    assert pings == 2
    assert json.loads(message.data) == {"op": "goodbye", "code": 1011, "reason": "silent"}
    assert await silent.until_closed() == 1011
    assert (await alive.ask("ping")).status == 200


async def test_goodbye_comes_before_the_process_ends(database: str) -> None:
    """On SIGTERM: what was accepted is answered, then `goodbye` and 1012; the process does not wait for clients that hang."""
    exchange = await Exchange(database).start()
    user = await exchange.user()
    live = await Live.open(exchange, user)
    hanging = await Live.open(exchange)  # which reads nothing any more
    sent = [await live.send("order.place", **BID) for _ in range(20)]
    assert await live.receive()
    stopping = asyncio.create_task(exchange.server.stop())
    assert await live.until_closed() == 1012
    assert [frame["op"] for frame in live.others] == ["goodbye"]
    assert {live.results[number]["status"] for number in sent} == {202}
    await asyncio.wait_for(stopping, 10)
    assert not hanging.others
    await exchange.session.close()


async def test_no_handshake_while_the_process_stops(database: str) -> None:
    """503: connect again, to another process."""
    exchange = await Exchange(database).start(readiness_grace_s=1.0)
    stopping = asyncio.create_task(exchange.server.stop())
    await asyncio.sleep(0)
    assert exchange.services.lifecycle.is_stopping
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Live.open(exchange)
    assert refused.value.status == 503
    await stopping
    await exchange.session.close()


async def test_requests_are_counted_and_logged(exchange: Exchange) -> None:
    """By operation, under the method WS; connections by a gauge, which ends where it began."""
    user = await exchange.user()
    live = await Live.open(exchange, user)
    await live.ask("order.place", **BID)
    await live.ask("order.place", **(BID | {"price": "1"}))
    text = (await user.get("/metrics")).body
    assert 'perpetua_requests_total{method="WS",route="order.place",status="202"}' in text
    assert 'perpetua_requests_total{method="WS",route="order.place",status="400"}' in text
    assert "perpetua_live_connections 1.0" in text
    await live.socket.close()
    await eventually(lambda: _without_connections(exchange))


async def _without_connections(exchange: Exchange) -> bool:
    return "perpetua_live_connections 0.0" in (await exchange.anonymous().get("/metrics")).body
