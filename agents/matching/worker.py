"""The matching agent: what it does with a record, in a recovery and when it closes. Faust calls it."""

import asyncio
import logging
import time
from typing import Any

from agents.matching.command_sequencer import GapNeverFilled, Sequenced, UnseenCommand
from agents.matching.market_assignment import MarketAssignment
from agents.matching.recovery import begin_assignment
from agents.matching.snapshot_writer import SnapshotWriter
from agents.pending_work import has_commands
from agents.shard.shared_producer import SharedProducer
from agents.worker.database import ask_database
from agents.worker.foreign_records import ForeignRecords, report
from agents.worker.halting import MarketHalted, halt_market
from agents.worker.metrics import COMMANDS_MATCHED, EVENTS_WRITTEN, RECOVERIES
from agents.worker.settings import StreamSettings
from agents.worker.stall_watchdog import StepCounter
from broker.command_records import read_record
from broker.dead_letters import dead_letter_of_failure, send_to_dlq
from broker.errors import AlteredCommand
from broker.event_records import pack
from broker.producer import AckedProducer
from broker.unreadable import UnreadableRecord, check_partition
from schemas.topics import book_changelog_topic, commands_topic, engine_app_id, events_topic
from schemas.wire import encode
from store.command_log.outbox import rewind
from store.crash_points import CrashPoint, passing

LAST_COPY_TIMEOUT_S = 3.0

log = logging.getLogger(__name__)


class Matcher:
    """The owner of one market. Every change of the market goes through `handle`, one record at a time."""

    def __init__(self, market: str, settings: StreamSettings, table: Any, shared: SharedProducer | None = None) -> None:
        self.market = market
        self.name = engine_app_id(market)
        self._settings = settings
        self._table = table
        self._shared = shared or SharedProducer(settings.bootstrap, market)
        self._producer = self._shared.producer
        self._events_topic, self._table_topic = events_topic(market), book_changelog_topic(market)
        self._letters = AckedProducer(settings.bootstrap, market)  # connects with the first one
        self.snapshots = SnapshotWriter(market, settings, self._producer, self._letters, table)
        self._foreign = ForeignRecords(market, commands_topic(market), self._letters)
        self._assignment: MarketAssignment | None = None
        self._recoveries = 0
        self._progress = StepCounter()
        self._at_work = asyncio.Lock()
        self._is_closing = False

    async def recover(self) -> None:
        """Start a new assignment from the newest snapshot; the old one ends at once.

        A halted market gets none: its records stay unacknowledged.
        """
        self.release()
        self._recoveries += 1
        self._progress.step()
        recovery = self._recoveries
        await self._shared.join(self._events_topic, self._table_topic)
        try:
            assignment = await begin_assignment(self.market, self._settings, self._table.data.data, self._progress.step)
        except MarketHalted as error:
            log.critical("%s is quarantined: %s", self.name, error)
            return
        passing(CrashPoint.DURING_RECOVERY)
        if recovery == self._recoveries:
            self._producer.expect_beyond(self._events_topic, assignment.log_end)
            self.snapshots.begin()
            self._assignment = assignment
            RECOVERIES.labels(self.market).inc()

    def release(self) -> None:
        """Drop the assignment and its work in progress: the market has another owner, or will be recovered."""
        self._assignment = None

    async def handle(self, event: Any) -> None:
        """Apply one command record to the market.

        1. Read it; a record that is not a command record of ours goes to the dead letters and takes no sequence.
        2. Drop the commands seen before; if one is missing, drop the rest and ask the relay for it. A command that
           comes again with other bytes halts the market.
        3. Apply the new commands; a user's command that breaks the engine is undone and goes to the dead letters.
        4. Leave out the events that an earlier owner has written: they must be the same.
        5. Write the others as one record, and wait for the broker.
        6. Keep the command record unacknowledged until a snapshot covers it.
        7. Take that snapshot when it is due.

        If the assignment has changed after an await, everything is dropped: the record comes again.
        """
        async with self._at_work:
            self._progress.step()
            assignment = self._assignment
            if assignment is None or self._is_closing:
                return
            try:
                fresh, missing = await self._sort(assignment, event.message)  # 1, 2
            except AlteredCommand as error:
                self.release()
                await halt_market(self.name, self.market, self._settings, error)
                return
            if missing is not None:
                await self._ask_relay(assignment, missing)
            await self._match(assignment, fresh)  # 3, 4, 5
            if assignment is not self._assignment:
                return
            assignment.unacknowledged.append(event)  # 6
            assignment.offset = event.message.offset
            if self.snapshots.is_due(assignment):  # 7
                await self._snapshot(assignment)

    async def snapshot_if_due(self) -> None:
        """Take a snapshot that is due even if no more commands come."""
        async with self._at_work:
            if self._assignment is not None and not self._is_closing and self.snapshots.is_due(self._assignment):
                await self._snapshot(self._assignment)

    async def copy_to_database(self) -> None:
        """Copy the newest snapshot to PostgreSQL: a lost broker is rebuilt from there."""
        assignment = self._assignment
        if assignment is not None:
            await self.snapshots.copy_to_database(assignment)

    async def close(self) -> None:
        """Finish the current record, accept no other, and write a last snapshot to the table and to PostgreSQL."""
        self._is_closing = True
        async with self._at_work:
            if self._assignment is not None and self._assignment.is_fully_logged:
                if self._assignment.is_dirty:
                    await self._snapshot(self._assignment)
                await self._leave_a_copy()

    @property
    def next_offset(self) -> int | None:
        """The offset of the first command record that the state does not cover; None without an assignment."""
        return None if self._assignment is None else self._assignment.offset + 1

    def step(self) -> None:
        """Count one step of a recovery."""
        self._progress.step()

    def advance(self) -> object:
        """A value that changes with every record, recovery step and acknowledgement."""
        appended = self._producer.appended
        return self._progress.steps, appended[self._events_topic], appended[self._table_topic]

    async def has_work(self) -> bool:
        """Whether the log has work for this owner; raises the error of an outage."""
        return await has_commands(self.market, self._settings, self._assignment)

    async def disconnect(self) -> None:
        """Disconnect from the broker, after the app has stopped."""
        await self._shared.leave(self._events_topic, self._table_topic)
        await self._letters.stop()

    async def _leave_a_copy(self) -> None:
        """Copy the last snapshot if there is time. A rebuild works without it: an older one only makes it longer."""
        try:
            async with asyncio.timeout(LAST_COPY_TIMEOUT_S):
                await self.copy_to_database()
        except TimeoutError:
            log.warning("%s stops without a copy of its last snapshot in PostgreSQL", self.name)

    async def _sort(self, assignment: MarketAssignment, message: Any) -> Sequenced:
        try:
            check_partition(message)
            record = read_record(message.value, self.market)
            assignment.check_epoch(record)
            return assignment.sequencer.sort(record)
        except UnreadableRecord as fault:
            await self._foreign.set_aside(message, fault)
            return Sequenced([], None)

    async def _match(self, assignment: MarketAssignment, fresh: list[UnseenCommand]) -> None:
        before = assignment.market.event_hash
        assignment.is_fully_logged = False
        before, unwritten = assignment.leave_out_written(assignment.apply(fresh), before)
        while assignment.failures:
            letter = dead_letter_of_failure(self.market, assignment.failures.pop(0))
            report(letter)
            await send_to_dlq(self._letters, letter)
        for record in pack(self.market, assignment.epoch, before, unwritten):
            await self._producer.send(self._events_topic, encode(record), key=self.market.encode())
            passing(CrashPoint.AFTER_EVENTS_BEFORE_SNAPSHOT)
            EVENTS_WRITTEN.labels(self.market).inc(len(record.events))
            if assignment is not self._assignment:  # the next owner may have noticed that the log lost its tail
                return
        assignment.is_fully_logged = True
        COMMANDS_MATCHED.labels(self.market).inc(len(fresh))

    async def _snapshot(self, assignment: MarketAssignment) -> None:
        """Take a snapshot, then acknowledge the records it covers: the committed offset never passes a snapshot."""
        covered = len(assignment.unacknowledged)
        await self.snapshots.write(assignment)
        passing(CrashPoint.AFTER_SNAPSHOT_BEFORE_OFFSET)
        if assignment is not self._assignment:
            return
        for event in assignment.unacknowledged[:covered]:
            event.ack()
        del assignment.unacknowledged[:covered]

    async def _ask_relay(self, assignment: MarketAssignment, missing: int) -> None:
        if not assignment.gap.must_ask(missing, time.monotonic()):
            return
        known = {"market": self.market, "sequence": missing}
        log.warning("%s: command %d is missing in the log, asking the relay for it", *known.values(), extra=known)
        is_there = await ask_database(
            self._settings.dsn, self.name, lambda session: rewind(session, self.market, missing)
        )
        if not is_there:
            raise GapNeverFilled(self.market, missing)
