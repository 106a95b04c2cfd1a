"""A client that speaks the WebSocket protocol by hand, so that it can do what no library does: read nothing, send garbage, vanish."""

import asyncio
import json
import os
import socket
import struct
from typing import Any, NamedTuple, Self

from tests.api.exchange import Exchange

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FINAL = 0x80


class Frame(NamedTuple):
    """What the server has sent."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of a close frame."""
        return int(struct.unpack("!H", self.payload[:2])[0])


class RawSocket:
    """A connection with a small receive buffer; nothing is read unless asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._read = b""

    @classmethod
    async def open(cls, exchange: Exchange) -> Self:
        """Connect, and shake hands."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.setblocking(False)
        raw = cls(connection)
        await raw._loop.sock_connect(connection, ("127.0.0.1", exchange.port))
        head = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        await raw.send_bytes(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
        while b"\r\n\r\n" not in raw._read:
            raw._read += await raw._some()
        head_end = raw._read.index(b"\r\n\r\n") + 4
        assert raw._read.startswith(b"HTTP/1.1 101"), raw._read
        raw._read = raw._read[head_end:]
        return raw

    async def send(self, op: str, **fields: Any) -> None:
        """Send a request."""
        await self.send_frame(json.dumps({"op": op, **fields}).encode())

    async def send_frame(self, payload: bytes, first_byte: int = FINAL | TEXT, *, is_masked: bool = True) -> None:
        """Send a frame, masked as a client must. The first byte has FIN, the reserved bits and the opcode."""
        await self.send_bytes(framed(payload, first_byte, is_masked=is_masked))

    def half_close(self) -> None:
        """Send no more, and go on reading."""
        self._connection.shutdown(socket.SHUT_WR)

    async def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        await self._loop.sock_sendall(self._connection, data)

    async def frames(self) -> list[Frame]:
        """Read to the end."""
        while True:
            try:
                some = await asyncio.wait_for(self._some(), 10)
            except ConnectionError:
                break
            if not some:
                break
            self._read += some
        return list(self._parsed())

    def vanish(self) -> None:
        """End with a reset, without a word."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    async def _some(self) -> bytes:
        return await self._loop.sock_recv(self._connection, 65_536)

    def _parsed(self) -> Any:
        rest = self._read
        while len(rest) >= 2:
            length, start = rest[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(rest[2:4], "big"), 4
            elif length == 127:
                length, start = int.from_bytes(rest[2:10], "big"), 10
            yield Frame(rest[0] & 0x0F, rest[start : start + length])
            rest = rest[start + length :]


def framed(payload: bytes, first_byte: int, *, is_masked: bool) -> bytes:
    """A frame as it is sent."""
    size, masked = len(payload), 0x80 if is_masked else 0
    if size < 126:
        head = bytes((first_byte, masked | size))
    elif size < 65_536:
        head = bytes((first_byte, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first_byte, masked | 127)) + size.to_bytes(8, "big")
    if not is_masked:
        return head + payload
    mask = os.urandom(4)
    key = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
