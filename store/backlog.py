"""How far the projection is behind what was accepted: the bound behind OVERLOADED."""

import msgspec

from schemas.units import Timestamp, timestamp_of
from store.connect import Session

BACKLOG_MAX = 20_000
BACKLOG_AGE_MAX_S = 10.0


class MarketLoad(msgspec.Struct, frozen=True):
    """Commands accepted but not yet projected, and the age of the oldest of them; an idle market is never stale."""

    backlog: int
    oldest_age_s: float

    @property
    def is_backlogged(self) -> bool:
        """Too many commands wait."""
        return self.backlog > BACKLOG_MAX

    @property
    def is_stale(self) -> bool:
        """The oldest command waits too long: positions are not to be trusted for new risk."""
        return self.oldest_age_s > BACKLOG_AGE_MAX_S


_LOAD = """
SELECT m.name, c.command_seq - p.command_seq AS backlog, o.created_at
FROM markets m JOIN counters c USING (market_id) JOIN progress p USING (market_id) LEFT JOIN LATERAL (
  SELECT x.created_at FROM outbox x WHERE x.market_id = m.market_id AND x.command_seq = p.command_seq + 1) o ON true
"""


async def read_load(session: Session, now: Timestamp) -> dict[str, MarketLoad]:
    """The load of every market, by name."""
    return {
        row["name"]: MarketLoad(
            max(0, row["backlog"]), max(0, now - timestamp_of(row["created_at"])) / 1e6 if row["created_at"] else 0.0
        )
        for row in await session.fetch(_LOAD)
    }
