"""The price sources of a market's index, as its log has set them."""

import msgspec

from schemas.market import PriceSource
from store.session.connect import Session


class IndexSources(msgspec.Struct, frozen=True):
    """The sources of an index, and how many of them must be fresh. No sources: the index is constant."""

    sources: tuple[PriceSource, ...]
    quorum: int


async def read_index_sources(session: Session) -> dict[str, IndexSources]:
    """The sources of every market, by name."""
    return {
        row["name"]: IndexSources(
            msgspec.json.decode(row["price_sources"], type=tuple[PriceSource, ...]), row["price_quorum"]
        )
        for row in await session.fetch("SELECT name, price_sources, price_quorum FROM markets ORDER BY market_id")
    }
