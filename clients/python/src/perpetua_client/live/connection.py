"""One connection of the socket: requests and their results, and every other frame to its subscription."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec

from perpetua_client.errors import PerpetuaError
from perpetua_client.live.subscription import PRIVATE, Key
from perpetua_client.messages import AccountMessage, MarketMessage
from perpetua_client.wire import encoded

MESSAGES = (
    "subscribed",
    "snapshot",
    "update",
    "trade",
    "liquidation",
    "bbo",
    "mark",
    "status",
    "ticker",
    "candle",
    "funding",
)
PRIVATE_MESSAGES = ("subscribed", "current", "order", "fill", "position", "balance")
_market_message = msgspec.json.Decoder(MarketMessage)
_account_message = msgspec.json.Decoder(AccountMessage)
_ids = itertools.count(1)

Receiver = Callable[[Key, Any], Awaitable[None]]


class Lost(PerpetuaError):
    """The connection has ended: a request on it has no result."""


class Frame(msgspec.Struct, rename="camel"):
    """What every frame may say of itself."""

    op: str
    channel: str = ""
    market: str | None = None
    depth: int | None = None
    interval: str | None = None
    id: int | None = None
    status: int = 0
    body: msgspec.Raw = msgspec.Raw()
    command_id: str | None = None
    code: str | int = ""

    @property
    def key(self) -> Key:
        """The subscription that it is for."""
        return (
            Key(self.channel) if self.channel in PRIVATE else Key(self.channel, self.market, self.depth, self.interval)
        )


_frame = msgspec.json.Decoder(Frame)


class Connection:
    """An open connection; `number` counts those of a client."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, number: int, timeout_s: float) -> None:
        self.number = number
        self._socket = socket
        self._timeout_s = timeout_s
        self._asked: dict[int, asyncio.Future[Frame]] = {}

    async def ask(self, op: str, fields: dict[str, Any]) -> Frame:
        """Send a request and wait for its result. Raises Lost."""
        number = next(_ids)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            await self._socket.send_str(encoded({"op": op, "id": number, **fields}).decode())
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Lost(repr(error)) from error
        finally:
            self._asked.pop(number, None)

    async def read(self, receive: Receiver, ended: Callable[[Frame], None]) -> None:
        """Hand out frames until the connection ends. `ended` gets what ends a subscription."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            frame = _frame.decode(message.data)
            if frame.op in ("result", "error"):
                self._answered(frame)
            elif frame.op == "unsubscribed":
                ended(frame)
            elif frame.channel in PRIVATE and frame.op in PRIVATE_MESSAGES:
                await receive(frame.key, _account_message.decode(message.data))
            elif frame.op in MESSAGES:
                await receive(frame.key, _market_message.decode(message.data))

    def close(self) -> None:
        """No result will come any more."""
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(Lost(f"closed with {self._socket.close_code}"))

    def _answered(self, frame: Frame) -> None:
        answer = self._asked.get(frame.id or 0)
        if answer is not None and not answer.done():
            answer.set_result(frame)
