"""The matching agent of a market in the Faust app `engine-{shard}`."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

import faust
from aiokafka.errors import KafkaError

from agents.matching.restoring import restore_table
from agents.matching.worker import Matcher
from agents.shard.shared_producer import SharedProducer
from agents.shard.unit import ShardUnit
from agents.shard.worker import Feed
from agents.worker.settings import StreamSettings
from schemas.topics import commands_topic
from store.session.presence import Work
from tables.book_table import declare_book_table
from tables.market_tables import drop_table

SNAPSHOT_CHECK_S = 1.0
COPY_EVERY_S = 60.0

log = logging.getLogger(__name__)


def engine_unit(market: str, settings: StreamSettings) -> ShardUnit:
    """The engine of a market alone, in a shard named after it, ready to be hosted."""
    return ShardUnit(Work.ENGINE, market, settings, MarketEngine, markets=[market])


class MarketEngine:
    """Matches the commands of a market; events out, snapshots into its book table. The markets of a process share a producer."""

    def __init__(
        self, app: faust.App, market: str, settings: StreamSettings, shared: SharedProducer | None = None
    ) -> None:
        self.feed = Feed(commands_topic(market), f"match-{market}")
        self._app = app
        self._market = market
        self._settings = settings
        self._table = declare_book_table(app, market)
        self.matcher = Matcher(market, settings, self._table, shared)

    @property
    def name(self) -> str:
        """Its name in the log."""
        return self.matcher.name

    async def begin(self) -> int | None:
        """Recover; the commands after the snapshot come next. None for a quarantined market."""
        await restore_table(self._settings.bootstrap, self._market, self._table.data.data, self.matcher.step)
        await self.matcher.recover()
        await _through_outages(self.matcher.snapshots.pass_foreign_end())
        return self.matcher.next_offset

    async def take(self, event: Any) -> None:
        """Match one command record."""
        await self.matcher.handle(event)

    async def work(self) -> None:
        """Take the snapshots that are due."""
        copied_at_s = time.monotonic()
        while True:
            await asyncio.sleep(SNAPSHOT_CHECK_S)
            await self.matcher.snapshot_if_due()
            await _through_outages(self.matcher.snapshots.pass_foreign_entries())
            if time.monotonic() >= copied_at_s + COPY_EVERY_S:
                await self.matcher.copy_to_database()
                copied_at_s = time.monotonic()

    def release(self) -> None:
        """Drop the assignment."""
        self.matcher.release()

    async def finish(self) -> None:
        """Finish the current record, and write a last snapshot."""
        await self.matcher.close()

    async def disconnect(self) -> None:
        """Forget the table, and disconnect from the broker."""
        drop_table(self._app, self._table)
        await self.matcher.disconnect()

    def advance(self) -> object:
        """A value that changes with every record, recovery step and acknowledgement."""
        return self.matcher.advance()

    async def has_work(self) -> bool:
        """Whether the log has work for this owner."""
        return await self.matcher.has_work()


async def _through_outages(look: Awaitable[None]) -> None:
    """Look for foreign records; an unavailable broker shows them at the next recovery."""
    try:
        await look
    except (KafkaError, TimeoutError) as error:
        log.warning("foreign records are not looked for: %r", error)
