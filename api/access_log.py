"""The access log: one line of JSON for each request, with its id, route, status, duration and user.

    {"event": "request", "request": "req-…-1f", "method": "POST", "route": "/orders", "status": 202, "ms": 3.14, "user": "57", …}

Never a path as it was sent, a query, a body or an address: no client decides what is in a line. An order costs one formatted
line; a thread of its own writes what has come together, so a slow disk or a full pipe delays nobody. Lines that cannot be
written are left out; a line of its own counts them as soon as there is room (`left_out`).
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from stat import S_ISREG
from time import time

from aiohttp import web

from api.access.access_logged import AccessLogged

WRITTEN_EVERY_S = 0.2
STOP_WITHIN_S = 2.0
LINES_WAITING_MAX = 20_000
FILE_BYTES_MAX = 64 * 2**20
PIPE_BYTES = 4_096
"""A longer write to a pipe can be mixed with another one (PIPE_BUF of Linux)."""

CALLER = web.RequestKey("caller", int)
"""The user whom the guard or a login has recognized."""
IS_PUBLIC_READ = web.RequestKey("is_public_read", bool)
"""Set for market data, health checks and documents: reads that need no token."""


log = logging.getLogger(__name__)


class AccessLog:
    """Lines for a file, or for standard error. A file that would grow beyond 64 MiB is renamed to `.1`.

    The event loop hands the lines of 0.2 s together to the thread that writes them.
    """

    def __init__(self, logged: AccessLogged = AccessLogged.OFF, path: Path | None = None) -> None:
        self.is_on = logged is not AccessLogged.OFF
        self._logs_public_reads = logged is AccessLogged.ALL
        self._writer = _Writer(path)
        self._lines: list[str] = []
        self._second, self._moment = 0, ""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to write."""
        if self.is_on:
            self._writer.start()
            self._hand_over_again_and_again()

    async def stop(self) -> None:
        """Write the rest; give up on a reader that takes nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._writer.write(self._lines)
            await asyncio.to_thread(self._writer.end, STOP_WITHIN_S)

    @property
    def lost(self) -> int:
        """Lines that were left out so far."""
        return self._writer.lost

    @property
    def is_writing(self) -> bool:
        """Whether its thread runs."""
        return self._writer.is_alive()

    def add_request(
        self, request: web.Request, request_id: str, route: tuple[str, str], status: int, ms: float
    ) -> None:
        """Log the answer to a request, unless it is a public read and these are not logged."""
        if self._logs_public_reads or IS_PUBLIC_READ not in request:
            self.add(request_id, route, status, ms, request.get(CALLER))

    def add(self, request_id: str, route: tuple[str, str], status: int, ms: float, user: int | None) -> None:
        """Log an answer; `route` is a method and the template of a path."""
        if not self.is_on:
            return
        if len(self._lines) >= LINES_WAITING_MAX:
            self._writer.refused += 1
            return
        now = time()
        second = int(now)
        if second != self._second:
            self._second, self._moment = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        caller = "null" if user is None else f'"{user}"'
        self._lines.append(
            f'{{"event": "request", "request": "{request_id}", "method": "{route[0]}", "route": "{route[1]}",'
            f' "status": {status}, "ms": {ms:.2f}, "user": {caller}, "level": "info",'
            f' "logger": "access", "timestamp": "{self._moment}.{int((now - second) * 1_000):03d}Z"}}\n'
        )

    def _hand_over_again_and_again(self) -> None:
        self._hand_over()
        self._timer = asyncio.get_running_loop().call_later(WRITTEN_EVERY_S, self._hand_over_again_and_again)

    def _hand_over(self) -> None:
        """Give the lines to the thread, unless it still has others: then they wait."""
        if self._lines and not self._writer.is_busy:
            lines, self._lines = self._lines, []
            self._writer.write(lines)


class _Writer(threading.Thread):
    """Writes one batch of lines after the other."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(name="access log", daemon=True)
        self.refused = 0  # by the event loop: too many waited
        self._unwritten = 0  # by this thread
        self.is_busy = False
        self._path = path
        self._batches: SimpleQueue[list[str] | None] = SimpleQueue()

    @property
    def lost(self) -> int:
        """Lines that were left out so far."""
        return self.refused + self._unwritten

    def write(self, lines: list[str]) -> None:
        """Write these lines soon."""
        self.is_busy = True
        self._batches.put(lines)

    def end(self, within_s: float) -> None:
        """Write what is waiting, then end."""
        self._batches.put(None)
        self.join(within_s)

    def run(self) -> None:
        """What the thread does."""
        is_failing, reported = False, 0
        while (lines := self._batches.get()) is not None:
            lost = self.lost
            try:
                self._write("".join([*_left_out(lost - reported), *lines]).encode())
                is_failing, reported = False, lost
            except (OSError, ValueError) as error:  # a full disk or a closed stream does not end the API
                self._unwritten += len(lines)
                if not is_failing:
                    log.error("the access log is not written: %s", error)
                is_failing = True
            self.is_busy = False

    def _write(self, lines: bytes) -> None:
        if self._path is not None:
            _append(self._path, lines)
            return
        file = sys.stderr.fileno()
        for block in [lines] if S_ISREG(os.fstat(file).st_mode) else _blocks(lines):
            _write_all(file, block)


ACCESS = web.AppKey("ACCESS", AccessLog)


def _left_out(count: int) -> list[str]:
    """A line about those that could not be written; nothing without any."""
    known = '"level": "warning", "logger": "access", "timestamp"'
    return (
        [f'{{"event": "left out", "left_out": {count}, {known}: "{datetime.now(UTC).isoformat()}"}}\n'] if count else []
    )


def _blocks(lines: bytes) -> Iterator[bytes]:
    """Whole lines, as many at a time as a pipe takes in one piece."""
    start = 0
    while start < len(lines):
        end = lines.rfind(b"\n", start, start + PIPE_BYTES) + 1
        end = end if end > start else start + PIPE_BYTES
        yield lines[start:end]
        start = end


def _append(path: Path, block: bytes) -> None:
    if path.exists() and path.stat().st_size + len(block) > FILE_BYTES_MAX:
        path.replace(path.with_name(path.name + ".1"))
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _write_all(file, block)
    finally:
        os.close(file)


def _write_all(file: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(file, rest) :]
