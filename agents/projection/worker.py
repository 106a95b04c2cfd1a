"""The projection agent: persists many event records in one transaction, then acknowledges them."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from agents.pending_work import has_events
from agents.worker.database import ask_database
from agents.worker.foreign_records import ForeignRecords
from agents.worker.halting import check_log_is_known, halting_on_mismatch
from agents.worker.metrics import EVENTS_PERSISTED
from agents.worker.retry import Backoff
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StepCounter
from broker.errors import LogMismatch
from broker.event_records import LoggedRecord, read_record, read_records
from broker.producer import AckedProducer
from broker.unreadable import UnreadableRecord, check_partition
from schemas.topics import events_topic, projection_app_id
from schemas.units import SECOND_US, Timestamp
from schemas.wire import EventRecord
from store.crash_points import CrashPoint, passing
from store.markets.progress import read_market_progress
from store.projection import EventGap, Projection
from store.session.connect import Connection, StoreUnavailable, connect_writer

EVENTS_MAX = 1_000
RECORDS_WAITING_MAX = 64

log = logging.getLogger(__name__)


class Delivery(NamedTuple):
    """A record with its time in the log, and the stream's event to acknowledge when the record is persisted."""

    logged: LoggedRecord
    event: Any


class Projector:
    """Persists the events of one market. Records that arrive during a transaction go together into the next one."""

    def __init__(self, market: str, settings: StreamSettings) -> None:
        self.market = market
        self.name = projection_app_id(market)
        self._settings = settings
        self._projection = Projection(self._connect, market)
        self._producer = AckedProducer(settings.bootstrap, market)  # for dead letters; connects with the first one
        self._foreign = ForeignRecords(market, events_topic(market), self._producer)
        self._progress = StepCounter()
        self._epoch: int | None = None
        self._waiting: deque[Delivery] = deque()
        self._has_come = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def take(self, event: Any) -> None:
        """Queue a record for the next transaction; waits while the queue is full. One that is not ours is passed.

        LogMismatch for another epoch of the market, NewerRecord for a newer form.
        """
        self._progress.step()
        try:
            record = self._read(event.message)
        except UnreadableRecord as fault:
            await self._foreign.set_aside(event.message, fault)
            event.ack()
            return
        if record.epoch != await self._current_epoch():
            raise LogMismatch(f"epoch of an event record of {self.market}", self._epoch, record.epoch)
        await self._has_room.wait()
        at = Timestamp(round(event.message.timestamp * SECOND_US))
        self._waiting.append(Delivery(LoggedRecord(record, at), event))
        self._has_come.set()
        if len(self._waiting) >= RECORDS_WAITING_MAX:
            self._has_room.clear()

    async def work(self) -> None:
        """Persist the waiting records, forever; nothing for a halted market."""
        await halting_on_mismatch(self._work(), self.name, self.market, self._settings)

    async def _work(self) -> None:
        """Acknowledge only what is committed."""
        while True:
            await self._has_come.wait()
            batch = self._next_batch()
            await self._persist([delivery.logged for delivery in batch])
            passing(CrashPoint.AFTER_PROJECTION_BEFORE_OFFSET)
            EVENTS_PERSISTED.labels(self.market).observe(sum(len(delivery.logged.record.events) for delivery in batch))
            for delivery in batch:
                delivery.event.ack()

    def advance(self) -> object:
        """A value that changes with every record received and every answer of PostgreSQL, an outage included."""
        return self._progress.steps

    async def has_work(self) -> bool:
        """Whether the log has work for this owner; raises the error of an outage."""
        return await has_events(self.market, self._settings)

    async def close(self) -> None:
        """Close the session, and disconnect from the broker."""
        await self._projection.close()
        await self._producer.stop()

    def _read(self, message: Any) -> EventRecord:
        check_partition(message)
        return read_record(message.value, self.market)

    def _next_batch(self) -> list[Delivery]:
        """At most 1,000 events, but at least one record."""
        batch = [self._waiting.popleft()]
        events = len(batch[0].logged.record.events)
        while self._waiting and events + len(self._waiting[0].logged.record.events) <= EVENTS_MAX:
            batch.append(self._waiting.popleft())
            events += len(batch[-1].logged.record.events)
        if not self._waiting:
            self._has_come.clear()
        self._has_room.set()
        return batch

    async def _persist(self, records: Sequence[LoggedRecord]) -> None:
        try:
            await self._apply(records)
        except EventGap as gap:
            log.error("%s, reading it from the log", gap, extra={"market": self.market, "sequence": gap.expected})
            await self._fill(gap.expected)
            await self._apply(records)

    async def _fill(self, missing_seq: int) -> None:
        """Persist the events from the missing one to the end of the log, in the order of the log.

        Offsets are acknowledged only after a commit. So events are missing only if commits were lost (PostgreSQL came
        back without its last seconds) or the log has lost its tail. In the second case the engine has noticed by
        writing after the hole, and then writes everything again. So a record after the hole is skipped here.
        """
        for record in await read_records(self._settings.bootstrap, self.market, missing_seq, self._progress.step):
            with suppress(EventGap):
                await self._apply([record])

    async def _apply(self, records: Sequence[LoggedRecord]) -> None:
        """Apply the records, again after an outage, until PostgreSQL has persisted them; repetitions are dropped there."""
        backoff = Backoff()
        while True:
            try:
                await self._projection.apply([each.record for each in records], [each.at for each in records])
                self._progress.step()
            except StoreUnavailable as error:
                self._progress.step()  # an outage is not a stall
                log.warning("%s waits for PostgreSQL: %r", self.name, error)
                await backoff.wait()
            else:
                return

    async def _connect(self) -> Connection:
        """A session with the database that the log was written for. Raises MarketHalted, UnknownCommand."""
        session = await connect_writer(self._settings.dsn, self.name)
        try:
            await check_log_is_known(session, self._settings.bootstrap, self.market)
        except BaseException:
            session.terminate()
            raise
        return session

    async def _current_epoch(self) -> int:
        if self._epoch is None:
            progress = await ask_database(self._settings.dsn, self.name, lambda c: read_market_progress(c, self.market))
            self._epoch = progress.epoch
        return self._epoch
