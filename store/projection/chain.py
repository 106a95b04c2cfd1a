"""The new events of a batch of records, verified by sequence and by hash to follow the persisted ones."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from exchange.engine.rules import check_known
from schemas.events import Event
from schemas.units import Timestamp, datetime_or_none
from schemas.wire import EventRecord, chain_hash, decode_event
from store.projection.errors import ChainBroken, EventGap
from store.projection.rows import RecordRow


class Progress(NamedTuple):
    """How far a market is persisted: the last event, its hash, and the last command with all its events."""

    event_seq: int
    command_seq: int
    event_hash: str


class ChainedEvent(NamedTuple):
    """An event with the hash before it, as its record claims, and its own hash.

    `answered` is the last command with no more events to come: where the record ends in the middle of this event's command,
    the command before it.
    """

    event: Event
    previous: str
    hash: str
    answered: int


def decode_chain(market: str, records: Iterable[EventRecord]) -> list[ChainedEvent]:
    """The events of the records, in order; raises ChainBroken for a record that contradicts itself.

    UnknownRules for one that only newer code can interpret correctly.
    """
    return [chained for record in records for chained in _links(market, record)]


def events_after(market: str, progress: Progress, chain: Sequence[ChainedEvent]) -> tuple[list[Event], Progress]:
    """Drop persisted events, check that the rest continues them without a gap; returns the new events and progress.

    Raises EventGap where an event is missing, ChainBroken where a hash differs.
    """
    fresh: list[Event] = []
    last, answered, last_hash = progress
    for event, previous, hash_, answered_by_it in chain:
        seq = event.seq
        if seq == last and hash_ != last_hash:
            raise ChainBroken(market, event=seq, persisted=last_hash, got=hash_)
        if seq <= last:
            continue
        if seq != last + 1:
            raise EventGap(market, last + 1, seq)
        if previous != last_hash:
            raise ChainBroken(market, event=seq, persisted=last_hash, got=previous)
        fresh.append(event)
        last, answered, last_hash = seq, answered_by_it, hash_
    return fresh, Progress(last, answered, last_hash)


def rows_of_records(
    market_id: int,
    progress: Progress,
    records: Iterable[EventRecord],
    logged_at: Iterable[Timestamp | None],
    of_orders: Sequence[int],
) -> list[RecordRow]:
    """A row for each record that completes commands which were not complete before.

    `of_orders` are the commands that placed, amended or ended the orders of the batch, sorted.
    """
    rows: list[RecordRow] = []
    answered = progress.command_seq
    for record, at in zip(records, logged_at, strict=True):
        last = record.last_command_seq
        if last > answered:
            is_of_orders = bisect_right(of_orders, answered) < bisect_right(of_orders, last)
            rows.append(RecordRow(market_id, last, answered, datetime_or_none(at), is_of_orders))
            answered = last
    return rows


def _links(market: str, record: EventRecord) -> Iterator[ChainedEvent]:
    check_known(record.rules)
    previous, seq = record.prev_hash, record.first_event_seq - 1
    for seq, body in enumerate(record.events, record.first_event_seq):
        event, following = decode_event(body), chain_hash(previous, body)
        if event.seq != seq:
            raise ChainBroken(market, event=seq, got=event.seq)
        yield ChainedEvent(event, previous, following, min(event.command, record.last_command_seq))
        previous = following
    if record.market != market or previous != record.hash or seq != record.last_event_seq:
        raise ChainBroken(market, record_of=record.market, last=record.last_event_seq, hash=record.hash, got=previous)
