"""Recovering a market: the newest valid snapshot, and the hashes of the events written after it."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from agents.matching.market_assignment import MarketAssignment, StartingPoint
from agents.worker.database import ask_database
from agents.worker.halting import check_not_halted
from agents.worker.settings import StreamSettings
from broker.errors import LogMismatch
from broker.event_records import read_written
from broker.reader import unnoticed
from exchange.engine.log.snapshot_format import load
from exchange.engine.market import Market, empty_market
from schemas.topics import engine_app_id
from store.command_log.failed_commands import read_failed_commands
from store.command_log.snapshots import StoredSnapshot, newest_snapshot_at_or_before_progress
from store.markets.progress import MarketProgress, read_market_progress
from store.session.connect import Connection
from tables.book_table import BEFORE_THE_FIRST_RECORD, heads, verified_snapshots

log = logging.getLogger(__name__)


class _Dump(NamedTuple):
    """A state that is not loaded yet, and the offset of the command record that it came from."""

    command_seq: int
    offset: int
    state: bytes


async def begin_assignment(
    market: str, settings: StreamSettings, entries: Mapping[bytes, bytes], on_step: Callable[[], None] = unnoticed
) -> MarketAssignment:
    """Recover a market; `on_step` is called after each step of progress.

    1. Read from PostgreSQL the epoch and how far the events are persisted. A table that holds only snapshots of other
       epochs belongs to another exchange. A halted market is not recovered: MarketHalted.
    2. List the snapshots of the table and the newest one in PostgreSQL, newest first, and the empty market last.
    3. Choose the first one whose events are all in the log or persisted. If the log has lost its tail, snapshots newer
       than the tail cannot be used: readers would find a hole. Finding the last event in the log proves nothing: an
       owner that noticed the loss has written after it.
    4. Its last event must have the same hash in the log. Events that the log holds after it are not written again, and
       commands that failed, by the log or by PostgreSQL, fail again. The assignment keeps the last record of the log:
       its own first record must come after it, and that last record must still be there.
    """
    progress, kept, persisted = await ask_database(
        settings.dsn, engine_app_id(market), lambda c: _what_is_known(c, market)
    )  # 1
    check_not_halted(market, progress)
    on_step()
    for point in _starting_points(market, progress, entries, kept):  # 2
        state = point.market
        first = min(state.event_seq, progress.event_seq + 1)
        needed = range(first, state.event_seq + 1)
        written, failed, last = await read_written(settings.bootstrap, market, progress.epoch, needed, on_step)
        if all(seq in written for seq in range(progress.event_seq + 1, state.event_seq + 1)):  # 3
            _check_last_event(state, written)  # 4
            known = {"market": market, "sequence": state.command_seq}
            log.info("%s continues after command %d, event %d", *known.values(), state.event_seq, extra=known)
            return MarketAssignment(market, progress, point, written, failed | persisted, log_end=last)
        log.error(
            "%s: the event log has a hole before event %d of a snapshot, taking an older one", market, state.event_seq
        )
    raise AssertionError("the empty market needs no event")


async def _what_is_known(connection: Connection, market: str) -> tuple[MarketProgress, StoredSnapshot | None, set[int]]:
    progress = await read_market_progress(connection, market)
    kept = await newest_snapshot_at_or_before_progress(connection, progress.market_id)
    persisted = await read_failed_commands(connection, progress.market_id)
    return progress, kept, persisted


def _starting_points(
    market: str, progress: MarketProgress, entries: Mapping[bytes, bytes], kept: StoredSnapshot | None
) -> Iterator[StartingPoint]:
    """Newest first. A state is loaded when its turn comes: the others would only take time and memory.

    Of two copies of one snapshot the table's is first. That in PostgreSQL names no command record: the log is read from its beginning.
    """
    known = heads(entries)
    if known and all(head.epoch != progress.epoch for head in known):
        raise LogMismatch(f"epoch of the snapshots of {market}", progress.epoch, known[0].epoch)
    dumps = [
        _Dump(head.command_seq, head.offset, state)
        for head, state in verified_snapshots(entries, market, progress.epoch)
    ]
    if kept is not None:
        dumps.append(_Dump(kept.command_seq, BEFORE_THE_FIRST_RECORD, kept.state))
    for dumped in sorted(dumps, key=lambda each: (-each.command_seq, -each.offset)):
        yield StartingPoint(load(dumped.state), dumped.offset)
    yield StartingPoint(empty_market(market), BEFORE_THE_FIRST_RECORD)


def _check_last_event(state: Market, written: dict[int, str]) -> None:
    logged = written.pop(state.event_seq, state.event_hash)
    if logged != state.event_hash:
        raise LogMismatch(f"hash of event {state.spec.market}:{state.event_seq}", state.event_hash, logged)
