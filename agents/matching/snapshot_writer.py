"""When a market's snapshot is due, and writing it to the changelog of the book table and to PostgreSQL."""

import time
from collections.abc import Sequence
from typing import Any

from agents.matching.market_assignment import MarketAssignment
from agents.worker.database import ask_database
from agents.worker.foreign_records import ForeignRecords
from agents.worker.metrics import SNAPSHOT_AT
from agents.worker.settings import StreamSettings
from broker.producer import AckedProducer
from broker.reader import read_back, records_between
from broker.unreadable import Unreadable, UnreadableRecord
from schemas.topics import book_changelog_topic, engine_app_id
from store.command_log.snapshots import StoredSnapshot, save_snapshot
from store.session.connect import Connection
from tables.book_table import (
    Snapshot,
    heads,
    is_entry,
    is_head,
    is_of_another_market,
    keys_of_snapshot,
    snapshot_entries,
    take_snapshot,
    verified_snapshots,
)

COMMANDS_MAX = 5_000
AGE_MAX_S = 5.0
PAUSE_PER_SECOND_TAKEN = 50  # after a snapshot that took d seconds, none is taken for 50 d: 2 % of the time
SNAPSHOT_PAUSE_MAX_S = 60.0  # however long it took: one that waited for a broker says nothing about the next
KEPT = 2


class SnapshotWriter:
    """Writes the snapshots of one market and keeps the newest two in the table."""

    def __init__(
        self, market: str, settings: StreamSettings, producer: AckedProducer, letters: AckedProducer, table: Any
    ) -> None:
        self._market = market
        self._settings = settings
        self._topic = book_changelog_topic(market)
        self._producer = producer
        self._foreign = ForeignRecords(market, self._topic, letters)
        self._table = table
        self._taken_at_s = 0.0
        self._not_before_s = 0.0
        self._copied_seq = 0

    def begin(self) -> None:
        """Start an assignment: a snapshot follows its first record.

        Faust does not seek back before a group's first commit, so that commit must not wait.
        """
        self._taken_at_s = 0.0

    async def pass_foreign_end(self) -> None:
        """Set aside what others wrote after the last entry of ours, while no engine worked."""
        end = await read_back(
            self._settings.bootstrap, self._topic, lambda found: len(self._strange(found)) < len(found)
        )
        await self._foreign.set_all_aside(self._strange(end))

    async def pass_foreign_entries(self) -> None:
        """Set aside what others wrote between our entries."""
        for place in self._producer.take_strangers(self._topic):
            between = await records_between(self._settings.bootstrap, self._topic, place.start, place.stop)
            await self._foreign.set_all_aside(self._strange(between))

    def _strange(self, records: Sequence[Any]) -> list[tuple[Any, UnreadableRecord]]:
        """The records of the changelog that no engine of this market has written."""
        entries = self._table.data.data | {each.key: each.value for each in records if each.value is not None}
        found = []
        for each in records:
            if not is_entry(each.key, each.value):
                found.append((each, UnreadableRecord(Unreadable.UNKNOWN, "not an entry of the book table")))
            elif each.value and is_head(each.key) and is_of_another_market(entries, self._market, each.value):
                found.append((each, UnreadableRecord(Unreadable.FOREIGN_MARKET, "a snapshot of another market")))
        return found

    def is_due(self, assignment: MarketAssignment) -> bool:
        """Whether to take a snapshot now: every 5,000 commands or 5 s, less often if the last one took long."""
        now_s = time.monotonic()
        if not (assignment.is_fully_logged and assignment.unacknowledged) or now_s < self._not_before_s:
            return False
        commands = assignment.market.command_seq - assignment.snapshot_seq
        return commands >= COMMANDS_MAX or now_s >= self._taken_at_s + AGE_MAX_S

    async def write(self, assignment: MarketAssignment) -> None:
        """Make the current state recoverable.

        1. Dump the market.
        2. Write the chunks and then the head, each durable before the next.
        3. Set the live table; Faust must not send it again.
        4. Forget all but the newest two.
        """
        begun_s = time.monotonic()
        taken = take_snapshot(assignment.market, assignment.epoch, assignment.offset)  # 1
        entries = snapshot_entries(taken)
        await self._producer.send_all(self._topic, entries)  # 2
        self._table.data.data.update(entries)  # 3
        await self._forget_old(taken.head.command_seq)  # 4
        assignment.saved(taken.head.command_seq, taken.state)
        SNAPSHOT_AT.labels(self._market).set_to_current_time()
        self._taken_at_s = time.monotonic()
        self._not_before_s = self._taken_at_s + snapshot_pause_after(self._taken_at_s - begun_s)

    async def copy_to_database(self, assignment: MarketAssignment) -> None:
        """Copy the newest snapshot of the table to PostgreSQL, if it is not there yet; waits through an outage."""
        newest = next(iter(verified_snapshots(self._table.data.data, self._market, assignment.epoch)), None)
        if newest is not None and newest.head.command_seq > self._copied_seq:
            await self._copy(assignment, newest)
            self._copied_seq = newest.head.command_seq

    async def _copy(self, assignment: MarketAssignment, newest: Snapshot) -> None:
        head, at = newest.head, assignment.market.clock
        stored = StoredSnapshot(head.command_seq, head.event_seq, head.event_hash, head.state_hash, newest.state)

        async def save(connection: Connection) -> None:
            await save_snapshot(connection, assignment.market_id, stored, at)

        await ask_database(self._settings.dsn, engine_app_id(self._market), save)

    async def _forget_old(self, newest: int) -> None:
        """Forget all but two snapshots up to the newest; a head beyond it is not ours."""
        entries = self._table.data.data
        for head in [head for head in heads(entries) if head.command_seq <= newest][KEPT:]:
            keys = keys_of_snapshot(entries, head.command_seq)
            for key in keys:
                entries.pop(key, None)
            await self._producer.send_all(self._topic, [(key, None) for key in keys])


def snapshot_pause_after(took_s: float) -> float:
    """Seconds without another snapshot after one that took `took_s` seconds."""
    return min(took_s * PAUSE_PER_SECOND_TAKEN, SNAPSHOT_PAUSE_MAX_S)
