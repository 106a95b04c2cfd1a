"""Event records: packing the journal's events, and reading back those already in the log."""

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import msgspec

from broker.errors import LogMismatch
from broker.reader import LastRecord, last_of, offset_before, read_back, unnoticed
from broker.unreadable import Unreadable, UnreadableRecord, check_not_newer, unreadable
from exchange.engine.log.journal import EncodedEvent
from schemas.topics import events_topic
from schemas.units import Timestamp
from schemas.wire import (
    EVENT_RECORD_BYTES_MAX,
    UNDECODABLE,
    EventRecord,
    chain_hash,
    decode_event_record,
    failed_command,
)

EXACT_WITHIN = 4_096
LOOKED_FURTHER = 1_000


class LoggedRecord(NamedTuple):
    """An event record and its timestamp in the log, to the millisecond: when the broker received it."""

    record: EventRecord
    at: Timestamp


class WrittenLog(NamedTuple):
    """The contents of an event log: the hash of each event by sequence, the commands that failed, the last record."""

    hashes: dict[int, str]
    failed: set[int]
    last: LastRecord


def pack(market: str, epoch: int, prev_hash: str, written: Sequence[EncodedEvent]) -> Iterator[EventRecord]:
    """One record for these events; several when they exceed 512 KiB, split where a command ends.

    A single command above 512 KiB of events is split between its events, and every part but its last has
    `lastCommandSeq` = the command before: a command counts as done only with its last event.
    """
    for part in _parts(written):
        yield _record(market, epoch, prev_hash, part, is_complete=_ends_command(part, written))
        prev_hash = part[-1].hash


def hashes_in(record: EventRecord) -> Iterator[tuple[int, str]]:
    """Sequence and chain hash of each event of a record; LogMismatch when they do not end at the record's own hash."""
    chain = record.prev_hash
    for seq, body in enumerate(record.events, record.first_event_seq):
        chain = chain_hash(chain, body)
        yield seq, chain
    if chain != record.hash:
        raise LogMismatch(f"hash of event {record.market}:{record.last_event_seq}", record.hash, chain)


def read_record(value: bytes | None, market: str) -> EventRecord:
    """A record of a market's event log; raises UnreadableRecord for one that is not ours, NewerRecord for one we cannot read."""
    if value is None:
        raise UnreadableRecord(Unreadable.MALFORMED, "no value")
    try:
        record = decode_event_record(value)
    except UNDECODABLE as error:
        check_not_newer(value, market)
        raise unreadable(error) from error
    if record.market != market:
        raise UnreadableRecord(Unreadable.FOREIGN_MARKET, record.market)
    return record


def record_or_none(value: bytes | None, market: str) -> EventRecord | None:
    """An event record of the market, or None for a record in its log that is not ours. Raises NewerRecord."""
    try:
        return read_record(value, market)
    except UnreadableRecord:
        return None


async def read_written(
    bootstrap: str, market: str, epoch: int, needed: range, on_fetched: Callable[[], None] = unnoticed
) -> WrittenLog:
    """The log from the first of the needed events, if it is there, to its end. Records that are not ours are passed."""
    found = await _read_back(bootstrap, market, needed, on_fetched)
    records = [record for each in found if (record := record_or_none(each.value, market)) is not None]
    for record in records:
        if record.epoch != epoch:
            raise LogMismatch(f"epoch of event record {market}:{record.first_event_seq}", epoch, record.epoch)
    hashes = (pair for record in records for pair in hashes_in(record))
    failed = (failed_command(body) for record in records for body in record.events)
    return WrittenLog(
        {seq: chain for seq, chain in hashes if seq >= needed.start},
        {seq for seq in failed if seq is not None},
        last_of(found),
    )


async def read_records(
    bootstrap: str, market: str, after_seq: int, on_fetched: Callable[[], None] = unnoticed
) -> list[LoggedRecord]:
    """The event records from the one that holds event `after_seq` (or the first there is) to the end of the log."""
    found = await _read_back(bootstrap, market, range(after_seq, after_seq + 1), on_fetched)
    records = ((record_or_none(each.value, market), each.timestamp) for each in found)
    return [LoggedRecord(record, Timestamp(ms * 1_000)) for record, ms in records if record is not None]


async def offset_after(bootstrap: str, market: str, event_seq: int) -> int:
    """From where a log must be read to hold every event after this one, and all that others wrote after it; it may hold older ones.

    Near the end of the log it is exact. Far from it a thawed owner may have written old events again: 1,000 records more are
    read then, and a hole that a reader still finds is read by `read_records`. So is one where old events fill the last records
    of the log, as many as are read at first: the next event shows it.
    """

    def ranges_in(found: list[Any]) -> list[tuple[int, int, int]]:
        records = ((each.offset, record_or_none(each.value, market)) for each in found)
        return [(offset, one.first_event_seq, one.last_event_seq) for offset, one in records if one is not None]

    def is_exact(found: list[Any]) -> bool:
        return is_whole([(low, high) for _, low, high in ranges_in(found)], range(event_seq, event_seq + 1))

    if event_seq == 0:
        return 0
    topic = events_topic(market)
    found = await read_back(bootstrap, topic, lambda found: is_exact(found) or len(found) >= EXACT_WITHIN)
    if not found:
        return 0
    if is_exact(found):
        before = takewhile(lambda each: each[2] <= event_seq, ranges_in(found))
        return 1 + max((offset for offset, _, _ in before), default=found[0].offset - 1)
    if len(found) < EXACT_WITHIN:
        return int(found[0].offset)
    far = await offset_before(
        bootstrap, topic, lambda each: any(high <= event_seq for _, _, high in ranges_in([each])), EXACT_WITHIN
    )
    return max(0, far - LOOKED_FURTHER)


async def _read_back(bootstrap: str, market: str, needed: range, on_fetched: Callable[[], None]) -> list[Any]:
    """The end of the log, read back until it holds the needed events and all that follow, without a hole.

    It is not enough that the first record read starts early enough: it may hold old events that a thawed owner has
    written again, and the events written before it are further back. Events not found in 1,000 more records are lost.
    """
    reached_in = 0

    def is_enough(found: list[Any]) -> bool:
        nonlocal reached_in
        records = [record for each in found if (record := record_or_none(each.value, market)) is not None]
        if not reached_in and records and records[0].first_event_seq <= max(1, needed.start):
            reached_in = len(records)
        ranges = [(record.first_event_seq, record.last_event_seq) for record in records]
        return bool(records) and (is_whole(ranges, needed) or 0 < reached_in <= len(records) - LOOKED_FURTHER)

    return await read_back(bootstrap, events_topic(market), is_enough, on_fetched=on_fetched)


def is_whole(stretches: Sequence[tuple[int, int]], needed: range) -> bool:
    """Whether ranges of sequences cover everything from the first needed one to the last and to the highest of them."""
    highest = max([needed.stop - 1, *(high for _, high in stretches)])
    reached = max(1, needed.start) - 1
    for low, high in sorted(stretches):
        if low <= reached + 1:
            reached = max(reached, high)
    return reached >= highest


def _record(market: str, epoch: int, prev_hash: str, part: Sequence[EncodedEvent], *, is_complete: bool) -> EventRecord:
    return EventRecord(
        market=market,
        epoch=epoch,
        first_command_seq=part[0].command,
        last_command_seq=part[-1].command if is_complete else part[-1].command - 1,
        first_event_seq=part[0].seq,
        last_event_seq=part[-1].seq,
        prev_hash=prev_hash,
        hash=part[-1].hash,
        rules=part[-1].rules,
        events=[msgspec.Raw(event.body) for event in part],
    )


def _ends_command(part: Sequence[EncodedEvent], written: Sequence[EncodedEvent]) -> bool:
    """Whether a part holds the last event of its last command."""
    following = part[-1].seq - written[0].seq + 1
    return following == len(written) or written[following].command != part[-1].command


def _parts(written: Sequence[EncodedEvent]) -> Iterator[Sequence[EncodedEvent]]:
    start = 0
    while start < len(written):
        stop = _last_that_fits(written, start)
        yield written[start:stop]
        start = stop


def _last_that_fits(written: Sequence[EncodedEvent], start: int) -> int:
    """The end of a part that begins at `start`: after the last whole command that fits, else after the last event."""
    size, border = 0, start
    for at in range(start, len(written)):
        size += len(written[at].body) + 1
        if size > EVENT_RECORD_BYTES_MAX and at > start:
            return border if border > start else at
        if at + 1 == len(written) or written[at + 1].command != written[at].command:
            border = at + 1
    return len(written)
