"""The outbox: every command of a market in gapless order, until a durable snapshot covers it; and the relay's cursor."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.units import Timestamp, datetime_of
from store.session.connect import Session

PRUNED_AT_ONCE = 20_000


class OutboxCommand(NamedTuple):
    """A command in the outbox: its sequence and its encoded bytes."""

    seq: int
    payload: bytes


class WaitingCommands(NamedTuple):
    """The first commands after the cursor of a market, in order."""

    cursor: int
    commands: list[OutboxCommand]


class SentRecord(NamedTuple):
    """A record that the broker has acknowledged: the commands of a market after `from_seq` up to `to_seq`.

    Commands up to `sent_before` get no time: they were sent again, and the time of their first sending is not known.
    """

    market_id: int
    from_seq: int
    to_seq: int
    sent_at: Timestamp
    sent_before: int = 0


class OutboxState(NamedTuple):
    """How far a market is sent, persisted and pruned; `covered_seq`: what its newest snapshot at or before progress covers."""

    cursor: int
    persisted_seq: int
    pruned_seq: int
    covered_seq: int

    @property
    def prunable(self) -> int:
        """How many commands no process needs any more."""
        return min(self.cursor, self.covered_seq) - self.pruned_seq


_READ = """
SELECT command_seq, payload FROM outbox WHERE market_id = $1 AND command_seq > $2 ORDER BY command_seq LIMIT $3
"""
_MOVE = "UPDATE relay_cursors SET command_seq = $3 WHERE market_id = $1 AND command_seq = $2 RETURNING true"
_READ_WAITING = """
SELECT w.market_id, r.command_seq AS cursor, o.command_seq, o.payload
FROM unnest($1::int4[]) AS w (market_id)
CROSS JOIN LATERAL (SELECT x.command_seq FROM relay_cursors x WHERE x.market_id = w.market_id LIMIT 1) r
CROSS JOIN LATERAL (
  SELECT x.command_seq, x.payload FROM outbox x
  WHERE x.market_id = w.market_id AND x.command_seq > r.command_seq ORDER BY x.command_seq LIMIT $2) o
ORDER BY w.market_id, o.command_seq
"""
# The rows are locked in the order of the arrays: by market.
_SENT = """
WITH moved AS (
  UPDATE relay_cursors r SET command_seq = s.to_seq
  FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::timestamptz[], $5::int8[])
    AS s (market_id, from_seq, to_seq, sent_at, sent_before)
  WHERE r.market_id = s.market_id AND r.command_seq = s.from_seq
  RETURNING s.market_id, s.to_seq, greatest(s.from_seq, s.sent_before) AS after_seq, s.sent_at),
noted AS (
  INSERT INTO relayed_records (market_id, command_seq, after_seq, sent_at)
  SELECT m.market_id, m.to_seq, m.after_seq, m.sent_at FROM moved m WHERE EXISTS (
    SELECT FROM orders o
    WHERE o.order_id > order_key(m.market_id, m.after_seq) AND o.order_id <= order_key(m.market_id, m.to_seq))
  ON CONFLICT DO NOTHING)
SELECT market_id FROM moved
"""
_REWIND = "SELECT rewind_relay($1, $2)"
_SET_CURSOR = "UPDATE relay_cursors SET command_seq = $2 WHERE market_id = $1"

_STATES = """
SELECT w.market_id, r.command_seq AS cursor, p.command_seq AS persisted_seq, r.pruned_seq,
  coalesce(s.command_seq, 0) AS covered_seq
FROM unnest($1::int4[]) AS w (market_id)
CROSS JOIN LATERAL (SELECT x.command_seq, x.pruned_seq FROM relay_cursors x WHERE x.market_id = w.market_id LIMIT 1) r
CROSS JOIN LATERAL (SELECT x.command_seq, x.event_seq FROM progress x WHERE x.market_id = w.market_id LIMIT 1) p
LEFT JOIN LATERAL (
  SELECT x.command_seq FROM engine_snapshots x WHERE x.market_id = w.market_id AND x.event_seq <= p.event_seq
  ORDER BY x.command_seq DESC LIMIT 1) s ON true
"""

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


async def read_waiting(session: Session, market_ids: Sequence[int], limit: int) -> dict[int, WaitingCommands]:
    """The commands after the cursors of these markets, at most `limit` of each; a market without any is left out.

    The cursors are read by the same statement: the engine may have set one back.
    """
    found: dict[int, WaitingCommands] = {}
    for market_id, cursor, seq, payload in await session.fetch(_READ_WAITING, market_ids, limit):
        if market_id not in found:
            found[market_id] = WaitingCommands(cursor, [])
        found[market_id].commands.append(OutboxCommand(seq, payload))
    return found


async def read_shares(
    session: Session, market_ids: Sequence[int], limit: int, each: int
) -> tuple[dict[int, WaitingCommands], set[int]]:
    """What waits in these markets, at most `limit` commands and `each` of a market, and in which more may wait.

    All get the same share, one command at least; those in which more waits also get the shares that others leave.
    """
    share = max(1, min(each, limit // len(market_ids)))
    found = await read_waiting(session, market_ids, share)
    while has_more := {number for number, waiting in found.items() if len(waiting.commands) == share}:
        left = limit - sum(len(waiting.commands) for waiting in found.values())
        more = min(each - share, left // len(has_more))
        if more <= 0:
            break
        share += more
        found |= await read_waiting(session, sorted(has_more), share)
    return found, has_more


async def read_states(session: Session, market_ids: Sequence[int]) -> dict[int, OutboxState]:
    """How far each of these markets is sent, persisted and pruned."""
    return {market_id: OutboxState(*state) for market_id, *state in await session.fetch(_STATES, market_ids)}


async def read_cursor(session: Session, market_id: int) -> int:
    """Sequence of the last command the relay has sent."""
    seq: int = await session.fetchval("SELECT command_seq FROM relay_cursors WHERE market_id = $1", market_id)
    return seq


async def read_pruned(session: Session, market_id: int) -> int:
    """Sequence of the last pruned command: a snapshot in PostgreSQL covers it."""
    seq: int = await session.fetchval("SELECT pruned_seq FROM relay_cursors WHERE market_id = $1", market_id)
    return seq


async def record_sent(session: Session, records: Sequence[SentRecord]) -> set[int]:
    """Advance the cursors past what was sent, one record of each market, and record the times.

    Returns the markets whose cursor was where its record began; the others were rewound meanwhile, and stay so.
    """
    rows = sorted(records)  # every writer locks the cursors in market order
    columns = (
        [row.market_id for row in rows],
        [row.from_seq for row in rows],
        [row.to_seq for row in rows],
        [datetime_of(row.sent_at) for row in rows],
        [row.sent_before for row in rows],
    )
    return {int(row["market_id"]) for row in await session.fetch(_SENT, *columns)}


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
