"""A recorded source: replays the prices of a file at their recorded pace, or faster.

A line is a price: `offset,price` (CSV) or `{"offsetMs": offset, "price": "price"}` (JSON lines), the offset in whole
milliseconds from the start of the recording, never less than that of the line before; the price a decimal string.
Empty lines, lines that begin with `#`, and the CSV head line `offsetMs,price` are skipped.

Exception
`-- RecordingRefused      a line that is not a price
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from agents.prices.source import Observation, parse_price
from schemas.commands import ReportPrice
from schemas.units import Nanos, Timestamp

CSV_HEAD = "offsetMs,price"
OFFSET_DIGITS_MAX = 13


class RecordingRefused(Exception):
    """A line of a recording is not a price, or goes back in time."""

    def __init__(self, number: int, line: str) -> None:
        super().__init__(f"line {number} is not a price later than the one before it: {line[:80]!r}")
        self.number = number
        self.line = line


class RecordedPrice(NamedTuple):
    """A price (nanos) so many milliseconds after the recording began."""

    offset_ms: int
    price: Nanos


class Recorded:
    """Replays a recording once, `speed` times as fast as it was recorded."""

    def __init__(self, name: str, market: str, recording: Iterable[RecordedPrice], *, speed: int = 1) -> None:
        self.name = name
        self.market = market
        self._recording = tuple(recording)
        self._speed = speed

    async def prices(self) -> AsyncIterator[Observation]:
        """Each price at its recorded time; `observed_at` is that time, even if this loop runs late."""
        began_at, began_s = time.time_ns() // 1_000, time.monotonic()
        for offset_ms, price in self._recording:
            after_us = offset_ms * 1_000 // self._speed
            await asyncio.sleep(max(0.0, began_s + after_us / 1_000_000 - time.monotonic()))
            yield Observation(Timestamp(began_at + after_us), price)


def read_recording(path: Path) -> list[RecordedPrice]:
    """The prices of a file; raises RecordingRefused, and OSError when it cannot be read."""
    return list(parse_recording(path.read_text(encoding="utf-8", errors="replace").splitlines()))


def parse_recording(lines: Iterable[str]) -> Iterator[RecordedPrice]:
    """The prices of these lines; raises RecordingRefused."""
    latest_ms = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#") or text == CSV_HEAD:
            continue
        recorded = _parse_json(text) if text.startswith("{") else _parse_csv(text)
        if recorded is None or recorded.offset_ms < latest_ms:
            raise RecordingRefused(number, line)
        latest_ms = recorded.offset_ms
        yield recorded


def as_commands(source: str, recording: Iterable[RecordedPrice], began_at: Timestamp) -> Iterator[ReportPrice]:
    """The recording as commands from `began_at` on: for a replay that takes the time from commands, not from a clock."""
    for offset_ms, price in recording:
        at = Timestamp(began_at + offset_ms * 1_000)
        yield ReportPrice(at, source, price, observed_at=at)


class _Line(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    offset_ms: str | int
    price: str


def _parse_csv(text: str) -> RecordedPrice | None:
    offset, _, price = text.partition(",")
    return _recorded(offset.strip(), price.strip())


def _parse_json(text: str) -> RecordedPrice | None:
    try:
        line = msgspec.json.decode(text, type=_Line)
    except (msgspec.DecodeError, RecursionError):
        return None
    return _recorded(str(line.offset_ms), line.price)


def _recorded(offset: str, price_text: str) -> RecordedPrice | None:
    price = parse_price(price_text)
    is_offset = offset.isascii() and offset.isdigit() and len(offset) <= OFFSET_DIGITS_MAX
    return RecordedPrice(int(offset), price) if is_offset and price is not None else None
