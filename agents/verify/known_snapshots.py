"""Every snapshot of a market that still exists: in the book table's changelog and in PostgreSQL."""

from collections.abc import Iterable
from typing import NamedTuple

from agents.verify.report import Report
from agents.worker.settings import StreamSettings
from broker.reader import stream_records
from exchange.engine.log.snapshot_format import state_hash
from schemas.topics import book_changelog_topic
from store.command_log.snapshots import StoredSnapshot
from store.markets.progress import MarketProgress
from tables.book_table import Head, chunk_keys, heads, is_entry, is_head, is_of_another_market, read_head, state_of


class KnownSnapshot(NamedTuple):
    """The head of a snapshot and its state. `state` is None if its chunks are not kept: it can be compared, not loaded."""

    source: str
    command_seq: int
    event_seq: int
    event_hash: str
    state_hash: str
    state: bytes | None


def stored_snapshots(stored: Iterable[StoredSnapshot], report: Report) -> list[KnownSnapshot]:
    """The copies in PostgreSQL; one whose bytes do not match its hash is a difference."""
    return [
        _checked(KnownSnapshot("PostgreSQL", s.command_seq, s.event_seq, s.event_hash, s.state_hash, s.state), report)
        for s in stored
    ]


async def table_snapshots(settings: StreamSettings, progress: MarketProgress, report: Report) -> list[KnownSnapshot]:
    """The snapshots of the changelog: those in the table, and earlier ones that are not compacted away yet.

    A zombie may write the head of an old snapshot whose chunks the owner has already deleted: that one is skipped.
    """
    entries: dict[bytes, bytes] = {}
    forgotten: set[bytes] = set()
    passed: dict[int, KnownSnapshot] = {}
    async for each in stream_records(settings.bootstrap, book_changelog_topic(report.market)):
        if not is_entry(each.key, each.value):
            report.skipped_records += 1
            continue
        if each.value is None:
            entries.pop(each.key, None)
            forgotten.add(each.key)
            continue
        entries[each.key] = each.value
        if is_head(each.key):
            head = read_head(each.value)
            if is_of_another_market(entries, report.market, each.value):
                report.skipped_records += 1
                entries.pop(each.key)
            elif state_hash(state_of(entries, head)) == head.state_hash:
                passed[head.command_seq] = _of(head, None)
    gone = forgotten - entries.keys()
    held = [head for head in heads(entries) if head.epoch == progress.epoch and gone.isdisjoint(chunk_keys(head))]
    for head in held:
        passed[head.command_seq] = _checked(_of(head, state_of(entries, head)), report)
    return list(passed.values())


def _of(head: Head, state: bytes | None) -> KnownSnapshot:
    return KnownSnapshot("the table", head.command_seq, head.event_seq, head.event_hash, head.state_hash, state)


def _checked(known: KnownSnapshot, report: Report) -> KnownSnapshot:
    """The snapshot if its bytes match its hash; otherwise the snapshot without them, and a difference is reported."""
    found = state_hash(known.state or b"")
    if found == known.state_hash:
        return known
    report.differs(f"snapshot after command {known.command_seq} in {known.source}", known.state_hash, found)
    return known._replace(state=None)
