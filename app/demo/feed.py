"""A price feed for the demo: a bounded random walk of each market's index, sent as commands like any other."""

import random
import time

import asyncpg

from schemas.commands import IndexSet
from schemas.units import Nanos, Timestamp
from store.commands import append_command

STEP_PPM = 100  # at most one basis point a second: a lively but harmless market
DRIFT_PPM_MAX = 50_000  # it turns back before it has walked 5 % away from where it began


class Feed:
    """Moves every market's index by a random step, never far from its reference price."""

    def __init__(self, dsn: str, markets: list[str]) -> None:
        self._dsn = dsn
        self._markets = markets
        self._walk = random.Random()  # noqa: S311 - a price to play with, not a secret
        self._drift: dict[str, int] = dict.fromkeys(markets, 0)

    async def move(self) -> None:
        """One step in every market."""
        connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            for market in self._markets:
                await append_command(connection, market, await self._next(connection, market))
        finally:
            await connection.close()

    async def _next(self, connection: asyncpg.Connection, market: str) -> IndexSet:
        drift = self._drift[market] + self._walk.randint(-STEP_PPM, STEP_PPM)
        self._drift[market] = max(-DRIFT_PPM_MAX, min(DRIFT_PPM_MAX, drift))
        reference = await connection.fetchval(
            "SELECT (spec ->> 'referencePrice')::int8 FROM markets WHERE name = $1", market
        )
        index = reference + reference * self._drift[market] // 1_000_000
        return IndexSet(at=Timestamp(time.time_ns() // 1_000), index=Nanos(index))
