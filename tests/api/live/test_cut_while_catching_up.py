"""A connection that is cut before `current`: the last cursor is good all the same."""

from typing import Any

import pytest

from tests.api.exchange import Client
from tests.api.live.client import Live
from tests.api.live.live_exchange import LiveExchange, Told, frames, live_exchange, subscribed
from tests.conftest import Broker

KEYS = {"orders": "orderId", "fills": "tradeId"}


@pytest.mark.parametrize("channel", ["orders", "positions", "fills", "balances"])
async def test_each_cursor_before_current_continues_where_it_was_cut(
    broker: Broker, database: str, channel: str
) -> None:
    """Of a first subscription and of a resumed one: what came until any of its frames, and what follows its cursor, is everything."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("1000000"), await exchange.user("1000000")
        await _trade(exchange, alice, bob)
        live = await Live.open(exchange, alice)
        first = await subscribed(live, channel)
        await _each_prefix_continues(exchange, alice, channel, first)
        await _trade(exchange, alice, bob)
        changed = await subscribed(await Live.open(exchange, alice), channel, **{"from": first.frames[-1]["cursor"]})
        await _each_prefix_continues(exchange, alice, channel, changed)


@pytest.mark.parametrize("channel", ["orders", "positions", "fills"])
async def test_each_cursor_of_what_happens_continues_where_it_was_cut(
    broker: Broker, database: str, channel: str
) -> None:
    """One command ends several orders; positions of two markets change together."""
    async with live_exchange(broker, database) as exchange:
        alice, bob = await exchange.user("1000000"), await exchange.user("1000000")
        for market in (exchange.first, exchange.second) * 3:
            await exchange.place(alice, marketId=market, quantity="0.1")
        await exchange.step()
        live = await Live.open(exchange, alice)
        told = await subscribed(live, channel)
        for market in (exchange.first, exchange.second):
            await exchange.place(bob, marketId=market, side="SELL", quantity="0.3")
        await exchange.step()
        wanted = {"orders": 6, "fills": 6, "positions": 2}[channel]
        await _each_prefix_continues(exchange, alice, channel, Told([*told.frames, *await frames(live, wanted)]))


async def _each_prefix_continues(exchange: LiveExchange, alice: Client, channel: str, whole: Told) -> None:
    for number, last in enumerate(whole.frames, 1):
        live = await Live.open(exchange, alice)
        resumed = await subscribed(live, channel, **{"from": last["cursor"]})
        assert _state(channel, [*whole.frames[:number], *resumed.frames]) == _state(channel, whole.frames), number
        if channel == "fills":
            told = [frame["data"]["tradeId"] for frame in [*whole.frames[:number], *resumed.frames] if "data" in frame]
            assert len(told) == len(set(told))
        await live.socket.close()


def _state(channel: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    """The latest of each order, market or fill."""
    shown = [frame for frame in told if "data" in frame]
    names = [
        frame["market"] if channel == "positions" else (frame["data"] or {}).get(KEYS.get(channel)) for frame in shown
    ]
    return {name: frame["data"] for name, frame in zip(names, shown, strict=True)}


async def _trade(exchange: LiveExchange, alice: Client, bob: Client) -> None:
    """Orders of Alice in two markets that rest, trade in part, and end."""
    for market in (exchange.first, exchange.second, exchange.first):
        await exchange.place(alice, marketId=market, quantity="0.3")
        ended = await exchange.place(alice, marketId=market, quantity="0.1", price="59000")
        await exchange.step()
        await exchange.place(bob, marketId=market, side="SELL", quantity="0.1")
        await alice.cancel(ended.body["orderId"])
        await exchange.step()
