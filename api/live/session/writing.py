"""Writes what waits for a connection: many frames at a time, and only as fast as the client reads.

A frame of a server is its length and its bytes (RFC 6455, section 5.2: neither masked nor compressed), so the texts that
many connections share are written as they are.
"""

import asyncio

from aiohttp import web

from api.live.metrics import LIVE_MESSAGES
from api.live.outgoing import Outgoing
from api.live.session.write_turns import WriteTurns

WRITE_BYTES = 64 * 1024
"""Handed to the transport at a time."""
_TEXT = 0x81
_PING = b"\x89\x00"
_SHORT_MAX = 125
_MEDIUM_MAX = 0xFFFF


class Writer:
    """Writes the texts of a connection in one task."""

    def __init__(self, request: web.Request, turns: WriteTurns) -> None:
        self._request, self._turns = request, turns
        self._has_asked = False
        self._waiting: asyncio.Future[None] | None = None
        self._empty: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Something waits to be written."""
        if self._waiting is not None and not self._waiting.done() and not self._has_asked:
            self._has_asked = True
            self._turns.ask(self._begin)

    async def write(self, outgoing: Outgoing) -> None:
        """Write what waits, again and again; ends with the connection."""
        while True:
            while outgoing.is_empty:
                _set(self._empty)
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting
            self._write_some(outgoing)
            await self._request.writer.drain()

    def _begin(self) -> None:
        self._has_asked = False
        _set(self._waiting)

    def _write_some(self, outgoing: Outgoing) -> None:
        """Hand frames that wait to the transport."""
        frames = outgoing.take(WRITE_BYTES)
        self._write_now(b"".join([part for frame in frames for part in (_head(len(frame)), frame)]))
        LIVE_MESSAGES.inc(len(frames))

    async def flushed(self, outgoing: Outgoing) -> None:
        """Wait until everything is handed to the transport."""
        if not outgoing.is_empty:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def write_last(self, frame: bytes) -> None:
        """Write a frame now, whatever waits."""
        self._write_now(_head(len(frame)) + frame)

    def ping(self) -> None:
        """Ask the client for a sign of life."""
        self._write_now(_PING)

    def _write_now(self, message: bytes) -> None:
        transport = self._request.transport
        if transport is not None and not transport.is_closing():
            transport.write(message)


def _head(length: int) -> bytes:
    if length <= _SHORT_MAX:
        return bytes((_TEXT, length))
    if length <= _MEDIUM_MAX:
        return bytes((_TEXT, 126)) + length.to_bytes(2, "big")
    return bytes((_TEXT, 127)) + length.to_bytes(8, "big")


def _set(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)
