"""Markets whose log and rows do not belong together: detects them, and halts them in the row that every process reads."""

from collections.abc import Mapping

from store.session.connect import Session

# One statement, one snapshot: the pruner deletes commands and moves `pruned_seq` in one statement too.
_UNKNOWN = """
SELECT t.command_seq FROM unnest($2::int8[], $3::bytea[]) AS t(command_seq, payload)
CROSS JOIN LATERAL (SELECT x.command_seq FROM counters x WHERE x.market_id = $1) c
CROSS JOIN LATERAL (SELECT x.pruned_seq FROM relay_cursors x WHERE x.market_id = $1) r
LEFT JOIN LATERAL (
  SELECT x.payload FROM outbox x WHERE x.market_id = $1 AND x.command_seq = t.command_seq LIMIT 1) o ON true
WHERE t.command_seq > c.command_seq OR (t.command_seq > r.pruned_seq AND o.payload IS DISTINCT FROM t.payload)
ORDER BY t.command_seq LIMIT 1
"""
_HALT = "UPDATE markets SET status = 'HALTED', halted_reason = coalesce(halted_reason, $2) WHERE name = $1"
_HALTED = "SELECT name, halted_reason FROM markets WHERE halted_reason IS NOT NULL ORDER BY name"


async def first_unknown_command(session: Session, market_id: int, logged: Mapping[int, bytes]) -> int | None:
    """The first of these logged commands that this database never accepted, or accepted with other bytes.

    None when all are known. A command is committed here before it is sent, so a sequence beyond the counter, or other
    bytes in the outbox, mean that the database was restored from a backup. Pruned commands count as known.
    """
    seq: int | None = await session.fetchval(_UNKNOWN, market_id, list(logged), list(logged.values()))
    return seq


async def halt(session: Session, market: str, reason: str) -> None:
    """Accept no more orders in a market, whatever its later events say; the first reason is kept."""
    await session.execute(_HALT, market, reason)


async def read_halted(session: Session) -> dict[str, str]:
    """The markets halted by the exchange itself, with their reasons."""
    return {row["name"]: row["halted_reason"] for row in await session.fetch(_HALTED)}
