"""The checkers are checked: what the verdict on a running exchange would say of logs that are wrong."""

import pytest

from exchange.engine.market import empty_market
from tables.book_table import Entry, Snapshot, keys_of_snapshot, snapshot_entries, snapshot_of
from tests.system.verdict import count_snapshots

STATE = b'[1,{"market":"TEA-PERP"}]'
OTHER = b'[1,{"market":"TEA-PERP"},2]'


def snapshot(command_seq: int, state: bytes = STATE, offset: int = 0) -> Snapshot:
    """A snapshot of a market that has seen this many commands."""
    market = empty_market("TEA-PERP")
    market.command_seq = command_seq
    return snapshot_of(state, market, epoch=1, offset=offset)


def test_a_zombie_that_writes_the_same_snapshot_once_more_is_harmless() -> None:
    """Also when the owner has gone on, and when it read the commands from another record."""
    old, new, again = snapshot(5), snapshot(9), snapshot(5, offset=3)
    assert count_snapshots("TEA-PERP", [entry for each in (old, new, again) for entry in snapshot_entries(each)]) == 2


def test_a_snapshot_with_two_contents_is_found() -> None:
    """Two owners that disagree on the state after the same command."""
    written = [*snapshot_entries(snapshot(5)), *snapshot_entries(snapshot(5, OTHER))]
    with pytest.raises(AssertionError, match="another content"):
        count_snapshots("TEA-PERP", written)


def test_an_older_snapshot_over_a_newer_one_is_found() -> None:
    """A zombie that deletes, or overwrites, what its successor has written."""
    older, newer = snapshot(5), snapshot(9)
    written: list[tuple[bytes, bytes | None]] = [*snapshot_entries(newer), *snapshot_entries(older)]
    gone = keys_of_snapshot(dict(snapshot_entries(newer)), 9)
    with pytest.raises(AssertionError, match="older snapshot"):
        count_snapshots("TEA-PERP", [*written, *((key, None) for key in gone)])


def test_keys_without_the_sequence_are_found() -> None:
    """Then a zombie's head takes the place of its successor's."""

    def under_one_key(entries: list[Entry]) -> list[Entry]:
        return [(key.partition(b"/")[0] + b"/0/0", value) for key, value in entries]

    written = [*under_one_key(snapshot_entries(snapshot(9))), *under_one_key(snapshot_entries(snapshot(5)))]
    with pytest.raises(AssertionError, match="another content"):
        count_snapshots("TEA-PERP", written)
