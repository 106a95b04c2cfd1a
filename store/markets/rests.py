"""Markets that a kind of worker leaves alone until an operator has mended a topic, with the reason."""

from collections.abc import Mapping

from store.session.connect import Session

RENEWED_WITHIN_S = 30
RESTS_NOW = f"seen_at > clock_timestamp() - interval '{RENEWED_WITHIN_S} s'"
"""Whether a row is of a process that still waits."""
_NOTE = """
INSERT INTO market_rests (market_id, work, reason, seen_at)
SELECT m.market_id, $1, t.reason, clock_timestamp() FROM unnest($2::text[], $3::text[]) AS t(name, reason) JOIN markets m USING (name)
ON CONFLICT (market_id, work) DO UPDATE SET reason = excluded.reason, seen_at = excluded.seen_at
"""
_END = "DELETE FROM market_rests r USING markets m WHERE r.market_id = m.market_id AND r.work = $1 AND m.name = ANY($2::text[])"
_READ = f"""
SELECT m.name, string_agg(r.work || ': ' || r.reason, '; ' ORDER BY r.work) AS reasons
FROM market_rests r JOIN markets m USING (market_id)
WHERE {RESTS_NOW} GROUP BY m.name
"""  # noqa: S608 - a condition of ours


async def note_rests(session: Session, work: str, reasons: Mapping[str, str]) -> None:
    """Note why this kind of work rests in these markets, and that it still does."""
    await session.execute(_NOTE, work, list(reasons), list(reasons.values()))


async def end_rests(session: Session, work: str, markets: list[str]) -> None:
    """This kind of work goes on in these markets."""
    await session.execute(_END, work, markets)


async def read_rests(session: Session) -> dict[str, str]:
    """The markets in which some work rests now, with the reasons."""
    return {row["name"]: row["reasons"] for row in await session.fetch(_READ)}
