"""Subscribers: `python -m bench.load.live.audience` reads an Audience on stdin, then does what each further line says.

It prints a line once all are connected. `count` begins to count what is received, `report` prints what that was. Messages of all
but the first connection are counted by how they begin, without being split: a thousand connections are more than Python can decode.
"""

import asyncio
import sys
import time
from functools import partial

import msgspec
import uvloop

from app.file_limit import raise_file_limit
from bench.load.live.connection import Refused, SocketConnection
from bench.load.live.frames import TEXT_OPCODE, BeginsCounted, Frames
from bench.load.live.job import Audience, Heard

CONNECT_AT_ONCE = 32
LINE_BYTES_MAX = 16 * 2**20
_RESULT = b'{"op":"result"'
_OK = b'"status":200'


class _Listener:
    """One connection; `messages` and `bytes` are of what has come since it was told to count."""

    def __init__(self, *, keeps: bool) -> None:
        self.messages = self.bytes = 0
        self.last_at = 0.0
        self.frames: list[bytes] = []
        self.is_lost = False
        self._keeps, self._split = keeps, Frames()
        self._begins = BeginsCounted()
        self._setup = b""
        self._answered: asyncio.Future[None] | None = None
        self._connection: SocketConnection | None = None

    async def begin(self, audience: Audience, requests: list[str]) -> None:
        """Connect, and have each request answered."""
        self._connection = await SocketConnection.open(audience.host, audience.port, self._set_up, self._lost)
        for request in requests:
            self._setup = b""
            self._answered = asyncio.get_running_loop().create_future()
            self._connection.send(request.encode())
            await self._answered
        self._connection.received = self._keep if self._keeps else self._count

    def count(self) -> None:
        """From now on."""
        self.messages = self.bytes = 0
        self.frames.clear()

    def _set_up(self, data: bytes) -> None:
        self._setup += data
        if self._answered is None or self._answered.done() or (at := self._setup.find(_RESULT)) < 0:
            return
        if _OK in self._setup[at : at + 64]:
            self._answered.set_result(None)
        else:
            self._answered.set_exception(Refused(self._setup[at:]))

    def _count(self, data: bytes) -> None:
        self.last_at = time.perf_counter()
        self.messages += self._begins.feed(data)
        self.bytes += len(data)

    def _keep(self, data: bytes) -> None:
        self.last_at = time.perf_counter()
        self.bytes += len(data)
        texts = [payload for opcode, payload in self._split.feed(data) if opcode == TEXT_OPCODE]
        self.messages += len(texts)
        self.frames += texts

    def _lost(self) -> None:
        self.is_lost = True


async def serve(audience: Audience, lines: asyncio.StreamReader) -> None:
    """Connect all, then do what is asked."""
    listeners = [_Listener(keeps=not place) for place in range(len(audience.requests))]
    turn = asyncio.Semaphore(CONNECT_AT_ONCE)

    async def begin(place: int) -> None:
        async with turn:
            await listeners[place].begin(audience, audience.requests[place])

    await asyncio.gather(*map(begin, range(len(listeners))))
    _print(b"connected")
    began = 0.0
    while line := (await lines.readline()).strip():
        if line == b"count":
            began = time.perf_counter()
            for listener in listeners:
                listener.count()
            _print(b"counting")
        else:
            _print(msgspec.json.encode(_heard(listeners, began)))


def _heard(listeners: list[_Listener], began: float) -> Heard:
    messages = [listener.messages for listener in listeners]
    return Heard(
        messages=sum(messages),
        bytes=sum(listener.bytes for listener in listeners),
        seconds=max(listener.last_at for listener in listeners) - began,
        fewest=min(messages),
        most=max(messages),
        lost=sum(listener.is_lost for listener in listeners),
        frames=[frame.decode() for frame in listeners[0].frames],
    )


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """Read the job, then the lines after it."""
    raise_file_limit()
    lines = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(partial(asyncio.StreamReaderProtocol, lines), sys.stdin)
    await serve(msgspec.json.decode(await lines.readline(), type=Audience), lines)


if __name__ == "__main__":
    uvloop.run(main())
