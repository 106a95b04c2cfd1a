"""Clients that mean harm: they read nothing, vanish, send garbage or too much. They are refused or closed, and orders go on."""

import asyncio
import gc
import json
from typing import Any

import pytest

from api.live.metrics import LIVE_CLOSED
from api.live.session import session as session_module
from api.live.session.session import Session
from tests.api.exchange import Client, Exchange
from tests.api.live.client import Live
from tests.api.live.live_exchange import LiveExchange, frames, live_exchange, subscribed
from tests.api.live.raw_socket import CLOSE, TEXT, RawSocket
from tests.conftest import Broker
from tests.eventually import eventually

SIZES = [pytest.param(1, id="small"), pytest.param(25, id="full", marks=pytest.mark.chaos)]


@pytest.mark.parametrize("times", SIZES)
async def test_orders_go_on_and_everything_is_given_back(
    broker: Broker, database: str, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Full size: 500 that read nothing, 1,000 that subscribe and vanish, 250 that send garbage, 250 large frames, 10,000 subscriptions."""
    monkeypatch.setattr(session_module, "PING_EVERY_S", 0.5)
    async with live_exchange(broker, database, strangers_of_address_max=10_000) as exchange:
        alice = await exchange.user("1000000")
        orders = await Live.open(exchange, alice)
        assert (await orders.ask("ping")).status == 200
        statuses: list[int] = []
        trading = asyncio.create_task(_trade(exchange, orders, statuses))
        silent = [await _silent(exchange) for _ in range(20 * times)]
        for _ in range(40 * times):
            await _vanishing(exchange)
        await asyncio.gather(*(_garbage(exchange) for _ in range(10 * times)))
        await asyncio.gather(*(_too_large(exchange) for _ in range(times)))
        await _many_subscriptions(exchange, 400 * times)
        await asyncio.gather(*(_is_closed(raw) for raw in silent))
        trading.cancel()
        assert set(statuses) == {202}
        await orders.socket.close()
        await eventually(lambda: _sessions(exchange) == 0)
        left = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in left if name.startswith(("write to", "close a", "feed of"))]
        assert exchange.services.live is not None
        assert exchange.services.live.accounts.is_idle
        assert (await (await Live.open(exchange, alice)).ask("ping")).status == 200


async def _trade(exchange: LiveExchange, orders: Live, statuses: list[int]) -> None:
    """Place orders, one after another, for as long as the others do harm."""
    order = {"marketId": exchange.first, "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "60000"}
    while True:
        placed = await orders.ask("order.place", **order)
        statuses.append(placed.status)
        assert (await orders.ask("order.cancel", orderId=placed.body["orderId"])).status == 202
        await exchange.step()


def _sessions(exchange: LiveExchange) -> int:
    """Those of other tests may be in a traceback that is kept for the report."""
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, Session)]
    return sum(each.services is exchange.services for each in found)


async def _silent(exchange: LiveExchange) -> RawSocket:
    """Subscribes to what it never reads; sends no pong."""
    raw = await RawSocket.open(exchange)
    await raw.send("subscribe", channel="trades", market=exchange.first)
    return raw


async def _is_closed(raw: RawSocket) -> None:
    """By the end it has been closed."""
    await asyncio.sleep(2.0)
    received = await raw.frames()
    assert received[-1].opcode == CLOSE
    assert received[-1].code == 1011


async def _vanishing(exchange: LiveExchange) -> None:
    raw = await RawSocket.open(exchange)
    for channel in ("trades", "book", "bbo"):
        await raw.send("subscribe", channel=channel, market=exchange.first)
    raw.vanish()


async def _garbage(exchange: Exchange) -> None:
    """Texts that are no requests, and bytes that are no frames: an error each and 1008, or the end at once."""
    raw = await RawSocket.open(exchange)
    for _ in range(10):
        await raw.send_frame(b"\x00garbage")
    assert (await raw.frames())[-1].code == 1008
    for nonsense in (b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n"):
        raw = await RawSocket.open(exchange)
        await raw.send_bytes(nonsense)
        assert (await raw.frames())[-1].code == 1002
    raw = await RawSocket.open(exchange)
    await raw.send_frame(b'{"op":"ping"}', is_masked=False)
    assert (await raw.frames())[-1].code == 1002


async def _too_large(exchange: Exchange) -> None:
    """65 KiB: an error each; the tenth ends it."""
    raw = await RawSocket.open(exchange)
    for _ in range(10):
        await raw.send_frame(b'{"op":"ping","x":"' + b"x" * 65 * 1024 + b'"}')
    received = await raw.frames()
    texts = [json.loads(frame.payload) for frame in received if frame.opcode == TEXT]
    assert [text.get("code") for text in texts] == ["PAYLOAD_TOO_LARGE"] * 10 + [1008]
    assert received[-1].code == 1008


async def _many_subscriptions(exchange: LiveExchange, count: int) -> None:
    """At most 200 of a connection are accepted; there are 13 different ones of two markets, so the rest are repetitions."""
    live = await Live.open(exchange)
    channels: list[dict[str, Any]] = [{"channel": "book", "depth": depth} for depth in (5, 10, 25, 50)] + [
        {"channel": channel} for channel in ("trades", "bbo", "mark", "status", "ticker")
    ]
    asked = [channels[number % len(channels)] for number in range(count)]
    statuses = [(await live.ask("subscribe", market=exchange.first, **each)).status for each in asked]
    assert statuses[: len(channels)] == [200] * len(channels)
    assert set(statuses[len(channels) :]) == {400}
    await live.socket.close()


async def test_a_connection_has_200_subscriptions(
    broker: Broker, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is refused with 429, until one has ended."""
    monkeypatch.setattr("api.live.session.subscriptions.SUBSCRIPTIONS_MAX", 2)
    async with live_exchange(broker, database) as exchange:
        live = await Live.open(exchange)
        for channel, status in (("trades", 200), ("bbo", 200), ("mark", 429)):
            answer = await live.ask("subscribe", channel=channel, market=exchange.first)
            assert answer.status == status
        assert answer.details == {"limit": "subscriptions", "max": 2}
        assert (await live.ask("unsubscribe", channel="bbo", market=exchange.first)).status == 200
        assert (await live.ask("subscribe", channel="mark", market=exchange.first)).status == 200


async def test_who_does_not_read_is_closed_with_4008_and_resumes(broker: Broker, database: str) -> None:
    """What waits is dropped; `resume` says from where: everything since is told, once."""
    async with live_exchange(broker, database, unread_bytes_max=32 * 1024) as exchange:
        alice, bob = await exchange.user("1000000"), await exchange.user("1000000")
        raw = await RawSocket.open(exchange)
        await raw.send("auth", token=alice.token)
        await raw.send("subscribe", channel="fills")
        reading = await Live.open(exchange, alice)
        await subscribed(reading, "fills")
        await _trades(exchange, alice, bob, 3)
        told = await frames(reading, 3)
        for number in range(40_000):
            try:
                await raw.send("ping", id=f"{number:064}")
            except ConnectionError:
                break
            if number % 100 == 0 and "slow" in closed_for():
                break
        await _trades(exchange, alice, bob, 2)
        told += await frames(reading, 2)
        received = await raw.frames()
        texts = [json.loads(frame.payload) for frame in received if frame.opcode == TEXT]
        goodbye = texts[-1]
        assert (goodbye["op"], goodbye["code"], received[-1].code) == ("goodbye", 4008, 4008)
        (resume,) = goodbye["resume"]
        shown = [text for text in texts if text["op"] == "fill"]
        again = await Live.open(exchange, alice)
        resumed = (await subscribed(again, resume["channel"], **{"from": resume["from"]})).of("fill")
        ids = [frame["data"]["tradeId"] for frame in [*shown, *resumed]]
        assert ids == [frame["data"]["tradeId"] for frame in told]


def closed_for() -> set[str]:
    """The reasons for which the exchange has closed connections, in this run."""
    return {
        sample.labels["reason"]
        for metric in LIVE_CLOSED.collect()
        for sample in metric.samples
        if sample.value and sample.name.endswith("_total")
    }


async def _trades(exchange: LiveExchange, alice: Client, bob: Client, count: int) -> None:
    for _ in range(count):
        await exchange.place(alice, quantity="0.001")
        await exchange.place(bob, side="SELL", quantity="0.001")
    await exchange.step()
