"""The outbox: every command of a market in gapless order, until a durable snapshot covers it; and the relay's cursor."""

from typing import NamedTuple

from schemas.units import Timestamp, datetime_of
from store.session.connect import Session

PRUNED_AT_ONCE = 20_000


class OutboxCommand(NamedTuple):
    """A command in the outbox: its sequence and its encoded bytes."""

    seq: int
    payload: bytes


_READ = """
SELECT command_seq, payload FROM outbox WHERE market_id = $1 AND command_seq > $2 ORDER BY command_seq LIMIT $3
"""
_MOVE = "UPDATE relay_cursors SET command_seq = $3 WHERE market_id = $1 AND command_seq = $2 RETURNING true"
_SENT = f"""
WITH moved AS ({_MOVE}), noted AS (
  INSERT INTO relayed_records (market_id, command_seq, after_seq, sent_at)
  SELECT $1, $3, greatest($2, $5::int8), $4 FROM moved WHERE EXISTS (
    SELECT FROM orders o
    WHERE o.order_id > order_key($1, greatest($2, $5))
      AND o.order_id <= order_key($1, $3))
  ON CONFLICT DO NOTHING)
SELECT true FROM moved
"""  # noqa: S608 - our own constant
_REWIND = """
WITH rewound AS (
  UPDATE relay_cursors r SET command_seq = least(r.command_seq, $2::int8 - 1) FROM markets m
  WHERE m.name = $1 AND r.market_id = m.market_id AND r.pruned_seq < $2 RETURNING m.name)
SELECT true, pg_notify('commands', name) FROM rewound
"""
_SET_CURSOR = "UPDATE relay_cursors SET command_seq = $2 WHERE market_id = $1"

# A command is kept until it is sent and covered by a snapshot in PostgreSQL that is itself at or before progress. Scans start where
# the last run ended, never at the dead rows before it.
_PRUNE = """
WITH covered AS (
  SELECT r.pruned_seq AS low, least(r.pruned_seq + $2::int8, s.command_seq, r.command_seq) AS high
  FROM relay_cursors r JOIN progress p USING (market_id) CROSS JOIN LATERAL (
    SELECT x.command_seq FROM engine_snapshots x WHERE x.market_id = r.market_id AND x.event_seq <= p.event_seq
    ORDER BY x.command_seq DESC LIMIT 1) s
  WHERE r.market_id = $1 AND least(s.command_seq, r.command_seq) > r.pruned_seq FOR NO KEY UPDATE OF r),
pruned AS (
  DELETE FROM outbox o USING covered c
  WHERE o.market_id = $1 AND o.command_seq > c.low AND o.command_seq <= c.high RETURNING 1),
moved AS (UPDATE relay_cursors r SET pruned_seq = c.high FROM covered c WHERE r.market_id = $1)
SELECT count(*) FROM pruned
"""


async def read_commands(session: Session, market_id: int, after_seq: int, limit: int) -> list[OutboxCommand]:
    """The commands after `after_seq`, in order, at most `limit`. None can be missed, because sequences commit in order."""
    return [OutboxCommand(*row) for row in await session.fetch(_READ, market_id, after_seq, limit)]


async def read_cursor(session: Session, market_id: int) -> int:
    """Sequence of the last command the relay has sent."""
    seq: int = await session.fetchval("SELECT command_seq FROM relay_cursors WHERE market_id = $1", market_id)
    return seq


async def read_pruned(session: Session, market_id: int) -> int:
    """Sequence of the last pruned command: a snapshot in PostgreSQL covers it."""
    seq: int = await session.fetchval("SELECT pruned_seq FROM relay_cursors WHERE market_id = $1", market_id)
    return seq


async def record_sent(
    session: Session, market_id: int, from_seq: int, to_seq: int, sent_at: Timestamp, *, sent_before: int = 0
) -> bool:
    """Advance the cursor past what was sent, and record the time; False when it is no longer at `from_seq`: it was rewound.

    Commands up to `sent_before` get no time: they were sent again, and the time of their first sending is not known.
    """
    return bool(await session.fetchval(_SENT, market_id, from_seq, to_seq, datetime_of(sent_at), sent_before))


async def correct_cursor(session: Session, market_id: int, from_seq: int, to_seq: int) -> bool:
    """Make the relay continue after `to_seq`, where the log ends; False when the cursor is no longer at `from_seq`."""
    return bool(await session.fetchval(_MOVE, market_id, from_seq, to_seq))


async def rewind(session: Session, market: str, missing_seq: int) -> bool:
    """Make the relay send again from `missing_seq`; False when that command is pruned and only a rebuild helps."""
    return bool(await session.fetchval(_REWIND, market, missing_seq))


async def set_cursor(session: Session, market_id: int, seq: int) -> None:
    """Make the relay continue after `seq`, whatever it has sent: the log is new (rebuild), or its end is known."""
    await session.execute(_SET_CURSOR, market_id, seq)


async def prune(session: Session, market_id: int, limit: int = PRUNED_AT_ONCE) -> int:
    """Delete commands that a snapshot at or before progress covers, oldest first; returns their number."""
    count: int = await session.fetchval(_PRUNE, market_id, limit)
    return count
