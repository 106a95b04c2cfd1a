"""What the end of a public fill stream holds: our fills, and records that are not ours."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from broker.unreadable import Unreadable, UnreadableRecord, unreadable
from schemas.fills import PublicFill, decode_fill
from schemas.wire import UNDECODABLE


class PublishedFill(NamedTuple):
    """A fill of the topic, and its record."""

    fill: PublicFill
    record: Any


class MisplacedFill(UnreadableRecord):
    """A record in the form of a fill of this market that the exchange has never matched."""

    def __init__(self, sequence: int) -> None:
        super().__init__(Unreadable.UNKNOWN, f"no trade of the market is fill {sequence} of this event")


def fills_in(records: Sequence[Any], market: str) -> tuple[list[PublishedFill], list[tuple[Any, UnreadableRecord]]]:
    """The fills of the market among these records, and the other records with what is wrong with them."""
    fills: list[PublishedFill] = []
    foreign: list[tuple[Any, UnreadableRecord]] = []
    for record in records:
        try:
            fills.append(PublishedFill(_read(record.value, market), record))
        except UnreadableRecord as fault:
            foreign.append((record, fault))
    return fills, foreign


def is_same(one: PublicFill, other: PublicFill) -> bool:
    """Whether two records are of the same fill; a release may print it with more fields than the one before."""
    return (one.sequence, one.trade_id, one.event_id) == (other.sequence, other.trade_id, other.event_id)


def last_without_hole(published: Sequence[PublishedFill]) -> int | None:
    """The sequence of the last fill before a hole; None when there is none."""
    return end_without_hole(iter([each.fill.sequence for each in published]))


def end_without_hole(sequences: Iterator[int]) -> int | None:
    """The last sequence that follows the first one without a hole, skipping repetitions; None if there are none."""
    last: int | None = None
    for sequence in sequences:
        if last is None or sequence == last + 1:
            last = sequence
    return last


def _read(value: bytes | None, market: str) -> PublicFill:
    if value is None:
        raise UnreadableRecord(Unreadable.MALFORMED, "no value")
    try:
        fill = decode_fill(value)
    except UNDECODABLE as error:
        raise unreadable(error) from error
    if fill.market_id != market:
        raise UnreadableRecord(Unreadable.FOREIGN_MARKET, fill.market_id)
    return fill
