"""The market channels in docs/live.md: every subscription is made on a real exchange, and every message is one that it sent."""

import asyncio
import json
import os
import re
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import AdvanceClock
from schemas.live.subscriptions import MarketChannel
from schemas.orders import OrderType, Side, TimeInForce
from schemas.rest.orders import OrderRequest
from schemas.units import Timestamp
from store.command_log.commands import append_command
from store.submission import SubmitOrder
from tests.agents.stream import BEGAN_AT, Stream, stream_on
from tests.agents.test_projector import append, matched
from tests.api.live.channels_scene import Line, Scene, channels_of
from tests.api.live.live_guide import GUIDE
from tests.api.live.test_market_follower import persist
from tests.conftest import Broker

TEXT = GUIDE.read_text()
SETTLES_S = 0.5
"""How long nothing must come before what has come is all: longer than messages are held back."""
_SECTION = re.compile(r"## Market data\n.*?(?=\n## )", re.DOTALL)
_STEP = re.compile(r"<!--(?P<stage>[a-z ]+?)-->|```(?P<kind>market|checksum)\n(?P<lines>.*?)```", re.DOTALL)
_SNAPSHOT = re.compile(r'^< (\{"op": "snapshot".*\})$', re.MULTILINE)


class Play:
    """The section, as it is played."""

    def __init__(self, stream: Stream, scene: Scene) -> None:
        self.stream = stream
        self.scene = scene
        self.line = Line()
        self._shown = 0
        self._logged = 0

    async def played(self, section: str) -> str:
        """The section with what the exchange sends now."""
        parts, end = [], 0
        for step in _STEP.finditer(section):
            parts.append(section[end : step.start()])
            end = step.end()
            if step["stage"]:
                await STAGES[step["stage"]](self)
                parts.append(step[0])
            elif step["kind"] == "checksum":
                parts.append(f"```checksum\n{text_of(self._first_snapshot())}\n```")
            else:
                asked = [line for line in step["lines"].splitlines() if line.startswith("> ")]
                lines = [each for line in asked for each in await self._ask(line)]
                parts.append("```market\n" + "\n".join([*lines, *await self._news()]) + "\n```")
        return "".join([*parts, section[end:]])

    async def place(self, *orders: tuple[Side, str, str, TimeInForce]) -> None:
        """Place orders of one account after the other."""
        for number, (side, quantity, price, time_in_force) in enumerate(orders):
            request = OrderRequest(self.stream.market, side, OrderType.LIMIT, quantity, price, time_in_force)
            await self.stream.submit([SubmitOrder(self.stream.users[number % 2 if side is Side.BUY else 2], request)])
        await self.log()

    async def log(self) -> None:
        """Match and persist what is new."""
        records = await matched(self.stream)
        await append(self.stream, records[self._logged :])
        await persist(self.stream, records)
        self._logged = len(records)

    async def _ask(self, line: str) -> list[str]:
        asked = json.loads(line[2:].replace("BTC-PERP", self.stream.market))
        del asked["op"]
        await self.scene.subscribe(asked.pop("channel"), self.line, **asked)
        return [line, *await self._news()]

    async def _news(self) -> list[str]:
        """What has come since, once nothing more comes."""
        count = -1
        while count != len(self.line.frames):
            count = len(self.line.frames)
            await asyncio.sleep(SETTLES_S)
        fresh, self._shown = self.line.frames[self._shown :], count
        return [f"< {json.dumps(json.loads(frame))}".replace(self.stream.market, "BTC-PERP") for frame in fresh]

    def _first_snapshot(self) -> dict[str, Any]:
        return next(each for each in map(json.loads, self.line.frames) if each["op"] == "snapshot")


def text_of(snapshot: dict[str, Any]) -> str:
    """The text whose CRC-32 a snapshot carries."""
    return ":".join(text for side in ("bids", "asks") for level in snapshot[side][:25] for text in level)


async def _a_book(play: Play) -> None:
    rests = TimeInForce.GTC
    await play.place(
        (Side.BUY, "0.3", "59990", rests), (Side.BUY, "0.1", "59980", rests), (Side.SELL, "0.4", "60010", rests)
    )


async def _a_trade(play: Play) -> None:
    await play.place((Side.BUY, "0.4", "60010", TimeInForce.IOC))


async def _an_interval_ends(play: Play) -> None:
    day_us = 86_400_000_000
    ends = Timestamp((BEGAN_AT // day_us + 1) * day_us)
    await append_command(play.stream.session, play.stream.market, AdvanceClock(ends))
    await play.log()


STAGES: dict[str, Callable[[Play], Awaitable[None]]] = {
    "a book": _a_book,
    "a trade": _a_trade,
    "an interval ends": _an_interval_ends,
}


async def test_every_market_message_in_the_guide_is_the_exchanges_own(
    broker: Broker, database: str, tmp_path: Path
) -> None:
    """After an intended change: `WRITE_GUIDE=1 pytest tests/api/live/test_market_guide.py` writes the current messages."""
    (section,) = _SECTION.findall(TEXT)
    async with stream_on(broker, database, tmp_path) as stream, channels_of(stream) as scene:
        text = await Play(stream, scene).played(section)
    if os.environ.get("WRITE_GUIDE"):
        GUIDE.write_text(TEXT.replace(section, text))
    assert text.splitlines() == section.splitlines()


def test_the_checksum_in_the_guide_is_that_of_the_text_below_it() -> None:
    """The worked example: a client that does as the guide says finds the number of the snapshot."""
    (shown,) = re.findall(r"```checksum\n(.+)\n```", TEXT)
    snapshot = json.loads(_SNAPSHOT.findall(TEXT)[0])
    assert shown == text_of(snapshot)
    assert zlib.crc32(shown.encode()) == snapshot["checksum"]


@pytest.mark.parametrize("channel", MarketChannel)
def test_every_market_channel_is_in_the_guide(channel: MarketChannel) -> None:
    """In the table, and subscribed to."""
    assert re.search(rf"^\| `{channel}` ", TEXT, re.MULTILINE)
    assert f'"op": "subscribe", "channel": "{channel}"' in TEXT
