"""Packing events into records: one record when they fit, cut where a command ends when they do not."""

import msgspec
import pytest

from broker.errors import LogMismatch
from broker.event_records import hashes_in, is_whole, pack
from exchange.engine.log.journal import EncodedEvent
from schemas.wire import EVENT_RECORD_BYTES_MAX, GENESIS_HASH, RULES_VERSION, EventRecord, chain_hash

THIRD = EVENT_RECORD_BYTES_MAX // 3 + 10


def written(*commands: int, size: int = 10) -> list[EncodedEvent]:
    """Events of these commands, `size` bytes each, chained from the beginning."""
    events, chain = [], GENESIS_HASH
    for seq, command in enumerate(commands, 1):
        body = b'"' + b"x" * (size - 2) + b'"'
        chain = chain_hash(chain, body)
        events.append(EncodedEvent(seq, command, body, chain, RULES_VERSION))
    return events


def packed(events: list[EncodedEvent]) -> list[EventRecord]:
    """The records of these events."""
    return list(pack("TEA-PERP", 1, GENESIS_HASH, events))


def test_events_that_fit_leave_as_one_record() -> None:
    """One record is atomic, two are not."""
    (record,) = packed(written(1, 1, 2))
    assert (record.first_command_seq, record.last_command_seq) == (1, 2)
    assert (record.first_event_seq, record.last_event_seq) == (1, 3)


def test_a_large_record_is_cut_where_a_command_ends() -> None:
    """Two events of a third each fit; the third command starts the next record."""
    first, second = packed(written(1, 2, 3, 3, size=THIRD))
    assert (first.last_event_seq, first.last_command_seq) == (2, 2)
    assert (second.first_event_seq, second.first_command_seq, second.last_command_seq) == (3, 3, 3)
    assert second.prev_hash == first.hash


def test_a_command_larger_than_a_record_counts_with_its_last_event() -> None:
    """Parts that do not finish a command name the one before it as their last."""
    parts = packed(written(1, 1, 1, size=THIRD))
    assert [part.last_command_seq for part in parts] == [0, 1]


@pytest.mark.parametrize(
    ("stretches", "needed", "whole"),
    [
        ([(1, 4), (5, 9)], range(3, 4), True),
        ([(5, 9), (10, 12)], range(3, 4), False),
        ([(2, 4), (8, 9), (10, 10)], range(3, 4), False),
        ([(2, 4), (8, 9), (3, 7), (10, 10)], range(3, 4), True),
        ([(2, 4)], range(3, 6), False),
        ([(2, 4), (3, 5)], range(3, 6), True),
        ([(1, 2)], range(1), True),
        ([(2, 2)], range(1), False),
        ([(1, 9)], range(50, 51), False),
        ([(1, 50), (3, 4)], range(50, 51), True),
    ],
)
def test_a_part_of_the_log_is_whole_without_a_hole(
    stretches: list[tuple[int, int]], needed: range, whole: bool
) -> None:
    """From the first event that is needed to the last of all, in any order and any number of times."""
    assert is_whole(stretches, needed) is whole


def test_nothing_to_say_is_no_record() -> None:
    """Events that are all in the log already leave nothing to write."""
    assert packed([]) == []


def test_record_borders_do_not_change_a_hash() -> None:
    """The chain is per event, so a relay that packs otherwise after a crash changes nothing."""
    events = written(1, 2, 3, 4)
    together = dict(pair for record in packed(events) for pair in hashes_in(record))
    assert together == {event.seq: event.hash for event in events}


def test_a_record_that_ends_at_another_hash_is_foreign() -> None:
    """A record changed on the way is noticed."""
    (record,) = packed(written(1, 2))
    changed = msgspec.structs.replace(record, events=[record.events[0], msgspec.Raw(b"{}")])
    with pytest.raises(LogMismatch):
        list(hashes_in(changed))
