"""Copies of engine snapshots, from which a market is rebuilt when the whole broker is lost."""

import msgspec

from schemas.units import Timestamp, datetime_of
from store.session.connect import Session


class StoredSnapshot(msgspec.Struct, frozen=True):
    """A market's complete state after command `command_seq` and event `event_seq`."""

    command_seq: int
    event_seq: int
    event_hash: str
    state_hash: str
    state: bytes


_SAVE = """
INSERT INTO engine_snapshots (market_id, command_seq, event_seq, event_hash, state_hash, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
_NEWEST = """
SELECT s.command_seq, s.event_seq, s.event_hash, s.state_hash, s.state
FROM engine_snapshots s JOIN progress p USING (market_id)
WHERE s.market_id = $1 AND s.event_seq <= p.event_seq ORDER BY s.command_seq DESC LIMIT 1
"""
_FORGET = """
DELETE FROM engine_snapshots WHERE market_id = $1 AND command_seq < (
  SELECT max(s.command_seq) FROM engine_snapshots s JOIN progress p USING (market_id)
  WHERE s.market_id = $1 AND s.event_seq <= p.event_seq)
"""

_FORGET_AHEAD = """
DELETE FROM engine_snapshots s USING progress p
WHERE s.market_id = $1 AND p.market_id = s.market_id AND s.event_seq > p.event_seq
"""


async def save_snapshot(session: Session, market_id: int, snapshot: StoredSnapshot, at: Timestamp) -> None:
    """Store a snapshot; a second one with the same sequence is identical and is dropped."""
    await session.execute(_SAVE, market_id, *msgspec.structs.astuple(snapshot), datetime_of(at))


async def newest_snapshot_at_or_before_progress(session: Session, market_id: int) -> StoredSnapshot | None:
    """The snapshot a rebuild starts from: never one that the projection has not reached.

    Compared by event, not by command: a command with many events is persisted in parts.
    """
    row = await session.fetchrow(_NEWEST, market_id)
    return StoredSnapshot(*row) if row else None


async def forget_old(session: Session, market_id: int) -> None:
    """Delete the snapshots older than the newest one at or before progress; that one and newer ones stay."""
    await session.execute(_FORGET, market_id)


async def forget_ahead_of_progress(session: Session, market_id: int) -> None:
    """Delete the snapshots the projection has not reached: once a log is abandoned, its events may not recur unchanged."""
    await session.execute(_FORGET_AHEAD, market_id)
