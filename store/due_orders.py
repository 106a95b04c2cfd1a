"""Live orders whose time has passed: what the clock looks for."""

from schemas.units import Timestamp, datetime_of, timestamp_of
from store.connect import Session

_DUE = """
SELECT m.name, max(o.expires_at) AS expires_at FROM orders o JOIN markets m USING (market_id)
WHERE o.is_live AND o.expires_at <= $1 AND m.halted_reason IS NULL GROUP BY m.name
"""


async def read_due(session: Session, now: Timestamp) -> dict[str, Timestamp]:
    """For each market that works and has live orders due at `now`: the latest of their times."""
    return {row["name"]: timestamp_of(row["expires_at"]) for row in await session.fetch(_DUE, datetime_of(now))}
