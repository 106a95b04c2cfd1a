"""What the end of a documented topic holds: our records, and records that are not ours."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from broker.unreadable import Unreadable, UnreadableRecord, unreadable
from schemas.record_headers import TopicRecord
from schemas.wire import UNDECODABLE

R = TypeVar("R", bound=TopicRecord)


class Published(NamedTuple, Generic[R]):
    """A record of the topic as it was read, and what it says."""

    said: R
    record: Any


class MisplacedRecord(UnreadableRecord):
    """A record in the form of one of this market's that nothing in the market has led to."""

    def __init__(self, kind: str, sequence: int) -> None:
        super().__init__(Unreadable.UNKNOWN, f"no trade of the market is {kind} {sequence} of this event")


def ours_in(
    records: Sequence[Any], market: str, decode: Callable[[bytes], R]
) -> tuple[list[Published[R]], list[tuple[Any, UnreadableRecord]]]:
    """The records of the market among these, and the others with what is wrong with them."""
    ours: list[Published[R]] = []
    foreign: list[tuple[Any, UnreadableRecord]] = []
    for record in records:
        try:
            ours.append(Published(_read(record.value, market, decode), record))
        except UnreadableRecord as fault:
            foreign.append((record, fault))
    return ours, foreign


def is_same(one: TopicRecord, other: TopicRecord) -> bool:
    """Whether two records report the same; a release may print it with more fields than the one before."""
    return (one.sequence, one.event_id) == (other.sequence, other.event_id)


def last_without_hole(published: Sequence[Published[R]]) -> int | None:
    """The sequence of the last record before a hole; None when there is none."""
    return end_without_hole(iter([each.said.sequence for each in published]))


def end_without_hole(sequences: Iterator[int]) -> int | None:
    """The last sequence that follows the first one without a hole, skipping repetitions; None if there are none."""
    last: int | None = None
    for sequence in sequences:
        if last is None or sequence == last + 1:
            last = sequence
    return last


def _read(value: bytes | None, market: str, decode: Callable[[bytes], R]) -> R:
    if value is None:
        raise UnreadableRecord(Unreadable.MALFORMED, "no value")
    try:
        said = decode(value)
    except UNDECODABLE as error:
        raise unreadable(error) from error
    if said.market_id != market:
        raise UnreadableRecord(Unreadable.FOREIGN_MARKET, said.market_id)
    return said
