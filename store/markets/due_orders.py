"""The markets that the clock sends the time to, and which of them have live orders past their expiry."""

from typing import NamedTuple

from schemas.units import Timestamp, datetime_of, timestamp_of
from store.session.connect import Session

_TICKING = """
SELECT m.name, p.command_seq, d.expires_at
FROM markets m JOIN progress p USING (market_id) LEFT JOIN (
  SELECT o.market_id, max(o.expires_at) AS expires_at FROM orders o
  WHERE o.is_live AND o.expires_at <= $1 GROUP BY o.market_id) d USING (market_id)
WHERE m.halted_reason IS NULL AND m.status <> 'SETTLED' ORDER BY m.market_id
"""


class TickingMarket(NamedTuple):
    """A market whose clock runs: its last persisted command, and the latest expiry of its orders that are due."""

    name: str
    command_seq: int
    due: Timestamp | None


async def read_ticking(session: Session, now: Timestamp) -> list[TickingMarket]:
    """Every market except the settled ones and those that the exchange itself has halted (store/markets/halts.py)."""
    return [
        TickingMarket(row["name"], row["command_seq"], timestamp_of(row["expires_at"]) if row["expires_at"] else None)
        for row in await session.fetch(_TICKING, datetime_of(now))
    ]
