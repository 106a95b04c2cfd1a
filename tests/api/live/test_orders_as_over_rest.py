"""Whatever happens to orders, the socket shows each as REST does: random orders of every kind, amends, cancels and fills."""

import asyncio
import random
from typing import Any

import pytest

from tests.api.exchange import Client
from tests.api.live.client import Live
from tests.api.live.live_exchange import LiveExchange, live_exchange, subscribed
from tests.conftest import Broker

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(2, 30))]
KINDS: list[dict[str, Any]] = [
    {},
    {},
    {"timeInForce": "IOC"},
    {"timeInForce": "FOK"},
    {"postOnly": True},
    {"reduceOnly": True},
    {"type": "MARKET", "price": None},
    {"type": "MARKET", "price": None, "maxSlippage": "0.01"},
    {"type": "STOP_MARKET", "price": None, "triggerPrice": "60100", "workingType": "LAST"},
    {"type": "STOP", "triggerPrice": "60050", "workingType": "LAST"},
    {"type": "TAKE_PROFIT_MARKET", "price": None, "triggerPrice": "59900", "workingType": "LAST", "ocoGroup": "g"},
    {"type": "TRAILING_STOP_MARKET", "price": None, "callbackRate": "0.001", "workingType": "LAST"},
    {"type": "STOP_MARKET", "price": None, "quantity": None, "triggerPrice": "59800", "closePosition": True},
    {
        "takeProfit": {"triggerPrice": "60200", "workingType": "LAST"},
        "stopLoss": {"triggerPrice": "59700", "workingType": "LAST"},
    },
]


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_order_is_shown_as_over_rest(broker: Broker, database: str, seed: int) -> None:
    """After each step the last message about every order is what REST shows, and every fill was sent once."""
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    async with live_exchange(broker, database) as exchange:
        users = [await exchange.user("1000000") for _ in range(2)]
        live = await Live.open(exchange, users[0])
        told: dict[str, Any] = {}
        fills: list[Any] = []
        for channel in ("orders", "fills"):
            await subscribed(live, channel)
        for _ in range(15):
            for _ in range(chance.randrange(1, 8)):
                await _act(exchange, chance.choice(users), chance)
            await exchange.step()
            await _until_equal(users[0], live, told, fills)
        assert len({order["status"] for order in told.values()}) > 3
        assert fills


async def _act(exchange: LiveExchange, user: Client, chance: random.Random) -> None:
    """Place an order of any kind, or cancel or amend one; a refusal is as good."""
    live = (await user.get("/orders?status=LIVE")).body["data"]
    choice = chance.random()
    if live and choice < 0.15:
        await user.cancel(chance.choice(live)["orderId"])
    elif live and choice < 0.35:
        terms = {chance.choice(["price", "quantity"]): None}
        terms = {name: _price(chance) if name == "price" else _quantity(chance) for name in terms}
        await user.call("PUT", f"/orders/{chance.choice(live)['orderId']}", terms)
    else:
        usual = {"marketId": exchange.first, "side": chance.choice(["BUY", "SELL"]), "price": _price(chance)}
        await user.order(**usual | {"quantity": _quantity(chance)} | chance.choice(KINDS))


def _price(chance: random.Random) -> str:
    return str(60_000 + 50 * chance.randrange(-1, 2))


def _quantity(chance: random.Random) -> str:
    return f"0.{chance.randrange(1, 9)}"


async def _until_equal(user: Client, live: Live, told: dict[str, Any], fills: list[Any]) -> None:
    """Take messages until they agree with REST; the last comparison says what does not."""
    orders = {order["orderId"]: order for order in (await user.get("/orders?limit=500")).body["data"]}
    own = (await user.get("/fills?limit=500&order=asc")).body["data"]
    try:
        async with asyncio.timeout(5):
            while told != orders or len(fills) < len(own):
                frame = await live.other()
                if frame["op"] == "order":
                    told[frame["data"]["orderId"]] = frame["data"]
                else:
                    fills.append(frame["data"])
    except TimeoutError:
        assert _differences(told, orders) == {}
    assert sorted(fills, key=lambda fill: fill["tradeId"]) == sorted(own, key=lambda fill: fill["tradeId"])


def _differences(told: dict[str, Any], orders: dict[str, Any]) -> dict[str, Any]:
    """By order and field: what was told, and what REST shows. Only an order that a cancel has ended says that one was requested."""
    found = {}
    for order_id in {*told, *orders}:
        ours, theirs = told.get(order_id, {}), orders.get(order_id, {})
        names = {name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)}
        if theirs.get("reason") != "USER":
            names.discard("cancelRequestedAt")
        if names:
            found[order_id] = {name: (ours.get(name), theirs.get(name)) for name in names}
    return found
