"""A connection to the socket: the handshake, then texts out and whatever the server sends in."""

import asyncio
from collections.abc import Callable

from bench.load.live.frames import PONG, text_frame

STAYS_ALIVE_EVERY_S = 10.0
_HEAD_ENDS = b"\r\n\r\n"
_SWITCHED = b"HTTP/1.1 101"


class Refused(Exception):
    """The server answered the handshake, or a first request, with something else than yes."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer[:500].decode(errors="replace"))
        self.answer = answer


class SocketConnection(asyncio.Protocol):
    """`received` gets the bytes after the handshake, `lost` is called at the end. It sends a pong now and then, asked or not."""

    def __init__(self, received: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self.received, self._lost = received, lost
        self._head: bytes | None = b""
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._beat: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls, host: str, port: int, received: Callable[[bytes], None], lost: Callable[[], None]
    ) -> "SocketConnection":
        """Connect and shake hands. Raises Refused."""
        loop = asyncio.get_running_loop()
        transport, connection = await loop.create_connection(lambda: cls(received, lost), host, port)
        transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YSBiZW5jaCBvZiBvdXJzLg==\r\n\r\n".encode()
        )
        await connection._opened
        connection._stay_alive()
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = transport  # type: ignore[assignment]  # a socket's transport, as it always is

    def send(self, *texts: bytes) -> None:
        """Send texts, in one write."""
        self.write(b"".join(map(text_frame, texts)))

    def write(self, frames: bytes) -> None:
        """Send frames."""
        assert self._transport is not None
        self._transport.write(frames)

    def data_received(self, data: bytes) -> None:
        """Hand on what follows the handshake."""
        if self._head is None:
            self.received(data)
            return
        head, ends, rest = (self._head + data).partition(_HEAD_ENDS)
        if not ends:
            self._head = head
            return
        self._head = None
        if not head.startswith(_SWITCHED):
            self._opened.set_exception(Refused(head + ends + rest))
            return
        self._opened.set_result(None)
        if rest:
            self.received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        if self._beat is not None:
            self._beat.cancel()
        if not self._opened.done():
            self._opened.set_exception(exc or ConnectionResetError())
        self._lost()

    def close(self) -> None:
        """Vanish."""
        if self._transport is not None:
            self._transport.close()

    def _stay_alive(self) -> None:
        self.write(PONG)
        self._beat = asyncio.get_running_loop().call_later(STAYS_ALIVE_EVERY_S, self._stay_alive)
