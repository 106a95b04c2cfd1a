"""Which markets have changed: one look at many."""

from collections.abc import Collection
from typing import NamedTuple

from schemas.market import MarketStatus
from schemas.units import Timestamp, timestamp_of
from store.session.connect import Session

_READ = """
SELECT m.name, m.status, p.event_seq, p.at FROM markets m JOIN progress p USING (market_id) WHERE m.name = ANY($1::text[])
"""


class SeenMarket(NamedTuple):
    """A market's last persisted event, its time, and the status then."""

    event_seq: int
    status: MarketStatus
    at: Timestamp


async def read_seen_markets(session: Session, markets: Collection[str]) -> dict[str, SeenMarket]:
    """Those of these markets that are listed."""
    rows = await session.fetch(_READ, list(markets))
    return {
        row["name"]: SeenMarket(row["event_seq"], MarketStatus(row["status"]), timestamp_of(row["at"])) for row in rows
    }
