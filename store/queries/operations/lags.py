"""How far each market lags behind at each hop, the age of its stored snapshot, and that of the oldest open transaction."""

from datetime import datetime

import msgspec

from schemas.units import Timestamp, timestamp_of
from store.markets.placement import IS_FINISHED
from store.markets.rests import RESTS_NOW
from store.session.connect import Session

# `r` may be before `p`: a relay that was set back sends persisted commands again. LIMIT 1: see store.markets.backlog.
_READ = f"""
SELECT m.name AS market, m.shard, m.status, m.halted_reason IS NOT NULL AS is_halted,
  {IS_FINISHED} AS is_finished,
  EXISTS (SELECT FROM market_rests x WHERE x.market_id = m.market_id AND {RESTS_NOW}) AS rests,
  greatest(c.command_seq - r.command_seq, 0) AS unsent, greatest(r.command_seq - p.command_seq, 0) AS unpersisted,
  c.command_seq - r.pruned_seq AS kept, u.created_at AS unsent_since,
  CASE WHEN r.command_seq > p.command_seq THEN q.created_at END AS unpersisted_since, s.created_at AS snapshot_at
FROM markets m JOIN counters c USING (market_id) JOIN relay_cursors r USING (market_id) JOIN progress p USING (market_id)
LEFT JOIN LATERAL (
  SELECT x.created_at FROM outbox x WHERE x.market_id = m.market_id AND x.command_seq = r.command_seq + 1 LIMIT 1) u ON true
LEFT JOIN LATERAL (
  SELECT x.created_at FROM outbox x WHERE x.market_id = m.market_id AND x.command_seq = p.command_seq + 1 LIMIT 1) q ON true
LEFT JOIN LATERAL (
  SELECT x.created_at FROM engine_snapshots x WHERE x.market_id = m.market_id ORDER BY x.command_seq DESC LIMIT 1) s ON true
ORDER BY m.market_id
"""  # noqa: S608 - a condition of ours
_OLDEST = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float8 FROM pg_stat_activity
WHERE datname = current_database() AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()
"""


class MarketLag(msgspec.Struct, frozen=True):
    """The waiting commands at each hop of a market, and the age of the oldest, in seconds.

    `unsent`: accepted, not in the log yet. `unpersisted`: in the log, not persisted yet. `kept`: not pruned from the outbox.
    `is_finished`: settled, and no command is under way. `rests`: a topic of the market is at fault. `snapshot_age_s`: of the
    newest snapshot in PostgreSQL; None before the first.
    """

    market: str
    shard: str
    status: str
    is_halted: bool
    is_finished: bool
    rests: bool
    unsent: int
    unsent_age_s: float
    unpersisted: int
    unpersisted_age_s: float
    kept: int
    snapshot_age_s: float | None


async def read_lags(session: Session, now: Timestamp) -> list[MarketLag]:
    """The lags of every market, in one snapshot."""
    return [
        MarketLag(
            row["market"],
            row["shard"],
            row["status"],
            row["is_halted"],
            row["is_finished"],
            row["rests"],
            row["unsent"],
            _age_s(row["unsent_since"], now) or 0.0,
            row["unpersisted"],
            _age_s(row["unpersisted_since"], now) or 0.0,
            row["kept"],
            _age_s(row["snapshot_at"], now),
        )
        for row in await session.fetch(_READ)
    ]


async def read_oldest_transaction_s(session: Session) -> float:
    """The age of the oldest open transaction's last statement, in seconds.

    Such a transaction holds row locks, or a snapshot that prevents vacuum. Its start time means nothing: the writers' sessions
    idle in a chained transaction that holds neither. Sessions of other roles are visible only to a member of
    `pg_read_all_stats`.
    """
    seconds: float = await session.fetchval(_OLDEST)
    return seconds


def _age_s(moment: datetime | None, now: Timestamp) -> float | None:
    return None if moment is None else max(0, now - timestamp_of(moment)) / 1e6
