"""Clients that others have written speak with the socket: `websockets` here, aiohttp's everywhere else."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.exchange import Exchange
from tests.api.live.live_exchange import live_exchange
from tests.conftest import Broker


async def _ask(connection: ClientConnection, **request: Any) -> dict[str, Any]:
    await connection.send(json.dumps(request))
    while (answer := json.loads(await connection.recv()))["op"] != "result":
        pass
    return dict(answer)


async def test_websockets_trades_and_listens(broker: Broker, database: str) -> None:
    """It offers compression, which is not taken up; pings in both directions are answered."""
    async with live_exchange(broker, database) as exchange:
        alice = await exchange.user("100000")
        async with connect(f"ws://127.0.0.1:{exchange.port}/ws") as connection:
            assert (await _ask(connection, op="auth", token=alice.token))["status"] == 200
            for channel in ({"channel": "orders"}, {"channel": "book", "market": exchange.first}):
                assert (await _ask(connection, op="subscribe", **channel))["status"] == 200
            order = {"marketId": exchange.first, "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "60000"}
            placed = await _ask(connection, op="order.place", id=7, **order)
            assert (placed["id"], placed["status"]) == (7, 202)
            await exchange.step()
            seen: dict[str, Any] = {}
            while not {"order", "update"} <= set(seen):
                frame = json.loads(await connection.recv())
                seen[frame["op"]] = frame
            assert seen["order"]["data"]["orderId"] == placed["body"]["orderId"]
            assert seen["update"]["bids"] == [["60000", "0.1"]]
            await (await connection.ping())


async def _read_on(connection: ClientConnection) -> None:
    while True:
        await connection.recv()


async def test_websockets_is_closed_as_written(exchange: Exchange) -> None:
    """1008 after ten bad frames, 1009 for a message that is too long, 1012 when the process stops."""
    url = f"ws://127.0.0.1:{exchange.port}/ws"
    for code, frames in ((1008, ["?"] * 10), (1009, ["x" * 300 * 1024])):
        async with connect(url) as connection:
            for frame in frames:
                await connection.send(frame)
            with pytest.raises(ConnectionClosed):
                await _read_on(connection)
            assert connection.close_code == code
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, origin="https://evil.example")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


async def test_websockets_hears_the_goodbye(database: str) -> None:
    """And closes in turn."""
    exchange = await Exchange(database).start()
    async with connect(f"ws://127.0.0.1:{exchange.port}/ws") as connection:
        assert (await _ask(connection, op="ping"))["status"] == 200
        stopping = asyncio.create_task(exchange.server.stop())
        assert json.loads(await connection.recv()) == {"op": "goodbye", "code": 1012, "reason": "stopping"}
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1012
    await stopping
    await exchange.session.close()
