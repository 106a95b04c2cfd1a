"""Follows the event log of one market for all listeners of this process: one reader, each event once and in order.

What the log cannot give any more (the broker was lost before this reader had read all of it) is persisted: the reader goes on after
it, and its listeners begin again from the tables.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple, Protocol

from api.database import Database
from api.live.event_cursor import EventCursor, OtherEpoch
from api.live.metrics import LIVE_LAG_SECONDS
from broker.errors import BrokerUnavailable
from broker.event_records import LoggedRecord
from broker.following.event_log import FollowedLog
from broker.unreadable import NewerRecord
from exchange.errors import UnknownRules
from schemas.events import Event
from schemas.units import SECOND_US, Timestamp
from store.markets.progress import MarketProgress, read_market_progress
from store.projection.chain import Progress
from store.projection.errors import ChainBroken, EventGap
from store.session.connect import StoreUnavailable

KEPT_EVENTS = 2_048
"""So many of the newest events are kept for who begins from the tables, which lag by some; older ones are read from the log."""
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
UNREADABLE_RETRY_S = 5.0
HEARD_WITHIN_S = 2.0
"""A broker that has given a record, or has been asked, so recently is not asked again."""
HEALS_AGAIN_S = 1.0
"""A hole that neither the log nor the tables fill is looked at again so much later: its owner writes the events again."""

log = logging.getLogger(__name__)


class EventBatch(NamedTuple):
    """Consecutive events of a market. `position` is the place after them, `logged_at` when the broker received them."""

    market: str
    events: Sequence[Event]
    position: Progress
    logged_at: Timestamp

    @property
    def ends_command(self) -> bool:
        """Whether its last event is the last one of its command: a command above 512 KiB has several records."""
        return self.events[-1].command <= self.position.command_seq


class Listener(Protocol):
    """Who gets the events of a market. Neither call may wait for anything."""

    def receive(self, batch: EventBatch) -> None:
        """The next events. A listener whose own position is ahead passes those that it has."""

    def interrupted(self) -> None:
        """Events were lost to the log, and are in the tables: begin again from there. It listens no longer."""


class MarketFollower:
    """The reader of one market. `position` is the last event that every listener has received."""

    def __init__(self, market: str, database: Database, bootstrap: str, now: Callable[[], Timestamp]) -> None:
        self.market = market
        self._database = database
        self._now = now
        self._log = FollowedLog(bootstrap, market)
        self._cursor: EventCursor | None = None
        self._kept: deque[EventBatch] = deque()
        self._kept_count = 0
        self._listeners: dict[Listener, None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_connected = False
        self._is_lost = False
        self._healed_at_s = 0.0
        self._heard_at_s = 0.0
        self._checked_at_s = 0.0
        self._checking: asyncio.Task[None] | None = None

    @property
    def position(self) -> Progress:
        """The place in the log after the last event received."""
        assert self._cursor is not None, "begun before anybody asks"  # noqa: S101 - a bug of ours, not a user's doing
        return self._cursor.position

    async def begin(self) -> None:
        """Read on from the persisted events. Raises KeyError for no market, StoreUnavailable, BrokerUnavailable."""
        await self._begin_from_tables()
        await self._log.open(self.position.event_seq)
        self._is_connected = True
        self._start_reading()

    async def close(self) -> None:
        """Read no more."""
        if self._checking is not None:
            self._checking.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self._log.close()

    async def check(self) -> None:
        """Raise BrokerUnavailable while the log cannot be read. The broker is asked once for all who ask, every few seconds."""
        if not self._is_connected:
            raise BrokerUnavailable(self.market)
        if monotonic() < self._heard_at_s + HEARD_WITHIN_S:
            return
        if self._checking is None or monotonic() > self._checked_at_s + HEARD_WITHIN_S:
            self._checked_at_s = monotonic()
            self._checking = asyncio.create_task(self._log.check(), name=f"live-{self.market} check")
            self._checking.add_done_callback(_seen)
        await asyncio.shield(self._checking)

    def listen(self, listener: Listener) -> None:
        """Let a listener receive what comes after `position`."""
        self._listeners[listener] = None

    def leave(self, listener: Listener) -> None:
        """Send a listener nothing more."""
        self._listeners.pop(listener, None)

    async def events_since(self, place: Progress) -> list[Event]:
        """The events after a place, up to `position`; none where the place is ahead of it.

        Call `listen` before anything else is awaited, and nothing is left out. Raises EventGap where the log has lost the events,
        BrokerUnavailable, ChainBroken.
        """
        if self._is_lost:  # and will begin again later than the tables are now
            raise BrokerUnavailable(self.market)
        events: list[Event] = []
        if place.event_seq < self.position.event_seq and not self._keeps_all_after(place.event_seq):
            events, place = await self._read_back(place)
        if self._is_lost:
            raise BrokerUnavailable(self.market)
        kept = (event for batch in self._kept for event in batch.events if event.seq > place.event_seq)
        return [*events, *kept]

    def _keeps_all_after(self, event_seq: int) -> bool:
        return bool(self._kept) and self._kept[0].events[0].seq <= event_seq + 1

    async def _read_back(self, place: Progress) -> tuple[list[Event], Progress]:
        """Events from the log, so far that those kept follow."""
        assert self._cursor is not None  # noqa: S101 - as above
        cursor, events = EventCursor(self.market, self._cursor.epoch, place), list[Event]()
        for record, _ in await self._log.read_from(place.event_seq + 1):
            if record.epoch == cursor.epoch:
                events += cursor.take(record)
        reached = cursor.position.event_seq
        if reached < self.position.event_seq and not self._keeps_all_after(reached):
            raise EventGap(self.market, reached + 1, self.position.event_seq)
        return events, cursor.position

    def _start_reading(self) -> None:
        self._reading = asyncio.create_task(self._read(), name=f"live-{self.market}")
        self._reading.add_done_callback(self._has_ended)

    def _has_ended(self, reading: asyncio.Task[None]) -> None:
        """A bug has ended the reading: nothing more is passed on, and it begins again from the tables."""
        if reading.cancelled() or (error := reading.exception()) is None:
            return
        log.error("the live feed of %s has failed", self.market, exc_info=error)
        self._lose()
        reading.get_loop().call_later(UNREADABLE_RETRY_S, self._read_again, reading)

    def _read_again(self, ended: asyncio.Task[None]) -> None:
        if self._reading is ended:
            self._start_reading()

    async def _read(self) -> None:
        """Read forever. An outage is waited for; what cannot be followed is reported, and tried again: nothing wrong is passed on."""
        tries = 0
        while True:
            try:
                if not self._is_connected:
                    await self._connect()
                    tries = 0
                for record in await self._log.next():
                    await self._take(record)
                    await asyncio.sleep(0)  # orders come first
            except (BrokerUnavailable, StoreUnavailable) as error:
                wait_s = RETRY_S[min(tries, len(RETRY_S) - 1)]
                if not tries:
                    log.warning("the live feed of %s waits: %r", self.market, error.__cause__ or error)
                self._is_connected = False
            except (ChainBroken, NewerRecord, UnknownRules) as error:
                wait_s = UNREADABLE_RETRY_S
                log.error("the live feed of %s begins again from the tables: %s", self.market, error)
                self._lose()
            else:
                continue
            tries += 1
            await asyncio.sleep(wait_s)

    async def _connect(self) -> None:
        if self._is_lost:
            await self._begin_from_tables()
        await self._log.open(self.position.event_seq)
        self._is_connected, self._is_lost = True, False

    async def _begin_from_tables(self) -> None:
        stored = await self._read_progress()
        self._cursor = EventCursor(self.market, stored.epoch, _place(stored))

    async def _take(self, logged: LoggedRecord) -> None:
        cursor = self._cursor
        assert cursor is not None  # noqa: S101 - as above
        try:
            events = cursor.take(logged.record)
        except OtherEpoch as other:
            if await self._has_epoch(other.epoch):
                await self._take(logged)
            return
        except EventGap as gap:
            await self._heal(gap)
            return
        if events:
            self._pass_on(EventBatch(self.market, events, cursor.position, logged.at))

    async def _has_epoch(self, found: int) -> bool:
        """Whether the exchange was rebuilt, and has this epoch now; a record of any other epoch is not of this exchange."""
        assert self._cursor is not None  # noqa: S101 - as above
        stored = await self._read_progress()
        if stored.epoch == self._cursor.epoch or stored.epoch != found:
            log.warning("the live feed of %s passes a record of epoch %d", self.market, found)
            return False
        log.info("the live feed of %s goes on in epoch %d", self.market, found)
        self._cursor.epoch = found
        return True

    async def _heal(self, gap: EventGap) -> None:
        """Read what is missing from the log; where it has lost that, go on after the persisted events, if these have it.

        Where they do not, the engine has noticed by writing after the hole, and writes everything again: the record is passed.
        """
        if monotonic() < self._healed_at_s + HEALS_AGAIN_S:
            return
        log.warning("the live feed: %s, reading it from the log", gap)
        before = self.position.event_seq
        for logged in await self._log.read_from(gap.expected):
            with suppress(EventGap):
                self._take_again(logged)
        self._healed_at_s = monotonic()
        if self.position.event_seq == before and (await self._read_progress()).event_seq > before:
            log.warning("the log has lost event %s:%d, which is in the tables", self.market, before + 1)
            self._lose()
            await self._connect()

    def _take_again(self, logged: LoggedRecord) -> None:
        assert self._cursor is not None  # noqa: S101 - as above
        if logged.record.epoch != self._cursor.epoch:
            return
        if events := self._cursor.take(logged.record):
            self._pass_on(EventBatch(self.market, events, self._cursor.position, logged.at))

    def _lose(self) -> None:
        """What follows the position cannot be read: begin again from the tables, and let the listeners do so."""
        self._is_connected, self._is_lost = False, True
        self._kept.clear()
        self._kept_count = 0
        listeners, self._listeners = self._listeners, {}
        for listener in listeners:
            listener.interrupted()

    def _pass_on(self, batch: EventBatch) -> None:
        self._keep(batch)
        self._heard_at_s = monotonic()
        for listener in list(self._listeners):
            listener.receive(batch)
        LIVE_LAG_SECONDS.observe(max(0, self._now() - batch.logged_at) / SECOND_US)

    def _keep(self, batch: EventBatch) -> None:
        self._kept.append(batch)
        self._kept_count += len(batch.events)
        while self._kept_count > KEPT_EVENTS and len(self._kept) > 1:
            self._kept_count -= len(self._kept.popleft().events)

    async def _read_progress(self) -> MarketProgress:
        return await self._database.run(lambda session: read_market_progress(session, self.market))


def _seen(checking: asyncio.Task[None]) -> None:
    """The callers that waited have the error, or have left."""
    if not checking.cancelled():
        checking.exception()


def _place(stored: MarketProgress) -> Progress:
    return Progress(stored.event_seq, stored.command_seq, stored.event_hash)
