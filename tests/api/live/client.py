"""A client of the socket, and what it has received."""

import asyncio
import itertools
import json
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from tests.api.exchange import Client, Exchange, Reply

WITHIN_S = 10.0
_ids = itertools.count(1)


@dataclass
class Live:
    """One connection; results are kept by id, everything else in order."""

    socket: aiohttp.ClientWebSocketResponse
    others: list[dict[str, Any]] = field(default_factory=list)
    results: dict[Any, dict[str, Any]] = field(default_factory=dict)
    close_code: int | None = None

    @classmethod
    async def open(cls, exchange: Exchange, user: Client | None = None, **options: Any) -> Self:
        """Connect; as this user, if one is given."""
        url = f"ws://127.0.0.1:{exchange.port}/ws"
        live = cls(await exchange.session.ws_connect(url, **{"max_msg_size": 0, **options}))
        if user is not None:
            assert (await live.ask("auth", token=user.token)).status == 200
        return live

    async def send(self, op: str, **fields: Any) -> int:
        """Send a request; its id."""
        number = next(_ids)
        await self.socket.send_str(json.dumps({"op": op, "id": number, **fields}))
        return number

    async def ask(self, op: str, **fields: Any) -> Reply:
        """Send a request and wait for its result."""
        return await self.result(await self.send(op, **fields))

    async def result(self, number: Any) -> Reply:
        """The result of a request."""
        while number not in self.results:
            assert await self.receive(), f"closed with {self.close_code}"
        result = self.results.pop(number)
        assert result["op"] == "result"
        return Reply(result["status"], {"X-Command-Id": result.get("commandId")}, result["body"])

    async def other(self) -> dict[str, Any]:
        """The next frame that is no result."""
        while not self.others:
            assert await self.receive(), f"closed with {self.close_code}"
        return self.others.pop(0)

    async def next_frame(self) -> dict[str, Any]:
        """The next frame, whatever it is."""
        assert await self.receive(), f"closed with {self.close_code}"
        return self.results.popitem()[1] if self.results else self.others.pop()

    async def receive(self) -> bool:
        """Take one frame; false when the connection is closed."""
        message = await self.socket.receive(WITHIN_S)
        if message.type is not aiohttp.WSMsgType.TEXT:
            self.close_code = self.socket.close_code
            return False
        frame = json.loads(message.data)
        if frame["op"] == "result":
            assert frame.get("id") not in self.results, "one result a request"
            self.results[frame.get("id")] = frame
        else:
            self.others.append(frame)
        return True

    async def until_closed(self) -> int | None:
        """Read to the end; the close code."""
        while await self.receive():
            pass
        return self.close_code

    async def cut(self) -> None:
        """Lose the network: no close frame is sent."""
        transport = self.socket._response.connection.transport  # type: ignore[union-attr]
        transport.abort()  # type: ignore[union-attr]
        await asyncio.sleep(0)
