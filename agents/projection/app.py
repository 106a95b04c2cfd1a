"""The projection agent of a market in the Faust app `projection-{shard}`."""

from typing import Any

import faust

from agents.projection.persister import Persister
from agents.projection.worker import Projector
from agents.shard.position import first_unpersisted
from agents.shard.unit import ShardUnit
from agents.shard.worker import Feed
from agents.worker.settings import StreamSettings
from schemas.topics import events_topic
from store.session.presence import Work


def projection_unit(market: str, settings: StreamSettings) -> ShardUnit:
    """The projection of a market alone, in a shard named after it, ready to be hosted."""
    return ShardUnit(Work.PROJECTION, market, settings, MarketProjection, markets=[market])


class MarketProjection:
    """Persists the events of a market to PostgreSQL; the markets of a process share a persister."""

    def __init__(self, _: faust.App, market: str, settings: StreamSettings, persister: Persister | None = None) -> None:
        self.feed = Feed(events_topic(market), f"project-{market}")
        self._market = market
        self._settings = settings
        self.projector = Projector(market, settings, persister)

    @property
    def name(self) -> str:
        """Its name in the log."""
        return self.projector.name

    async def begin(self) -> int | None:
        """Continue after the last persisted event."""
        return await first_unpersisted(self._market, self._settings, self.name)

    async def take(self, event: Any) -> None:
        """Queue one event record for the next transaction."""
        await self.projector.take(event)

    async def work(self) -> None:
        """Persist what is queued."""
        await self.projector.work()

    def release(self) -> None:
        """Nothing: what is persisted twice is dropped."""

    async def finish(self) -> None:
        """Nothing: the next owner continues after the last transaction."""

    async def disconnect(self) -> None:
        """Close the session, and disconnect from the broker."""
        await self.projector.close()

    def advance(self) -> object:
        """A value that changes with every record received and every answer of PostgreSQL."""
        return self.projector.advance()

    async def has_work(self) -> bool:
        """Whether the log has work for this owner."""
        return await self.projector.has_work()
