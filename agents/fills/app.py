"""The publishing agent of a market in the Faust app `publisher-{shard}`."""

import asyncio
from typing import Any

import faust

from agents.fills.worker import Publisher
from agents.shard.position import first_unpersisted
from agents.shard.shared_producer import SharedProducer
from agents.shard.unit import ShardUnit
from agents.shard.worker import Feed
from agents.worker.settings import StreamSettings
from schemas.topics import events_topic
from store.session.presence import Work


def publisher_unit(market: str, settings: StreamSettings) -> ShardUnit:
    """The publisher of a market alone, in a shard named after it, ready to be hosted."""
    return ShardUnit(Work.PUBLISHER, market, settings, MarketPublisher, markets=[market])


class MarketPublisher:
    """Publishes the fills of a market for external consumers; the markets of a process share a producer."""

    def __init__(
        self, _: faust.App, market: str, settings: StreamSettings, shared: SharedProducer | None = None
    ) -> None:
        self.feed = Feed(events_topic(market), f"publish-{market}")
        self._market = market
        self._settings = settings
        self.publisher = Publisher(market, settings, shared)

    @property
    def name(self) -> str:
        """Its name in the log."""
        return self.publisher.name

    async def begin(self) -> int | None:
        """Continue after the last persisted event: the fills up to it that the topic does not hold come from PostgreSQL."""
        offset = await first_unpersisted(self._market, self._settings, self.name)
        await self.publisher.begin()
        return offset

    async def take(self, event: Any) -> None:
        """Publish the fills of one event record."""
        await self.publisher.take(event)

    async def work(self) -> None:
        """Nothing else than records."""
        await asyncio.Event().wait()

    def release(self) -> None:
        """Forget the end of the topic."""
        self.publisher.release()

    async def finish(self) -> None:
        """Nothing: the next owner continues where the topic ends."""

    async def disconnect(self) -> None:
        """Disconnect from the broker."""
        await self.publisher.disconnect()

    def advance(self) -> object:
        """A value that changes with every record and acknowledgement received."""
        return self.publisher.advance()

    async def has_work(self) -> bool:
        """Whether fills are persisted that the topic does not hold."""
        return await self.publisher.has_work()
