"""The feed: reports the prices of price sources to the logs of their markets."""

import asyncio
import contextlib
import logging
import time
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from agents.prices.source import Observation, Source
from agents.worker.metrics import PRICES_REPORTED
from agents.worker.service import Service
from schemas.commands import ReportPrice
from schemas.units import Timestamp
from store.command_log.commands import Addressed, append_commands
from store.session.advisory_locks import LockClass, try_locks
from store.session.connect import Connection

GATHER_S = 0.05
"""How long a price waits, so that prices seen at about the same time are reported together."""
TRY_AGAIN_S = 0.5

log = logging.getLogger(__name__)


class SourceKey(NamedTuple):
    """A source by its market and its name. One feed at a time may report it."""

    market: str
    source: str

    @property
    def lock_number(self) -> int:
        """The second key of its advisory lock. If two sources share a key, a second feed cannot report the other one."""
        return zlib.crc32(f"{self.market}/{self.source}".encode()) - 2**31


class PriceFeed(Service):
    """Reports prices of any number of sources, each by one feed at a time; a second feed is its standby.

    Only the newest price of a source counts. While PostgreSQL is down, or the last price of a source is not persisted
    yet, newer prices replace older ones here. So no stale prices queue, however long store, broker or engine are down.
    """

    def __init__(self, dsn: str, sources: Sequence[Source]) -> None:
        super().__init__("prices", dsn)
        self._sources = {SourceKey(source.market, source.name): source for source in sources}
        self._newest: dict[SourceKey, Observation] = {}
        self._reported: dict[SourceKey, int] = {}
        self._held: set[SourceKey] = set()
        self._seen = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Watch the sources from now on, even if the database is unavailable."""
        self._watching = asyncio.create_task(self._watch_all(), name=f"{self.name} sources")
        await super().start()

    async def wait(self) -> None:
        """Wait for an error of watching or reporting and raise it; a source without more prices is no error."""
        if self._watching is not None:
            await asyncio.gather(asyncio.shield(self._watching), super().wait())

    async def stop(self) -> None:
        """Stop; a price in flight may be lost: the next one follows within a second."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await super().stop()

    async def serve(self, session: Connection) -> None:
        """Report the new prices of the sources whose lock this feed holds.

        1. Take the free locks. They end with the session, and the record of earlier reports is cleared with them.
        2. Wait for a new price, or until it is time to try the locks and the waiting prices again.
        3. Report the newest price of each source in one round trip; keep those whose last report is not persisted yet.
        """
        self._held, self._reported = set(), {}
        while True:
            await self._take_locks(session)  # 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._seen.wait(), TRY_AGAIN_S)  # 2
            await asyncio.sleep(GATHER_S)
            self._seen.clear()
            await self._report(session)  # 3

    async def _take_locks(self, session: Connection) -> None:
        wanted = [key for key in self._sources if key not in self._held]
        numbers = await try_locks(session, LockClass.PRICES, [key.lock_number for key in wanted])
        for key in wanted:
            if key.lock_number in numbers:
                self._held.add(key)
                log.info("reporting the prices of %s for %s", key.source, key.market)

    async def _report(self, session: Connection) -> None:
        going = {key: seen for key, seen in self._newest.items() if key in self._held}
        at = Timestamp(time.time_ns() // 1_000)
        commands = [
            Addressed(key.market, ReportPrice(at, key.source, seen.price, seen.observed_at), self._reported.get(key, 0))
            for key, seen in going.items()
        ]
        for key, seq in zip(going, await append_commands(session, commands), strict=True):
            if seq is not None:
                self._reported[key] = seq
                PRICES_REPORTED.labels(*key).inc()
                if self._newest.get(key) is going[key]:
                    del self._newest[key]

    async def _watch_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key, source in self._sources.items():
                group.create_task(self._watch(key, source), name=f"{key.source} of {key.market}")

    async def _watch(self, key: SourceKey, source: Source) -> None:
        async for seen in source.prices():
            self._newest[key] = seen
            self._seen.set()
        log.info("%s of %s has no more prices", key.source, key.market)
