"""A client of others: it knows the socket from its documents alone, follows the market and its account, and trades.

Whatever ends its connection, it connects again and goes on from where it was.
"""

import asyncio
import itertools
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from bench.load.generator import Trader, orders
from tests.system.live.rebuilt import Frame, RebuiltAccount, RebuiltBook, RebuiltTrades
from tests.system.verdict import MARKETS

ACCOUNT = ("orders", "fills", "positions", "balances")
AGAIN_AFTER_S = 0.2
ANSWER_WITHIN_S = 30.0
KEPT_ORDERS = 20
LATER = {(503, "UNAVAILABLE"), (503, "OVERLOADED"), (429, "RATE_LIMITED"), (429, "TOO_MANY_REQUESTS")}
MAY_HAVE_ENDED = LATER | {(409, "ORDER_NOT_OPEN"), (400, "INVALID_ORDER")}


class Lost(Exception):
    """The connection has ended."""


@dataclass(eq=False)
class Follower:
    """One user with one connection at a time."""

    trader: Trader
    url: str
    depth: int
    chance: random.Random
    account: RebuiltAccount = field(default_factory=RebuiltAccount)
    books: dict[str, RebuiltBook] = field(init=False)
    trades: dict[str, RebuiltTrades] = field(default_factory=lambda: {market: RebuiltTrades() for market in MARKETS})
    accepted: dict[str, str] = field(default_factory=dict)
    connections: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    later: Counter[tuple[int, str]] = field(default_factory=Counter)
    is_over: bool = False
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: dict[int, asyncio.Future[Frame]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.books = {market: RebuiltBook(self.depth) for market in MARKETS}

    @property
    def is_current(self) -> bool:
        """Whether every subscription stands."""
        return self._ready.is_set()

    async def follow(self) -> None:
        """Stay connected until cancelled; raise what does not fit."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self._once(session)
                except (aiohttp.ClientError, OSError, Lost, TimeoutError) as error:
                    self.ends[type(error).__name__ if not isinstance(error, Lost) else str(error)] += 1
                await asyncio.sleep(self.chance.random() * AGAIN_AFTER_S)

    async def trade(self, seed: int, pace_s: float) -> None:
        """Place orders until it is over, each until it is answered; cancel and amend some of them."""
        prefix, placed = secrets.token_hex(4), list[str]()
        for number, order in enumerate(orders(seed)):
            if self.is_over:
                return
            placed.append(await self._place({**order, "clientOrderId": f"{prefix}-{number}"}))
            if number % 4 == 0:
                await self._try("order.amend", orderId=placed[-1], quantity=self.chance.choice(("0.004", "0.02")))
            if len(placed) > KEPT_ORDERS:
                await self._try("order.cancel", orderId=placed.pop(0))
            await asyncio.sleep(pace_s * 2 * self.chance.random())

    async def _place(self, order: dict[str, Any]) -> str:
        while True:
            with suppress(Lost):
                await self._ready.wait()
                answer = await self._ask("order.place", **order)
                if answer["status"] in (200, 202):
                    order_id = str(answer["body"]["orderId"])
                    self.accepted[order["clientOrderId"]] = order_id
                    return order_id
                self._is_for_later(answer, LATER)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _try(self, op: str, **fields: Any) -> None:
        """Ask once: the order may have ended, and the answer may get lost."""
        with suppress(Lost):
            answer = await self._ask(op, **fields)
            if answer["status"] != 202:
                self._is_for_later(answer, MAY_HAVE_ENDED)

    async def _once(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{self.url}/ws", max_msg_size=0) as socket:
            self._socket = socket
            self.connections += 1
            beginning = asyncio.create_task(self._begin())
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.ERROR:
                        assert not isinstance(message.data, aiohttp.WebSocketError), message
                        raise Lost(type(message.data).__name__)
                    assert message.type is aiohttp.WSMsgType.TEXT, message
                    self._on_frame(msgspec.json.decode(message.data))
                    if beginning.done():
                        _raise_unless_lost(beginning)
                raise Lost(f"closed {socket.close_code}")
            finally:
                self._ready.clear()
                self._socket = None
                for answer in self._asked.values():
                    if not answer.done():
                        answer.set_exception(Lost("no answer"))
                        answer.exception()
                self._asked.clear()
                beginning.cancel()
                await asyncio.wait([beginning])
                if not beginning.cancelled():
                    _raise_unless_lost(beginning)

    async def _begin(self) -> None:
        """Say who it is, then subscribe to everything, in any order, each from where it was."""
        token = self.trader.headers["Authorization"].removeprefix("Bearer ")
        await self._insist("auth", token=token)
        wanted = [("account", channel) for channel in ACCOUNT]
        wanted += [(kind, market) for kind in ("book", "trades") for market in MARKETS]
        self.chance.shuffle(wanted)
        await asyncio.gather(*(self._subscribe(kind, name) for kind, name in wanted))
        self._ready.set()

    async def _subscribe(self, kind: str, name: str) -> None:
        while True:
            if kind == "account":
                fields: dict[str, Any] = {"channel": name, "from": self.account.cursors.get(name)}
            elif kind == "book":
                self.books[name].begin()
                fields = {"channel": "book", "market": name, "depth": self.depth}
            else:
                fields = {"channel": "trades", "market": name, "from": self.trades[name].next}
            answer = await self._ask("subscribe", **{key: value for key, value in fields.items() if value is not None})
            if answer["status"] == 200:
                return
            self._is_for_later(answer, LATER)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _insist(self, op: str, **fields: Any) -> None:
        while (answer := await self._ask(op, **fields))["status"] != 200:
            self._is_for_later(answer, LATER)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _ask(self, op: str, **fields: Any) -> Frame:
        if self._socket is None:
            raise Lost("not connected")
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_str(msgspec.json.encode({"op": op, "id": number, **fields}).decode())
        except (aiohttp.ClientError, OSError) as error:
            raise Lost("could not be sent") from error
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except TimeoutError as error:
            raise AssertionError(f"no answer within {ANSWER_WITHIN_S} s to {op} {fields}") from error

    def _on_frame(self, frame: Frame) -> None:
        match frame["op"], frame.get("channel"):
            case "result", _:
                if (answer := self._asked.pop(frame["id"], None)) and not answer.done():
                    answer.set_result(frame)
            case "goodbye", _:
                self.ends[f"goodbye {frame['code']}"] += 1
            case "snapshot", "book":
                self.books[frame["market"]].on_snapshot(frame)
            case "update", "book":
                self.books[frame["market"]].on_update(frame)
            case "subscribed", "book":
                pass
            case "subscribed", "trades":
                self.trades[frame["market"]].on_subscribed(frame)
            case "trade", "trades":
                self.trades[frame["market"]].on_trade(frame)
            case _, channel if channel in ACCOUNT and frame["op"] != "unsubscribed":
                self.account.on_frame(frame)
            case _:
                raise AssertionError(f"not expected: {frame}")

    def _is_for_later(self, answer: Frame, allowed: set[tuple[int, str]]) -> None:
        found = (answer["status"], answer["body"]["error"]["code"])
        assert found in allowed, answer
        self.later[found] += 1


def _raise_unless_lost(task: asyncio.Task[None]) -> None:
    error = task.exception()
    if error is not None and not isinstance(error, Lost):
        raise error
