"""How far the projection lags behind the accepted commands: the limit for OVERLOADED."""

from datetime import datetime

import msgspec

from schemas.units import Timestamp, timestamp_of
from store.session.connect import Session

BACKLOG_MAX = 20_000
BACKLOG_AGE_MAX_S = 10.0


class MarketLoad(msgspec.Struct, frozen=True):
    """Commands accepted but not yet projected, and the age of the oldest of them; an idle market is never stale.

    A mark that seems to lie ahead is as old as that is far: one of the clocks is wrong.
    `mark_age_s` is 0 for a market with a constant index, and for one where no trading is possible.
    """

    backlog: int
    oldest_age_s: float
    mark_age_s: float = 0.0
    is_open: bool = True
    """Whether its status admits new orders."""

    @property
    def is_backlogged(self) -> bool:
        """Whether too many commands wait."""
        return self.backlog > BACKLOG_MAX

    @property
    def is_mark_old(self) -> bool:
        """Whether the mark is too old to value a position."""
        return self.mark_age_s > BACKLOG_AGE_MAX_S

    @property
    def is_stale(self) -> bool:
        """Whether the oldest command waits too long, or the mark is too old: positions are too old to decide on new risk."""
        return self.is_mark_old or self.oldest_age_s > BACKLOG_AGE_MAX_S


# LIMIT 1: the outbox is looked up by its key. Without it, the planner may read the whole outbox for a few markets.
_LOAD = """
SELECT m.name, c.command_seq - p.command_seq AS backlog, o.created_at,
  m.halted_reason IS NULL AND m.status IN ('INITIALIZING', 'ACTIVE') AS is_open,
  CASE WHEN m.price_sources <> '[]' AND m.status NOT IN ('HALTED', 'SETTLED') THEN m.mark_at END AS mark_at
FROM markets m JOIN counters c USING (market_id) JOIN progress p USING (market_id) LEFT JOIN LATERAL (
  SELECT x.created_at FROM outbox x WHERE x.market_id = m.market_id AND x.command_seq = p.command_seq + 1 LIMIT 1) o ON true
ORDER BY m.market_id
"""


async def read_load(session: Session, now: Timestamp) -> dict[str, MarketLoad]:
    """The load of every market, by name."""
    return {
        row["name"]: MarketLoad(
            backlog=max(0, row["backlog"]),
            oldest_age_s=max(0.0, _age_s(row["created_at"], now)),
            mark_age_s=abs(_age_s(row["mark_at"], now)),
            is_open=row["is_open"],
        )
        for row in await session.fetch(_LOAD)
    }


def _age_s(moment: datetime | None, now: Timestamp) -> float:
    return 0.0 if moment is None else (now - timestamp_of(moment)) / 1e6
