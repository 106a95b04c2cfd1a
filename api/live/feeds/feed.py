"""What every feed of a market does: it begins from the tables at an event, and follows the log from that very event on."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from api.database import Database
from api.live.failures import report_failure
from api.live.market_follower import EventBatch, MarketFollower
from api.live.metrics import LIVE_RESTARTS
from broker.errors import BrokerUnavailable
from exchange.market_data.book_levels import LevelsContradicted
from schemas.events import Event
from store.projection.chain import Progress
from store.projection.errors import ChainBroken, EventGap
from store.session.connect import Session, StoreUnavailable

BEGIN_TRIES = 5
BEGIN_AGAIN_S = 0.1
RESTART_AGAIN_S = 0.5
BEGUN_WITHIN_S = 5.0

log = logging.getLogger(__name__)


class Stored(Protocol):
    """What the tables hold as of an event."""

    @property
    def progress(self) -> Progress:
        """The event."""


S = TypeVar("S", bound=Stored)


class Feed(ABC, Generic[S]):
    """Follows a market once somebody needs it. `sequence` is the event as of which it is."""

    channel: str

    def __init__(self, follower: MarketFollower, database: Database) -> None:
        self.market = follower.market
        self.sequence = 0
        self._follower = follower
        self._database = database
        self._is_begun = False
        self._beginning: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read the tables and follow the log, once for all who call. Raises StoreUnavailable, BrokerUnavailable."""
        if self._is_begun:
            return
        if self._beginning is None or self._beginning.done():
            self._beginning = asyncio.create_task(self._begin(), name=f"live {self.channel} {self.market}")
        done, _ = await asyncio.wait({self._beginning}, timeout=BEGUN_WITHIN_S)
        if not done:  # it begins again, and waits for a part that is down
            raise BrokerUnavailable(self.market)
        self._beginning.result()

    def close(self) -> None:
        """Follow no more."""
        self._follower.leave(self)
        if self._beginning is not None:
            self._beginning.cancel()

    def receive(self, batch: EventBatch) -> None:
        """The next events of the log."""
        before, self.sequence = self.sequence, max(self.sequence, batch.position.event_seq)
        events = [event for event in batch.events if event.seq > before]
        if not events:
            return
        try:
            self._follow(events, batch)
        except LevelsContradicted as error:
            log.error("the live %s of %s begins again from the tables: %s", self.channel, self.market, error)
            self._follower.leave(self)
            self.interrupted()

    def interrupted(self) -> None:
        """The events do not lead on: begin again from the tables."""
        self._is_begun = False
        LIVE_RESTARTS.labels(self.channel).inc()
        self._beginning = asyncio.create_task(self._restart(), name=f"live {self.channel} {self.market} again")
        self._beginning.add_done_callback(report_failure)

    @abstractmethod
    async def _read(self, session: Session) -> S | None:
        """The tables, in one snapshot; None where there is no such market."""

    async def _prepare(self, stored: S) -> None:
        """Whatever takes long, before the events are asked for."""

    @abstractmethod
    def _start(self, stored: S, events: Sequence[Event]) -> None:
        """Begin with the tables and the events after them; where there are subscribers, it begins again."""

    @abstractmethod
    def _follow(self, events: Sequence[Event], batch: EventBatch) -> None:
        """Follow new events, and send what they lead to."""

    async def _begin(self) -> None:
        for _ in range(BEGIN_TRIES):
            stored = await self._database.run(self._read)
            if stored is None:
                raise KeyError(self.market)
            await self._prepare(stored)
            try:
                events = await self._follower.events_since(stored.progress)
            except EventGap:  # the log has lost what is not persisted, and will have it again
                await asyncio.sleep(BEGIN_AGAIN_S)
                continue
            self.sequence = max(stored.progress.event_seq, self._follower.position.event_seq)
            self._start(stored, events)
            self._follower.listen(self)
            self._is_begun = True
            return
        raise BrokerUnavailable(self.market)

    async def _restart(self) -> None:
        while True:
            try:
                await self._begin()
            except (StoreUnavailable, BrokerUnavailable, ChainBroken, LevelsContradicted) as error:
                log.warning("the live %s of %s waits: %s", self.channel, self.market, error)
                self._follower.leave(self)
                await asyncio.sleep(RESTART_AGAIN_S)
            else:
                return
