"""The projection of one market: takes its event records, and acknowledges them once they are persisted."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

from agents.pending_work import has_events
from agents.projection.persister import Persister
from agents.worker.database import ask_database
from agents.worker.foreign_records import ForeignRecords
from agents.worker.halting import MarketHalted, UnknownCommand, halting_on_mismatch
from agents.worker.metrics import EVENTS_PERSISTED
from agents.worker.retry import Backoff
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StepCounter
from broker.errors import LogMismatch
from broker.event_records import LoggedRecord, read_record, read_records
from broker.producer import AckedProducer, can_be_retried
from broker.unreadable import UnreadableRecord, check_partition
from schemas.topics import events_topic, projection_app_id
from schemas.units import SECOND_US, Timestamp
from schemas.wire import EventRecord
from store.markets.progress import read_market_progress
from store.projection import EventGap, ProjectionStopped

RECORDS_WAITING_MAX = 64

log = logging.getLogger(__name__)


class Delivery(NamedTuple):
    """A record with its time in the log, and the stream's event to acknowledge when the record is persisted."""

    logged: LoggedRecord
    event: Any


class Projector:
    """One market of a persister. Records that arrive during a transaction go together into the next one."""

    def __init__(self, market: str, settings: StreamSettings, persister: Persister | None = None) -> None:
        self.market = market
        self.name = projection_app_id(market)
        self._settings = settings
        self._persister = persister or Persister(settings, self.name)
        self._producer = AckedProducer(settings.bootstrap, market)  # for dead letters; connects with the first one
        self._foreign = ForeignRecords(market, events_topic(market), self._producer)
        self._progress = StepCounter()
        self._epoch: int | None = None
        self._waiting: deque[Delivery] = deque()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._rests = False
        self._missing: deque[LoggedRecord] = deque()  # read from the log, to be persisted before what waits
        self._missing_from: int | None = None
        self._reading: asyncio.Task[None] | None = None

    async def take(self, event: Any) -> None:
        """Queue a record for the next transaction; waits while the queue is full. One that is not ours is passed.

        LogMismatch for another epoch of the market, NewerRecord for a newer form. The records of a market that rests are
        dropped without an acknowledgement, so that they do not hold up other markets.
        """
        self._progress.step()
        if self._rests:
            return
        try:
            record = self._read(event.message)
        except UnreadableRecord as fault:
            await self._foreign.set_aside(event.message, fault)
            event.ack()
            return
        if record.epoch != await self._current_epoch():
            raise LogMismatch(f"epoch of an event record of {self.market}", self._epoch, record.epoch)
        await self._has_room.wait()
        if self._rests:
            return
        at = Timestamp(round(event.message.timestamp * SECOND_US))
        self._waiting.append(Delivery(LoggedRecord(record, at), event))
        self._persister.wake(self)
        if len(self._waiting) >= RECORDS_WAITING_MAX:
            self._has_room.clear()

    async def work(self) -> None:
        """Let the waiting records be persisted, forever; nothing for a halted market."""
        await halting_on_mismatch(self._work(), self.name, self.market, self._settings)

    def waiting(self) -> Iterator[LoggedRecord]:
        """What to persist next: nothing while missing records are read; of those, one at a time."""
        if self._missing:
            yield self._missing[0]
        elif self._reading is None:
            yield from (delivery.logged for delivery in self._waiting)

    def settle(self, count: int, outcome: int | ProjectionStopped) -> None:
        """Acknowledge what is committed; fill a gap from the log. Raises ProjectionStopped when that does not help."""
        self._progress.step()
        if self._missing:
            self._missing.popleft()
            if isinstance(outcome, ProjectionStopped) and not isinstance(outcome, EventGap):
                raise outcome
        elif isinstance(outcome, EventGap) and outcome.expected != self._missing_from:
            self._fill(outcome)
        elif isinstance(outcome, ProjectionStopped):
            raise outcome
        else:
            self._acknowledge(count)

    def step(self) -> None:
        """The work on this market is not stalled."""
        self._progress.step()

    def advance(self) -> object:
        """A value that changes with every record received and every answer of PostgreSQL, an outage included."""
        return self._progress.steps

    async def has_work(self) -> bool:
        """Whether the log has work for this owner; raises the error of an outage."""
        return await has_events(self.market, self._settings)

    async def close(self) -> None:
        """Stop reading, leave the session to the other markets, and disconnect from the broker."""
        if self._reading is not None:
            self._reading.cancel()
        await self._persister.close()
        await self._producer.stop()

    async def _work(self) -> None:
        try:
            await self._persister.serve(self)
        except (MarketHalted, UnknownCommand, ProjectionStopped):
            self._rests = True
            self._waiting.clear()
            self._has_room.set()
            raise

    def _read(self, message: Any) -> EventRecord:
        check_partition(message)
        return read_record(message.value, self.market)

    def _acknowledge(self, count: int) -> None:
        done = [self._waiting.popleft() for _ in range(count)]
        self._missing_from = None
        self._has_room.set()
        EVENTS_PERSISTED.labels(self.market).observe(sum(len(delivery.logged.record.events) for delivery in done))
        for delivery in done:
            delivery.event.ack()

    def _fill(self, gap: EventGap) -> None:
        """Read the events from the missing one to the end of the log, to persist them in the order of the log.

        Offsets are acknowledged only after a commit. So events are missing only if commits were lost (PostgreSQL came
        back without its last seconds) or the log has lost its tail. In the second case the engine has noticed by
        writing after the hole, and then writes everything again. So a record after the hole is skipped.
        """
        log.error("%s, reading it from the log", gap, extra={"market": self.market, "sequence": gap.expected})
        self._missing_from = gap.expected
        first = min(
            gap.expected, self._waiting[0].logged.record.first_event_seq
        )  # a gap keeps out what waits before it too
        self._reading = asyncio.create_task(self._read_missing(first))
        self._reading.add_done_callback(self._has_read)

    def _has_read(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if reading.cancelled():
            return
        if (error := reading.exception()) is not None:
            self._persister.fail(self, error)
        self._persister.wake(self)

    async def _read_missing(self, missing_seq: int) -> None:
        backoff = Backoff()
        while True:
            try:
                read = await read_records(self._settings.bootstrap, self.market, missing_seq, self._progress.step)
            except KafkaError as error:
                if not can_be_retried(error):
                    raise
                log.warning("%s waits for the broker: %r", self.name, error)
                self._progress.step()
                await backoff.wait()
            else:
                break
        self._missing.extend(read)

    async def _current_epoch(self) -> int:
        if self._epoch is None:
            progress = await ask_database(self._settings.dsn, self.name, lambda c: read_market_progress(c, self.market))
            self._epoch = progress.epoch
        return self._epoch
