"""The owner of a market, and for how long it had none."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from app.operator import market_states
from app.settings import load_settings
from store.queries.operations.progress import read_persisted
from tests.eventually import eventually
from tests.store.account_builder import session_to
from tests.system.parts import Parts

LOOK_EVERY_S = 0.02
OWNER_WITHIN_S = 60.0


class Pauses:
    """The longest time that each market made no progress while clients traded."""

    def __init__(self) -> None:
        self.longest_s: dict[str, float] = {}
        self._moved: dict[str, tuple[int, float]] = {}

    def look(self, persisted: Mapping[str, int]) -> None:
        """Note how far the markets are."""
        now = time.monotonic()
        for market, seq in persisted.items():
            known, since = self._moved.get(market, (seq, now))
            self.longest_s[market] = max(self.longest_s.get(market, 0.0), now - since)
            self._moved[market] = (seq, now if seq != known or market not in self._moved else since)

    def longest(self, markets: Sequence[str]) -> float:
        """The longest of these markets, and start again."""
        longest = max(self.longest_s.get(market, 0.0) for market in markets)
        self.longest_s.clear()
        return longest


async def until_owned(parts: Parts, *markets: str) -> dict[str, str]:
    """Wait until each market has one owner; who it is, as `status` reads it."""
    settings = load_settings({"DATABASE_URL": parts.dsn})

    async def owners() -> dict[str, str]:
        shown = {row["market"]: row["owner"] for row in await market_states(settings)}
        return shown if all("," not in (shown[market] or ",") for market in markets) else {}

    return await eventually(owners, OWNER_WITHIN_S, every_s=0.2)


async def until_owners_are(parts: Parts, wanted: dict[str, str]) -> None:
    """Wait until `status` shows these owners."""

    async def are() -> bool:
        return wanted.items() <= (await until_owned(parts, *wanted)).items()

    await eventually(are, OWNER_WITHIN_S, every_s=0.2)


def place(process: Any) -> str:
    """A process as `status` names it."""
    return f"{os.uname().nodename}:{process.pid}"


@asynccontextmanager
async def watched(parts: Parts) -> AsyncIterator[Pauses]:
    """Look every 20 ms how far each market is."""
    pauses = Pauses()
    async with session_to(parts.dsn) as session:
        looking = asyncio.create_task(_look(session, pauses))
        try:
            yield pauses
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def _look(session: Any, pauses: Pauses) -> None:
    while True:
        pauses.look(await read_persisted(session))
        await asyncio.sleep(LOOK_EVERY_S)
