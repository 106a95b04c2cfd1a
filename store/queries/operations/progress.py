"""The progress of each market: the last command accepted and the last persisted."""

from typing import NamedTuple

from schemas.units import Timestamp, timestamp_of
from store.session.connect import Session

_READ = """
SELECT m.name AS market, m.market_id, c.command_seq AS taken_seq, p.command_seq, p.event_seq, p.event_hash, p.at
FROM markets m JOIN counters c USING (market_id) JOIN progress p USING (market_id)
ORDER BY m.name
"""

_READ_PERSISTED = "SELECT m.name, p.command_seq FROM progress p JOIN markets m USING (market_id)"


class PipelineProgress(NamedTuple):
    """Sequences of one market: the last command accepted, the last persisted with its last event.

    `at` is the time of the last persisted event.
    """

    market: str
    market_id: int
    taken_seq: int
    command_seq: int
    event_seq: int
    event_hash: str
    at: Timestamp

    @property
    def behind(self) -> int:
        """Commands that are accepted and not yet persisted."""
        return self.taken_seq - self.command_seq


async def read_progress(session: Session) -> dict[str, PipelineProgress]:
    """Every market's progress by its name, in one snapshot."""
    rows = await session.fetch(_READ)
    return {row["market"]: PipelineProgress(**{**row, "at": timestamp_of(row["at"])}) for row in rows}


async def read_persisted(session: Session) -> dict[str, int]:
    """The last persisted command of every market, by its name."""
    return {row["name"]: row["command_seq"] for row in await session.fetch(_READ_PERSISTED)}
