"""The feed: reports the prices of price sources to the logs of their markets."""

import asyncio
import contextlib
import logging
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agents.prices.source import Observation, Source
from agents.worker.metrics import PRICES_REPORTED
from agents.worker.service import Service
from schemas.commands import ReportPrice, ReportPrices, SourcePrice
from schemas.market import RULES_THIRD
from schemas.units import SECOND_US, Timestamp
from store.markets.backlog import BACKLOG_AGE_MAX_S
from store.markets.price_sources import AddressedReport, IndexSources, append_reports, read_index_sources
from store.session.advisory_locks import LockClass, try_locks
from store.session.checked_clock import machine_time
from store.session.connect import Connection

GATHER_S = 0.05
"""How long a price waits, so that prices seen at about the same time are reported together."""
LOOK_EVERY_S = 1.0
"""How often the feed tries the locks that others hold, and reads the ages of its sources."""
TRY_AGAIN_MIN_S, TRY_AGAIN_MAX_S = 0.05, 0.5
REFRESH_MAX_US = int(BACKLOG_AGE_MAX_S / 2 * SECOND_US)
"""A mark that no report has confirmed for twice this time is too old for new risk, whatever the ages of the sources."""

log = logging.getLogger(__name__)


class SourceKey(NamedTuple):
    """A source by its market and its name. One feed at a time may report it."""

    market: str
    source: str

    @property
    def lock_number(self) -> int:
        """The second key of its advisory lock. If two sources share a key, a second feed cannot report the other one."""
        return zlib.crc32(f"{self.market}/{self.source}".encode()) - 2**31


class Reported(NamedTuple):
    """The last report of a source, and how old its price may become before it is reported again; None: of any age."""

    seen: Observation
    refresh_us: int | None


class PriceFeed(Service):
    """Reports prices of any number of sources, each by one feed at a time; a second feed is its standby.

    A price is reported when it differs from the last one, and again at half its maximal age if the source still sees it. The
    prices of a market go in one command. Only the newest price of a source counts: while PostgreSQL is down, or the last report
    of the market is not persisted yet, newer prices replace older ones here. So no stale prices queue, however long store,
    broker or engine are down.
    """

    def __init__(self, dsn: str, sources: Sequence[Source]) -> None:
        super().__init__("prices", dsn)
        self._sources = {SourceKey(source.market, source.name): source for source in sources}
        self._newest: dict[SourceKey, Observation] = {}
        self._reported: dict[SourceKey, Reported] = {}
        self._under_way: dict[str, int] = {}
        self._held: set[SourceKey] = set()
        self._indexes: Mapping[str, IndexSources] = {}
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
        """Stop; a price in flight may be lost: the next feed reports what it sees."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await super().stop()

    async def serve(self, session: Connection) -> None:
        """Report the prices of the sources whose lock this feed holds.

        1. Once a second take the free locks, and read the ages. Locks end with the session, and with them what is known of
           earlier reports.
        2. Wait for a price that differs, or until one must be refreshed or a report that was left out can be tried again.
        3. Report in one round trip.
        """
        self._held, self._reported, self._under_way = set(), {}, {}
        loop = asyncio.get_running_loop()
        look_at_s, again_s = 0.0, 0.0
        while True:
            if loop.time() >= look_at_s:
                await self._look(session)  # 1
                look_at_s = loop.time() + LOOK_EVERY_S
            wait_s = min(look_at_s - loop.time(), again_s or self._until_refresh_s(machine_time()))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._seen.wait(), wait_s)  # 2
                await asyncio.sleep(GATHER_S)
            self._seen.clear()
            is_complete = await self._report(session, machine_time())  # 3
            again_s = 0.0 if is_complete else min(TRY_AGAIN_MAX_S, 2 * again_s or TRY_AGAIN_MIN_S)

    async def _look(self, session: Connection) -> None:
        self._indexes = await read_index_sources(session)
        wanted = [key for key in self._sources if key not in self._held]
        numbers = await try_locks(session, LockClass.PRICES, [key.lock_number for key in wanted])
        for key in wanted:
            if key.lock_number in numbers:
                self._held.add(key)
                self._seen.set()
                log.info("reporting the prices of %s for %s", key.source, key.market)

    async def _report(self, session: Connection, now: Timestamp) -> bool:
        """Report what is due; false when something was left out, because the last report of its market is not persisted."""
        going = self._going(now)
        reports = [report for market, seen in going.items() for report in self._reports(market, now, seen)]
        is_complete = True
        for report, seq in zip(reports, await append_reports(session, reports), strict=True):
            if seq is None:
                is_complete = False
                continue
            self._under_way[report.market] = seq
            for price in report.prices:
                key = SourceKey(report.market, price.source)
                self._note(key, going[report.market][key])
        return is_complete

    def _going(self, now: Timestamp) -> dict[str, dict[SourceKey, Observation]]:
        """By market, everything new of the markets in which a price is due: refreshing together saves commands."""
        due = {key.market for key in self._newest if key in self._held and self._is_due(key, now)}
        going: dict[str, dict[SourceKey, Observation]] = {market: {} for market in sorted(due)}
        for key, seen in self._newest.items():
            if key in self._held and key.market in due:
                going[key.market][key] = seen
        return going

    def _reports(self, market: str, now: Timestamp, going: Mapping[SourceKey, Observation]) -> list[AddressedReport]:
        """One command for a market by rules 3, which every release that can own it knows. By older rules one for each price."""
        passed = self._under_way.get(market, 0)
        index = self._indexes.get(market)
        if index is not None and index.rules >= RULES_THIRD:
            prices = tuple(SourcePrice(key.source, seen.price, seen.observed_at) for key, seen in going.items())
            return [AddressedReport(market, ReportPrices(now, prices), passed)]
        return [
            AddressedReport(market, ReportPrice(now, key.source, seen.price, seen.observed_at), passed)
            for key, seen in going.items()
        ]

    def _note(self, key: SourceKey, seen: Observation) -> None:
        self._reported[key] = Reported(seen, self._refresh_us(key))
        PRICES_REPORTED.labels(*key).inc()
        if self._newest.get(key) is seen:
            del self._newest[key]

    def _is_due(self, key: SourceKey, now: Timestamp) -> bool:
        """Whether the newest price differs from the reported one, or that one is at half its age, or was of no index then."""
        reported, refresh_us = self._reported.get(key), self._refresh_us(key)
        if reported is None or reported.seen.price != self._newest[key].price:
            return True
        if refresh_us is None:
            return False
        return reported.refresh_us is None or now >= reported.seen.observed_at + refresh_us

    def _until_refresh_s(self, now: Timestamp) -> float:
        """Seconds until the first price that a source still sees must be refreshed."""
        waits = [LOOK_EVERY_S]
        for key in self._newest:
            reported, refresh_us = self._reported.get(key), self._refresh_us(key)
            if key in self._held and reported is not None and refresh_us is not None:
                waits.append((reported.seen.observed_at + refresh_us - now) / SECOND_US)
        return min(waits)

    def _refresh_us(self, key: SourceKey) -> int | None:
        """Half the maximal age of the source; None while it is none of the index."""
        index = self._indexes.get(key.market)
        age_max_us = None if index is None else index.age_max_us(key.source)
        return None if age_max_us is None else min(age_max_us // 2, REFRESH_MAX_US)

    async def _watch_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key, source in self._sources.items():
                group.create_task(self._watch(key, source), name=f"{key.source} of {key.market}")

    async def _watch(self, key: SourceKey, source: Source) -> None:
        async for seen in source.prices():
            self._newest[key] = seen
            if key in self._held and self._is_due(key, machine_time()):
                self._seen.set()
        log.info("%s of %s has no more prices", key.source, key.market)
