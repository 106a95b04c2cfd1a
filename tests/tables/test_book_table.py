"""Snapshots in the book table: chunks, a head, and what recovery believes of them."""

import msgspec

from exchange.engine.market import Market, empty_market
from tables.book_table import (
    CHUNK_BYTES,
    Snapshot,
    heads,
    keys_of_snapshot,
    snapshot_entries,
    snapshot_of,
    take_snapshot,
    verified_snapshots,
)


def market_at(command_seq: int) -> Market:
    """A market that has seen this many commands."""
    market = empty_market("TEA-PERP")
    market.command_seq = command_seq
    return market


def large_snapshot(command_seq: int = 9) -> Snapshot:
    """A state of two and a half chunks."""
    beginning, end = b'[1,{"market":"TEA-PERP"},"', b'"]'
    state = beginning + b"x" * (CHUNK_BYTES * 5 // 2 - len(beginning + end)) + end
    return snapshot_of(state, market_at(command_seq), epoch=1, offset=4)


def test_a_snapshot_comes_back_as_it_was() -> None:
    """Chunks and head together give the state again."""
    taken = large_snapshot()
    assert verified_snapshots(dict(snapshot_entries(taken)), "TEA-PERP", epoch=1) == [taken]


def test_the_head_is_written_last() -> None:
    """A crash in between leaves chunks that no head names."""
    keys = [key for key, _ in snapshot_entries(large_snapshot())]
    assert keys == [b"s/9/0", b"s/9/1", b"s/9/2", b"head/9"]


def test_a_snapshot_that_misses_a_chunk_is_not_believed() -> None:
    """Recovery takes the highest that verifies."""
    entries = dict(snapshot_entries(large_snapshot(9)) + snapshot_entries(take_snapshot(market_at(5), 1, 0)))
    del entries[b"s/9/1"]
    assert [found.head.command_seq for found in verified_snapshots(entries, "TEA-PERP", epoch=1)] == [5]


def test_a_snapshot_of_another_epoch_is_not_taken() -> None:
    """After a rebuild the log started again."""
    entries = dict(snapshot_entries(take_snapshot(market_at(5), 1, 0)))
    assert verified_snapshots(entries, "TEA-PERP", epoch=2) == []
    assert [head.epoch for head in heads(entries)] == [1]


def test_the_hash_leaves_out_offset_and_epoch() -> None:
    """The same state has the same hash wherever it was taken."""
    one, other = (take_snapshot(market_at(5), epoch, offset).head for epoch, offset in ((1, 3), (2, 8)))
    assert one.state_hash == other.state_hash
    assert msgspec.structs.replace(one, epoch=2, offset=8) == other


def test_a_snapshot_is_forgotten_head_first() -> None:
    """No head ever names a chunk that is gone, and another snapshot's chunks are left alone."""
    entries = dict(snapshot_entries(large_snapshot(9)) + snapshot_entries(large_snapshot(91)))
    assert keys_of_snapshot(entries, 9) == [b"head/9", b"s/9/0", b"s/9/1", b"s/9/2"]
