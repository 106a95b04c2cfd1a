"""The yardstick of the market channels: an aiohttp server that sends the same texts to every connection and does nothing else.

`python -m bench.yardsticks.bare_broadcast PORT FILE`: `GET /ws` is a WebSocket; `POST /send` sends each text of the JSON list in FILE to
every connection, the next text when all have it. On uvloop, as ours, and without compression.
"""

import asyncio
import sys
from pathlib import Path

import msgspec
import uvloop
from aiohttp import WSMsgType, web

from app.file_limit import raise_file_limit


class Broadcast:
    """The connections, and what they get."""

    def __init__(self, texts: list[bytes]) -> None:
        self._texts = texts
        self._sockets: list[web.WebSocketResponse] = []

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """One more listener."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._sockets.append(socket)
        async for _ in socket:
            pass
        return socket

    async def send(self, _: web.Request) -> web.Response:
        """Everything to everybody."""
        for text in self._texts:
            for socket in self._sockets:
                await socket.send_frame(text, WSMsgType.TEXT)
        return web.Response()


async def serve(port: int, texts: list[str]) -> None:
    """Serve on 127.0.0.1 until killed."""
    raise_file_limit()
    broadcast = Broadcast([text.encode() for text in texts])
    application = web.Application()
    application.router.add_get("/ws", broadcast.connect)
    application.router.add_post("/send", broadcast.send)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1_024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=list[str])))
