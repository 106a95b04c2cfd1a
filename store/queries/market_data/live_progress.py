"""Which markets have changed: one look at many."""

from collections.abc import Collection
from typing import NamedTuple

from schemas.market import MarketStatus
from store.session.connect import Session

_READ = """
SELECT m.name, m.status, p.event_seq FROM markets m JOIN progress p USING (market_id) WHERE m.name = ANY($1::text[])
"""


class SeenMarket(NamedTuple):
    """A market's last persisted event, and its status then."""

    event_seq: int
    status: MarketStatus


async def read_seen_markets(session: Session, markets: Collection[str]) -> dict[str, SeenMarket]:
    """Those of these markets that are listed."""
    rows = await session.fetch(_READ, list(markets))
    return {row["name"]: SeenMarket(row["event_seq"], MarketStatus(row["status"])) for row in rows}
